"""What each answer means: one table for every status code, and one for every way to say when to come back."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from requests.structures import CaseInsensitiveDict

from app.destinations.http import Bearer, HttpAnswer, NoAnswer
from app.destinations.incident_io.answer import Reason, judge
from app.destinations.incident_io.provider import asked
from app.domain.delivery import Outcome, Verdict
from config import AlertSource

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
KEY = "planted-key-4711"
REDACT = Bearer(SecretStr(KEY)).redact


def judged(
    status: int,
    body: Any = b"",
    headers: dict[str, str] | None = None,
    source: str = "default",
) -> Outcome:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = HttpAnswer(status, CaseInsensitiveDict(headers or {}), raw)
    return judge(answer, asked(AlertSource(source, "id", SecretStr(KEY))), NOW, REDACT)


def unanswered(no_answer: NoAnswer) -> Outcome:
    return judge(no_answer, asked(AlertSource("default", "id", SecretStr(KEY))), NOW, REDACT)


SPECIAL: dict[int, tuple[Verdict, Reason]] = {
    401: ("misconfigured", "unauthorized"),
    403: ("misconfigured", "unauthorized"),
    404: ("misconfigured", "not_found"),
    408: ("try_again", "timeout"),
    409: ("try_again", "conflict"),
    429: ("try_again", "rate_limited"),
}
BY_HUNDREDS: dict[int, tuple[Verdict, Reason]] = {
    1: ("try_again", "server_error"),
    2: ("delivered", "ok"),
    3: ("misconfigured", "redirected"),
    4: ("misconfigured", "rejected"),
    5: ("try_again", "server_error"),
    9: ("try_again", "server_error"),
}


@pytest.mark.parametrize("status", [*range(100, 600), 999])
def test_every_status_has_its_verdict(status: int) -> None:
    outcome = judged(status)
    assert (outcome.verdict, outcome.reason) == SPECIAL.get(status, BY_HUNDREDS[status // 100])
    assert str(status) in outcome.detail
    assert outcome.back_off_all is (status == 429)


@pytest.mark.parametrize(
    ("status", "uncertain"),
    [
        *((status, False) for status in (202, 301, 400, 408, 409, 429, 500, 503)),
        *((status, True) for status in (502, 504, 520, 524)),
    ],
)
def test_only_a_proxy_leaves_in_doubt_whether_the_event_was_taken(status: int, uncertain: bool) -> None:
    assert judged(status).uncertain is uncertain


@pytest.mark.parametrize(
    ("no_answer", "verdict", "reason", "uncertain"),
    [
        (NoAnswer("timeout", "x", sent=True), "try_again", "timeout", True),
        (NoAnswer("timeout", "x"), "try_again", "timeout", False),
        (NoAnswer("connection", "x", sent=True), "try_again", "connection", True),
        (NoAnswer("connection", "x"), "try_again", "connection", False),
        (NoAnswer("tls", "x"), "try_again", "tls", False),
        (NoAnswer("address", "x"), "misconfigured", "rejected", False),
    ],
)
def test_no_answer_has_its_verdict_too(
    no_answer: NoAnswer, verdict: Verdict, reason: Reason, uncertain: bool
) -> None:
    outcome = unanswered(no_answer)
    assert (outcome.verdict, outcome.reason, outcome.uncertain) == (verdict, reason, uncertain)


@pytest.mark.parametrize(
    ("status", "source", "hint"),
    [
        (401, "default", "INCIDENTIO_API_KEY"),
        (403, "db", "the api_key of the alert source 'db'"),
        (404, "default", "in INCIDENTIO_ALERT_SOURCE_CONFIG_ID"),
        (404, "infra", "INCIDENTIO_OTHER_ALERT_SOURCE_CONFIG_ID_INFRA"),
        (308, "default", "INCIDENTIO_BASE_URL"),
        (422, "default", "see its errors"),
    ],
)
def test_a_wrong_configuration_is_told_with_what_to_fix(status: int, source: str, hint: str) -> None:
    assert hint in judged(status, source=source).detail


def test_the_request_id_and_the_errors_are_told_on_one_line() -> None:
    body = {
        "type": "validation_error",
        "request_id": "01HX",
        "errors": [
            {"code": "missing_field", "message": "title is\nrequired", "source": {"field": "title"}},
            {"code": "odd", "source": {"pointer": "/x"}},
            "a bare text",
        ],
    }
    detail = judged(422, body).detail
    assert "422 (request 01HX) missing_field: title is required (title); odd (/x); a bare text: " in detail
    assert "\n" not in detail


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Bad gateway</html>",
        b"\xff\xfe\x00",
        b"[" * 60_000,
        b"9" * 10_000,
        b"null",
        b"[1, 2]",
        {"errors": None},
        {"errors": {"message": "not a list"}},
        {"errors": [None, 3, [], {"code": None}, {"code": {"a": 1}, "source": "text"}]},
        {"errors": [{"message": "x" * 60_000}] * 500},
        {"request_id": ["y" * 60_000], "rate_limit": [], "errors": "\ud800" * 9},
        {"rate_limit": {"retry_after": {"no": "time"}}},
    ],
)
@pytest.mark.parametrize("status", [202, 404, 422, 429, 500])
def test_any_body_is_tolerated(status: int, body: Any) -> None:
    detail = judged(status, body).detail
    assert len(detail) < 3_000
    assert "\n" not in detail
    assert detail.encode()


@pytest.mark.parametrize("status", [202, 307, 401, 422, 429, 500])
def test_a_key_that_is_echoed_stays_out_of_the_detail(status: int) -> None:
    body = {
        "request_id": KEY,
        "errors": [{"code": KEY, "message": "x" * 190 + KEY, "source": {"field": KEY}}, f"Bearer {KEY}"],
    }
    outcome = judged(status, body, {"Location": f"https://x/{KEY}", "Retry-After": KEY})
    assert KEY not in repr(outcome)
    assert KEY[:8] not in repr(outcome)
    assert KEY not in repr(unanswered(NoAnswer("connection", f"proxy said {KEY}")))


DATE = {"Date": "Mon, 23 Nov 2026 18:00:00 GMT"}


@pytest.mark.parametrize(
    ("headers", "retry_after", "expected"),
    [
        ({"Retry-After": "17"}, None, 17),
        ({"retry-after": " 2.5 "}, None, 2.5),
        ({"Retry-After": "0"}, None, 0),
        ({"Retry-After": "-5"}, None, 0),
        ({"Retry-After": "nan"}, None, None),
        ({"Retry-After": "inf"}, None, 3600),
        ({"Retry-After": "86400"}, None, 3600),
        ({"Retry-After": "9" * 400}, None, 3600),
        ({"Retry-After": "soon"}, None, None),
        ({"Retry-After": "Mon, 23 Nov 2026 12:00:30 GMT"}, None, 30),
        ({"Retry-After": "Mon, 23 Nov 2026 18:00:30 GMT", **DATE}, None, 30),
        ({"Retry-After": "Mon, 23 Nov 2026 11:00:00 GMT"}, None, 0),
        ({"Retry-After": "Mon, 99 Nov 2026 11:00:00 GMT"}, None, None),
        ({"Retry-After": "7"}, "2026-11-23T12:01:00Z", 7),
        ({"Retry-After": "soon"}, "2026-11-23T12:01:00Z", 60),
        ({}, "2026-11-23T12:01:00Z", 60),
        ({}, "2026-11-23T13:01:00.5+01:00", 60.5),
        ({}, "Mon, 23 Nov 2026 12:00:20 GMT", 20),
        ({}, "2026-11-23T12:01:00", 60),
        ({**DATE}, "2026-11-23T18:00:09Z", 9),
        ({}, 12, 12),
        ({}, True, None),
        ({}, 10**400, None),
        ({}, float("nan"), None),
        ({}, None, None),
    ],
)
def test_it_waits_as_long_as_it_is_told(
    headers: dict[str, str], retry_after: object, expected: float | None
) -> None:
    outcome = judged(429, {"rate_limit": {"retry_after": retry_after}}, headers)
    assert outcome.not_before == (None if expected is None else pytest.approx(expected))


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_any_pause_is_a_number_of_seconds_up_to_an_hour(header: str, date: str, in_body: str) -> None:
    headers = {"Retry-After": header, "Date": date}
    pause = judged(503, {"rate_limit": {"retry_after": in_body}}, headers).not_before
    assert pause is None or 0 <= pause <= 3600
