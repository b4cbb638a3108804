"""Which requests may be refused unread, and when."""

from __future__ import annotations

import json

import pytest

from app.web.http import overload
from app.web.http.overload import FEW, Pace, is_whole, webhooks


@pytest.mark.parametrize(
    "line",
    [
        b"POST /api/incidents HTTP/1.1\r\n",
        b"PUT /api/incidents?oncall_enable=true HTTP/1.1\r\n",
        b"POST //api/incidents/ HTTP/1.1\r\n",
        b"POST /versus/api/incidents?x=1 HTTP/1.1\r\n",
        b"POST /sns HTTP/1.1\r\n",
    ],
)
def test_a_webhook_may_be(line: bytes) -> None:
    assert webhooks("/sns").match(line)


@pytest.mark.parametrize(
    "line",
    [
        b"GET /api/incidents HTTP/1.1\r\n",
        b"GET /healthz HTTP/1.1\r\n",
        b"POST /api/ack/7?exp=1&sig=2 HTTP/1.1\r\n",
        b"POST /api/incidents/7/ack HTTP/1.1\r\n",
        b"POST /login HTTP/1.1\r\n",
        b"POST /login?next=/api/incidents HTTP/1.1\r\n",
        b"POST /api/slack/actions HTTP/1.1\r\n",
        b"POST /sns HTTP/1.1\r\n",
        b"POST /api/incid",
    ],
)
def test_nothing_else_may_be(line: bytes) -> None:
    assert not webhooks(None).match(line)


@pytest.mark.parametrize(
    ("request_", "whole"),
    [
        (b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}", True),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\nHost: x\r\n\r\n{}", False),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", False),
        (b"POST / HTTP/1.1\r\nContent-Length: 2", False),
        (b"", False),
    ],
)
def test_a_request_is_whole_when_its_body_is(request_: bytes, whole: bool) -> None:
    assert is_whole(request_) is whole


def test_one_more_would_wait_for_as_long_as_those_before_it_take(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    pace = Pace()
    for _ in range(500):
        now[0] += 0.01
        pace.answered(1)
    assert not pace.is_too_long(195)
    assert pace.is_too_long(205)
    # While nothing waits, the time between two answers says nothing.
    now[0] += 3600
    pace.answered(0)
    assert not pace.is_too_long(195)
    for _ in range(500):
        now[0] += 2
        pace.answered(1)
    assert pace.is_too_long(FEW + 1)
    assert not pace.is_too_long(FEW)


def test_a_refusal_is_a_whole_answer() -> None:
    head, _, body = overload.REFUSAL.partition(b"\r\n\r\n")
    assert b"\r\nRetry-After: 5\r\n" in head
    assert f"Content-Length: {len(body)}".encode() in head
    assert "send it again" in json.loads(body)["error"]
