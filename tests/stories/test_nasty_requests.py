"""What senders, and people who mean no good, send over real HTTP: all is answered, and all is well."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from app.web.http.body import MAX_BODY
from tests.stories.stack import Stack, wait_until
from tests.web.http.nasty import NASTY, PLAIN, TEXTS, VALUES, WRONG_TYPES, Nasty

# What gunicorn reads of a request line; what is longer it refuses itself, and not in JSON.
LONGEST_LINE = 4094


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    kind: str
    text: str

    @property
    def incidents(self) -> list[dict[str, Any]]:
        """The incidents that it speaks of."""
        body = json.loads(self.text)
        return [one for one in body.get("incidents", [body.get("incident")]) if one is not None]


def send(stack: Stack, nasty: Nasty, query: str = "") -> Answer:
    """Over a connection of its own, and by no client that would put anything right."""
    address = urlsplit(stack.base)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    try:
        connection.request(
            "POST", f"/api/incidents?{nasty.query or query}", body=nasty.raw, headers=nasty.headers
        )
        response = connection.getresponse()
        return Answer(response.status, response.headers.get("Content-Type", ""), response.read().decode())
    except ConnectionError:
        # gunicorn does not wait for the end of a line that it refuses.
        assert len(nasty.query) > LONGEST_LINE
        return Answer(414, "", "")
    finally:
        connection.close()


def raw(stack: Stack, sent: bytes) -> bytes:
    """How the answer begins when a sender sends these bytes and no more."""
    address = urlsplit(stack.base)
    with socket.create_connection((address.hostname, address.port or 80), timeout=60) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        return connection.recv(4096)


@pytest.fixture
def quiet(stack: Stack) -> Iterator[Stack]:
    """The service; fails when a traceback was logged meanwhile."""
    before = stack.log.stat().st_size
    yield stack
    logged = stack.log.read_bytes()[before:].decode()
    assert "Traceback" not in logged
    assert "request_failed" not in logged


@pytest.mark.parametrize("nasty", [pytest.param(nasty, id=nasty.name[:60]) for nasty in NASTY])
def test_it_answers_in_json_with_an_allowed_status(quiet: Stack, nasty: Nasty) -> None:
    answer = send(quiet, nasty, "oncall_enable=false")
    assert answer.status in nasty.allowed, answer.text[:500]
    if len(nasty.query) < LONGEST_LINE:
        assert answer.kind == "application/json"
        assert ("error" in json.loads(answer.text)) is (answer.status >= 400)


def test_whatever_was_accepted_can_be_read_and_is_paged_and_the_service_is_well(quiet: Stack) -> None:
    accepted = [nasty for nasty in NASTY if not nasty.query and nasty.allowed & {200, 201}]
    answers = [send(quiet, nasty, "oncall_wait_minutes=0") for nasty in accepted]
    incidents = [one for answer in answers if answer.status == 201 for one in answer.incidents]
    assert len(incidents) > len(accepted) / 2
    pending = {incident["id"] for incident in incidents if incident["state"] == "pending"}
    wait_until(
        lambda: pending <= {event.body["deduplication_key"] for event in quiet.simulator.events()},
        "incident.io accepted every one",
    )
    for answer in answers:
        if answer.status == 201:
            assert quiet.show(answer.incidents[-1])["title"] == answer.incidents[-1]["title"]
    assert wait_until(quiet.is_ready, "ready")
    quiet.wait_for_state(quiet.report(0), "escalated")


def test_a_page_shows_whatever_was_accepted(quiet: Stack) -> None:
    """The texts and the wrong types, as a browser sees them."""
    for nasty in (*TEXTS, *VALUES, *WRONG_TYPES):
        answer = send(quiet, nasty, "oncall_wait_minutes=600")
        links = [one["ack_url"] for one in answer.incidents if one["ack_url"]]
        for link in links[-1:]:
            page = requests.get(link, headers={"Accept": "text/html"}, timeout=60)
            # Our own is the only one.
            assert (page.status_code, page.text.count("<script")) == (200, 1), nasty.name
            assert requests.post(link, timeout=60).status_code == 200


def test_a_body_that_is_too_large_is_read_until_the_sender_can_see_the_answer(quiet: Stack) -> None:
    answer = send(quiet, Nasty("20 MiB", b" " * 5 * MAX_BODY))
    assert answer.status == 413
    assert f"{MAX_BODY} bytes" in json.loads(answer.text)["error"]


POST = b"POST /api/incidents?oncall_enable=false HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"
CLOSED = b""


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.mark.parametrize(
    ("sent", "allowed"),
    [
        pytest.param(CHUNKED + chunk(PLAIN) + LAST, {b"201"}, id="one chunk"),
        pytest.param(CHUNKED + chunk(PLAIN[:9]) + chunk(PLAIN[9:]) + LAST, {b"201"}, id="two chunks"),
        pytest.param(CHUNKED + LAST, {b"400"}, id="no chunk"),
        pytest.param(CHUNKED + b"nonsense\r\n" + PLAIN, {b"400"}, id="broken chunk"),
        pytest.param(CHUNKED + b"ff\r\n" + PLAIN, {b"400"}, id="chunk cut off"),
        pytest.param(CHUNKED + chunk(PLAIN), {b"400"}, id="last chunk missing"),
        # Nothing of the JSON is missing here: to take it is right as well.
        pytest.param(POST + b"Content-Length: 99\r\n\r\n" + PLAIN, {b"201", b"400"}, id="cut off after JSON"),
        pytest.param(POST + b"Content-Length: 99\r\n\r\n" + PLAIN[:9], {b"400"}, id="cut off within JSON"),
        pytest.param(POST + b"Content-Length: 99\r\n\r\n", {b"400"}, id="cut off before JSON"),
        pytest.param(POST + b"\r\n" + PLAIN, {b"400"}, id="no length"),
        pytest.param(POST + b"Content-Length: -1\r\n\r\n", {b"400"}, id="negative length"),
        pytest.param(POST + b"Content-Length: x\r\n\r\n", {b"400"}, id="length that is no number"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00", {CLOSED, b"400"}, id="TLS"),
        pytest.param(b"POST /api/incidents\r\n\r\n", {b"400"}, id="no version"),
        pytest.param(POST + b"X: " + b"x" * 100_000 + b"\r\n\r\n", {b"400", b"431"}, id="long header"),
    ],
)
def test_a_request_that_breaks_http_itself_is_the_senders_fault(
    quiet: Stack, sent: bytes, allowed: set[bytes]
) -> None:
    answer = raw(quiet, sent)
    assert (answer.split(b" ")[1] if answer else CLOSED) in allowed
    assert quiet.is_ready()


def test_a_sender_that_stalls_within_its_body_is_let_go(quiet: Stack) -> None:
    address = urlsplit(quiet.base)
    with socket.create_connection((address.hostname, address.port or 80), timeout=60) as connection:
        connection.sendall(POST + b"Content-Length: 99\r\n\r\n" + PLAIN[:9])
        # Each one that is waited for without end takes a thread away, until nobody is answered.
        assert connection.recv(4096).split(b" ")[1:2] in ([b"400"], [b"408"], [])


def test_who_never_gets_to_the_end_of_a_request_keeps_no_thread(quiet: Stack) -> None:
    address = (urlsplit(quiet.base).hostname, urlsplit(quiet.base).port or 80)
    ended = threading.Event()

    def answers() -> bool:
        try:
            return requests.get(f"{quiet.base}/healthz", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def trickle(connections: Sequence[socket.socket]) -> None:
        while not ended.wait(1):
            for one in connections:
                with suppress(OSError):
                    one.sendall(b" ")

    with ExitStack() as held:
        connections = [held.enter_context(socket.create_connection(address)) for _ in range(700)]
        silent, trickling = connections[::2], connections[1::2]
        for one in silent:
            one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Half: ")
        for one in trickling:
            one.sendall(POST + b"Content-Length: 4000\r\n\r\n{")
        held.callback(ended.set)
        threading.Thread(target=trickle, args=(trickling,)).start()
        # Of two processes one may be let go of before the other.
        wait_until(lambda: all(answers() for _ in range(20)), "all others are answered")
