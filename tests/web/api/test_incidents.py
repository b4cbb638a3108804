"""Every answer of the intake, and of the application to what nobody serves."""

from __future__ import annotations

import gzip
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from io import BytesIO, RawIOBase
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from pydantic import SecretStr
from werkzeug.test import TestResponse

from app.bootstrap import Services
from app.store import Search, StoreUnavailable
from app.web import create_app
from app.web.api.incidents import DRAINED
from app.web.http.body import MAX_BODY
from tests.fakes import EPOCH, PAGER, Clock, RecordingProvider
from tests.web.conftest import Report

INTAKE_SECRET = "test-intake-secret-7a"


def post(client: FlaskClient, body: Any, query: str = "") -> TestResponse:
    return client.post(f"/api/incidents?{query}", json=body)


def alert(key: str = "k", **more: Any) -> dict[str, Any]:
    return {"title": "Disk full", "deduplication_key": key, **more}


def error_of(answer: TestResponse) -> str:
    """The sentence of an error, which is all that its body holds."""
    assert answer.content_type == "application/json"
    assert list(answer.get_json()) == ["error"]
    sentence = answer.get_json()["error"]
    assert isinstance(sentence, str)
    return sentence


def is_empty(services: Services) -> bool:
    """Whether no incident is stored, but one that a webhook was refused."""
    found = services.store.incidents.page(Search(), 2, None).incidents
    return [incident.source for incident in found] in ([], ["versus"])


# -- one object ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_an_object_is_one_incident(client: FlaskClient, services: Services, method: str) -> None:
    answer = client.open("/api/incidents", method=method, json={"title": "Disk full", "severity": "high"})
    assert (answer.status_code, answer.get_json()["status"]) == (201, "Incident created")
    incident = answer.get_json()["incident"]
    stored = services.store.incidents.require(incident["id"])
    assert (stored.title, stored.severity) == ("Disk full", "high")
    assert (incident["state"], incident["title"]) == ("pending", "Disk full")
    assert incident["created_at"] == "2026-03-04T03:00:00.000Z"
    assert incident["due_at"] == "2026-03-04T03:03:00.000Z"
    assert f"/api/ack/{incident['id']}?exp=" in incident["ack_url"]
    assert not {"payload", "timeline"} & set(incident)


def test_what_is_answered_is_stored_with_its_due_time(client: FlaskClient, redis_url: str) -> None:
    incident = post(client, {"title": "x"}).get_json()["incident"]
    due = redis.Redis.from_url(redis_url, decode_responses=True).zrange("versus:due", 0, -1, withscores=True)
    assert due == [(f"{incident['id']} {PAGER}", datetime.fromisoformat(incident["due_at"]).timestamp())]


def test_nothing_is_due_and_nothing_to_acknowledge_when_nobody_must_be_paged(client: FlaskClient) -> None:
    incident = post(client, {"title": "x"}, "oncall_enable=false").get_json()["incident"]
    assert (incident["state"], incident["due_at"], incident["ack_url"]) == ("open", None, None)


EFFECTS = [
    ({}, 200, "Incident updated"),
    ({"status": "resolved"}, 200, "Incident resolved"),
]


@pytest.mark.parametrize(("fields", "code", "status"), EFFECTS)
def test_the_answer_tells_what_the_webhook_did(
    client: FlaskClient, fields: dict[str, str], code: int, status: str
) -> None:
    first = post(client, alert()).get_json()["incident"]
    answer = post(client, alert(**fields))
    assert (answer.status_code, answer.get_json()["status"]) == (code, status)
    assert answer.get_json()["incident"]["id"] == first["id"]


def test_a_repeated_alert_brings_newer_texts_and_no_other_due_time(report: Report, clock: Clock) -> None:
    first = report(**alert())
    clock.wind(minutes=1)
    again = report(**alert(title="Disk very full"))
    assert (again["occurrences"], again["title"], again["due_at"]) == (2, "Disk very full", first["due_at"])


def test_an_resolve_event_for_nothing_known_is_recorded(client: FlaskClient) -> None:
    answer = post(client, alert(status="resolved"))
    assert (answer.status_code, answer.json) == (200, {"status": "Event recorded", "incident": None})


# -- several ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        b'[{"title": "a"}, {"title": "b"}]',
        b'{"title": "a"}\n{"title": "b"}\n',
        b'{"title": "a"}{"title": "b"}',
    ],
)
def test_an_array_or_texts_after_one_another_are_one_incident_each(client: FlaskClient, raw: bytes) -> None:
    answer = client.post("/api/incidents", data=raw)
    assert answer.status_code == 201
    assert (answer.get_json()["status"], answer.get_json()["count"]) == ("Incidents created", 2)
    assert [one["title"] for one in answer.get_json()["incidents"]] == ["a", "b"]
    assert len({one["id"] for one in answer.get_json()["incidents"]}) == 2


def test_an_array_of_one_is_answered_like_an_array(client: FlaskClient) -> None:
    answer = post(client, [{"title": "a"}])
    assert (answer.status_code, answer.get_json()["count"], len(answer.get_json()["incidents"])) == (
        201,
        1,
        1,
    )


@pytest.mark.parametrize(
    ("effects", "code", "status"),
    [
        (["new", "again", "over"], 201, "Incidents created"),
        (["again", "again"], 200, "Incidents updated"),
        (["over"], 200, "Incidents resolved"),
        (["again", "over"], 200, "Incidents updated"),
        (["unknown"], 200, "Events recorded"),
        (["unknown", "over"], 200, "Incidents resolved"),
    ],
)
def test_the_status_of_an_array_is_created_when_any_incident_was(
    client: FlaskClient, effects: list[str], code: int, status: str
) -> None:
    post(client, alert("known"))
    bodies = {
        "new": alert("new"),
        "again": alert("known"),
        "over": alert("known", status="resolved"),
        "unknown": alert("unknown", status="resolved"),
    }
    answer = post(client, [bodies[effect] for effect in effects])
    assert (answer.status_code, answer.get_json()["status"]) == (code, status)
    assert answer.get_json()["count"] == len(answer.get_json()["incidents"]) == len(effects)


def test_each_element_has_its_own_effect_and_the_answer_keeps_their_order(client: FlaskClient) -> None:
    elements = [alert("a"), alert("b"), alert("a", status="resolved"), alert("c", status="resolved")]
    incidents = post(client, elements).get_json()["incidents"]
    assert incidents[0]["id"] == incidents[2]["id"] != incidents[1]["id"]
    assert (incidents[1]["state"], incidents[2]["state"], incidents[3]) == ("pending", "resolved", None)


@pytest.mark.parametrize("bad", [1, None, "x", [], [{}]])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_bad_element_and_none_is_created(
    client: FlaskClient, services: Services, bad: Any, place: int
) -> None:
    elements: list[Any] = [{"title": "a"}, {"title": "b"}]
    elements.insert(place, bad)
    answer = post(client, elements)
    assert answer.status_code == 400
    assert f"index {place}" in error_of(answer)
    assert is_empty(services)


# -- other forms --------------------------------------------------------------------------------------


def test_a_gzipped_body_is_understood(client: FlaskClient) -> None:
    raw = gzip.compress(b'{"title": "packed"}')
    answer = client.post("/api/incidents", data=raw, headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.get_json()["incident"]["title"]) == (201, "packed")


@pytest.mark.parametrize(
    ("form", "title"),
    [
        ({"title": "of a field"}, "of a field"),
        ({"payload": '{"title": "of the payload"}'}, "of the payload"),
        ({"data": '{"title": "of the data"}'}, "of the data"),
    ],
)
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_form_is_an_object(client: FlaskClient, kind: str, form: dict[str, str], title: str) -> None:
    answer = client.post("/api/incidents", data=form, content_type=kind)
    assert (answer.status_code, answer.get_json()["incident"]["title"]) == (201, title)


@pytest.mark.parametrize("kind", [None, "", "text/plain", "application/octet-stream", "nonsense;;"])
def test_the_content_type_may_be_missing_or_wrong(client: FlaskClient, kind: str | None) -> None:
    answer = client.post("/api/incidents", data=b'{"title": "x"}', content_type=kind)
    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "empty"),
        (b'{"title": ', "broken JSON"),
        (b"7", "a number"),
        (b'"x"', "a string"),
        (b"null", "null"),
        (b"[]", "array is empty"),
        (b'{"x": ' + b"[" * 5000 + b"]" * 5000 + b"}", "too deep"),
    ],
)
def test_a_bad_body_is_refused_in_a_sentence_that_says_what_would_be_right(
    client: FlaskClient, services: Services, raw: bytes, says: str
) -> None:
    answer = client.post("/api/incidents", data=raw)
    assert answer.status_code == 400
    assert says in error_of(answer)
    assert "send" in error_of(answer)
    assert is_empty(services)


# -- parameters ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "minutes"),
    [
        ("", 3.0),
        ("oncall_enable=true", 3.0),
        ("oncall_enable=True&oncall_wait_minutes=5", 5.0),
        ("oncall_wait_minutes=0", 0.0),
        ("oncall_wait_minutes=0.5", 0.5),
        ("oncall_wait_minutes=.5", 0.5),
        ("oncall_wait_minutes=10080", 10080.0),
        ("oncall_wait_minutes=2&oncall_wait_minutes=2", 2.0),
        ("oncall_enable=false&oncall_wait_minutes=5", None),
        ("oncall_enable=FALSE", None),
    ],
)
def test_a_request_chooses_whether_and_when_it_pages(
    client: FlaskClient, query: str, minutes: float | None
) -> None:
    due_at = post(client, {"title": "x"}, query).get_json()["incident"]["due_at"]
    waits = None if due_at is None else (datetime.fromisoformat(due_at) - EPOCH).total_seconds() / 60
    assert waits == minutes


@pytest.mark.parametrize("name", ["infra", "INFRA"])
def test_an_alternate_alert_source_is_for_this_request_alone(
    client: FlaskClient, services: Services, name: str
) -> None:
    queries = (f"incidentio_other_alert_source={name}", "")
    incidents = [post(client, {"title": "x"}, query).get_json()["incident"] for query in queries]
    assert [incident["alert_source"] for incident in incidents] == ["infra", "default"]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("oncall_enable=yes", "oncall_enable is 'yes': it must be true or false"),
        ("oncall_enable=", "it must be true or false"),
        ("oncall_wait_minutes=-1", "from 0 to 10080"),
        ("oncall_wait_minutes=10080.5", "from 0 to 10080"),
        ("oncall_wait_minutes=3m", "'3m'"),
        ("oncall_wait_minutes=nan", "a number of minutes"),
        ("oncall_wait_minutes=", "a number of minutes"),
        ("oncall_wait_minutes=1&oncall_wait_minutes=2", "2 different values"),
        ("incidentio_other_alert_source=infrared", "'infrared': the names are default, infra"),
        ("oncall_enable=false&incidentio_other_alert_source=infrared", "the names are default, infra"),
    ],
)
def test_a_bad_parameter_is_refused_and_creates_nothing(
    client: FlaskClient, services: Services, query: str, says: str
) -> None:
    answer = post(client, {"title": "x"}, query)
    assert answer.status_code == 400
    assert says in error_of(answer)
    assert is_empty(services)


def test_oncall_that_is_asked_for_but_not_configured_is_the_senders_to_know(services: Services) -> None:
    oncall = services.config.oncall
    incident_io = oncall.incident_io.model_copy(update={"api_key": None})
    oncall = oncall.model_copy(update={"enable": False, "incident_io": incident_io})
    config = services.config.model_copy(update={"oncall": oncall})
    client = create_app(replace(services, config=config)).test_client()
    assert post(client, {"title": "x"}).get_json()["incident"]["state"] == "open"
    refused = post(client, {"title": "x"}, "oncall_enable=true")
    assert (refused.status_code, "not configured" in error_of(refused)) == (400, True)


# -- size ---------------------------------------------------------------------------------------------


class Counting(RawIOBase):
    """A body of so many blanks, made as it is read."""

    def __init__(self, size: int) -> None:
        self.left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = min(self.left, len(buffer))
        buffer[:count] = b" " * count
        self.left -= count
        return count


@pytest.mark.parametrize(
    ("size", "unread"),
    [
        (MAX_BODY + 1, 0),
        (5 * MAX_BODY, 0),
        (40 * MAX_BODY, 40 * MAX_BODY - DRAINED - MAX_BODY - 1),
    ],
)
def test_a_body_that_is_too_large_is_read_to_its_end_within_reason(
    client: FlaskClient, services: Services, size: int, unread: int
) -> None:
    body = Counting(size)
    environ = {"wsgi.input": body, "CONTENT_LENGTH": str(size)}
    answer = client.post("/api/incidents", environ_overrides=environ)
    assert answer.status_code == 413
    assert f"{MAX_BODY} bytes" in error_of(answer)
    assert body.left == unread
    assert is_empty(services)


def test_the_limit_counts_what_comes_out_of_gzip(client: FlaskClient) -> None:
    bomb = gzip.compress(b" " * (MAX_BODY + 1))
    answer = client.post("/api/incidents", data=bomb, headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, f"{MAX_BODY} bytes" in error_of(answer)) == (413, True)


def test_exactly_the_limit_is_accepted(client: FlaskClient) -> None:
    frame = b'{"title": "x", "filler": ""}'
    raw = frame[:-2] + b"y" * (MAX_BODY - len(frame)) + frame[-2:]
    assert (
        client.post("/api/incidents", input_stream=BytesIO(raw), content_length=MAX_BODY).status_code == 201
    )


# -- the intake secret --------------------------------------------------------------------------------


@pytest.fixture
def guarded(services: Services) -> FlaskClient:
    """A service that asks senders for a secret."""
    config = services.config.model_copy(update={"intake_secret": SecretStr(INTAKE_SECRET)})
    return create_app(replace(services, config=config)).test_client()


def basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


WAYS: list[Callable[[str], tuple[dict[str, str], str]]] = [
    lambda secret: ({"Authorization": f"Bearer {secret}"}, ""),
    lambda secret: ({"Authorization": basic("anybody", secret)}, ""),
    lambda secret: ({"Authorization": basic("", secret)}, ""),
    lambda secret: ({"X-Versus-Token": secret}, ""),
    lambda secret: ({}, f"token={secret}"),
]


@pytest.mark.parametrize("way", WAYS)
def test_the_secret_is_taken_in_four_forms(
    guarded: FlaskClient, way: Callable[[str], tuple[dict[str, str], str]]
) -> None:
    headers, query = way(INTAKE_SECRET)
    assert guarded.post(f"/api/incidents?{query}", json={}, headers=headers).status_code == 201


@pytest.mark.parametrize("wrong", ["", "wrong", INTAKE_SECRET + "x", INTAKE_SECRET[:-1], "ÿ", "%00"])
@pytest.mark.parametrize("way", WAYS)
def test_a_wrong_secret_is_refused_in_each_form(
    guarded: FlaskClient, services: Services, way: Callable[[str], tuple[dict[str, str], str]], wrong: str
) -> None:
    headers, query = way(wrong)
    answer = guarded.post(f"/api/incidents?{query}", json={}, headers=headers)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Basic realm="versus"')
    assert "intake secret" in error_of(answer)
    assert INTAKE_SECRET not in answer.text
    assert is_empty(services)


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Basic", "Basic !!!", "Basic " + b64encode(b"\xff\xfe").decode(), basic(INTAKE_SECRET, "x")],
)
def test_no_secret_or_a_damaged_header_is_refused(guarded: FlaskClient, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = guarded.post("/api/incidents", json={}, headers=headers)
    assert (answer.status_code, "WWW-Authenticate" in answer.headers) == (401, True)


def test_the_gateway_secret_is_no_intake_secret(guarded: FlaskClient, services: Services) -> None:
    assert services.config.gateway_secret is not None
    secret = services.config.gateway_secret.get_secret_value()
    headers = {"Authorization": f"Bearer {secret}", "X-Gateway-Secret": secret}
    assert guarded.post("/api/incidents", json={}, headers=headers).status_code == 401


def test_without_a_secret_in_the_configuration_nothing_is_asked(client: FlaskClient) -> None:
    assert client.post("/api/incidents", json={}, headers={"Authorization": "Basic !!!"}).status_code == 201


# -- what is our fault --------------------------------------------------------------------------------


def away() -> datetime:
    raise StoreUnavailable("Redis can't be reached (ConnectionError).")


def broken() -> datetime:
    raise RuntimeError("a mistake of ours")


def test_redis_away_pages_at_once(services: Services, provider: RecordingProvider) -> None:
    client = create_app(replace(services, clock=away)).test_client()
    answers = [post(client, alert()) for _ in range(2)]
    assert [(a.status_code, a.get_json()["status"]) for a in answers] == [(202, "Escalated directly")] * 2
    assert answers[0].get_json()["incident"]["state"] == "escalated"
    assert len(provider.events) == 2
    assert len({event.incident.id for event in provider.events}) == 1


@pytest.mark.parametrize(
    ("body", "query"), [(alert(), "oncall_enable=false"), (alert(status="resolved"), "")]
)
def test_redis_away_and_nobody_to_page_is_a_503_that_senders_repeat(
    services: Services, provider: RecordingProvider, body: dict[str, Any], query: str
) -> None:
    client = create_app(replace(services, clock=away)).test_client()
    answer = post(client, body, query)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "Redis" in error_of(answer)
    assert provider.events == []


def test_an_error_of_ours_is_a_503_that_tells_nothing_and_is_logged_whole(
    services: Services, logged: Callable[[], str]
) -> None:
    client = create_app(replace(services, clock=broken)).test_client()
    answer = post(client, {"title": "x"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "not with your request" in error_of(answer)
    assert "mistake" not in answer.text
    assert "event=request_failed" in logged()
    assert "RuntimeError: a mistake of ours" in logged()


# -- what nobody serves -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/api", 404),
        ("POST", "/api/incident", 404),
        ("GET", "/static/../incidents.py", 404),
        ("GET", "/static/none.css", 404),
        ("DELETE", "/api/incidents", 405),
        ("PATCH", "/api/incidents", 405),
        ("POST", "/healthz", 405),
    ],
)
def test_what_is_not_served_is_answered_in_json(
    client: FlaskClient, method: str, path: str, code: int
) -> None:
    answer = client.open(path, method=method)
    assert answer.status_code == code
    assert error_of(answer)
    assert ("Allow" in answer.headers) is (code == 405)


def test_a_405_tells_which_methods_there_are(client: FlaskClient) -> None:
    allowed = client.delete("/api/incidents").headers["Allow"]
    assert {"POST", "PUT"} <= set(allowed.split(", "))


def test_the_services_are_made_of_the_configuration_in_the_environment(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"REDIS_URL": redis_url, "ONCALL_ENABLE": "false"}.items():
        monkeypatch.setenv(name, value)
    answer = create_app().test_client().post("/api/incidents", json={"title": "x"})
    assert (answer.status_code, answer.get_json()["incident"]["state"]) == (201, "open")
