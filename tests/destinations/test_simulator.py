"""The simulator: as strict as incident.io's reference says, and failing as it is told to."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from typing import Any

import pytest
import requests

from local.incident_io_rules import MODES
from local.simulator import Simulator
from tests.destinations.conftest import KEY, OTHER_KEY

EVENT = {"title": "t", "status": "firing", "deduplication_key": "k"}
PATH = "/v2/alert_events/http/main"


def ask(
    simulator: Simulator | str, method: str = "POST", path: str = PATH, key: str | None = KEY, **options: Any
) -> requests.Response:
    session = requests.Session()
    session.trust_env = False
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    headers |= options.pop("headers", {})
    if "data" not in options and method != "GET":
        options.setdefault("json", EVENT)
    base_url = simulator if isinstance(simulator, str) else simulator.base_url
    with session:
        return session.request(method, base_url + path, headers=headers, timeout=5, **options)


def test_a_good_event_is_accepted(simulator: Simulator) -> None:
    answer = ask(simulator)
    assert answer.status_code == 202
    assert answer.json()["deduplication_key"] == "k"
    assert [event.body for event in simulator.events("k")] == [EVENT]
    assert simulator.events("another") == []
    assert simulator.alerts == {("main", "k"): "firing"}


@pytest.mark.parametrize(
    ("status", "options"),
    [
        (401, {"key": None}),
        (401, {"key": "wrong"}),
        (401, {"key": OTHER_KEY}),
        (404, {"path": "/v2/alert_events/http/unknown"}),
        (404, {"path": "/v2/alert_events"}),
        (405, {"method": "GET"}),
        (405, {"method": "PUT"}),
        (400, {"headers": {"User-Agent": ""}}),
        (400, {"data": b"{broken", "headers": {"Content-Type": "application/json"}}),
        (400, {"data": json.dumps(EVENT).encode()}),
        (413, {"data": b" " * (512 * 1024 + 1)}),
        (411, {"data": iter([b"chunk"])}),
        (422, {"json": [EVENT]}),
        (422, {"json": {**EVENT, "title": ""}}),
        (422, {"json": {"title": "t", "status": "firing"}}),
        (422, {"json": {"title": "t", "deduplication_key": "k"}}),
        (422, {"json": {**EVENT, "status": "acknowledged"}}),
        (422, {"json": {**EVENT, "title": 7}}),
        (422, {"json": {**EVENT, "metadata": []}}),
        (422, {"json": {**EVENT, "description": None}}),
        (422, {"json": {**EVENT, "severity": "high"}}),
    ],
)
def test_a_wrong_request_gets_the_documented_error(
    simulator: Simulator, status: int, options: dict[str, Any]
) -> None:
    answer = ask(simulator, **options)
    assert answer.status_code == status
    said = answer.json()
    assert set(said) >= {"type", "status", "request_id", "errors"}
    assert said["errors"][0]["message"]
    assert simulator.events() == []
    assert [request.status for request in simulator.requests] == [status]


def test_requests_are_kept_without_the_key(simulator: Simulator) -> None:
    ask(simulator)
    ask(simulator, key="another-secret")
    assert [request.authorized for request in simulator.requests] == [True, False]
    assert "secret" not in repr(simulator.requests)
    assert KEY not in repr(simulator.requests)


def test_the_same_key_and_source_are_one_alert(simulator: Simulator) -> None:
    for status in ("firing", "firing", "resolved"):
        ask(simulator, json={**EVENT, "status": status})
    ask(simulator, path="/v2/alert_events/http/infra-id")
    assert simulator.alerts == {("main", "k"): "resolved", ("infra-id", "k"): "firing"}
    assert len(simulator.events()) == 4


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_heartbeat_is_taken_with_the_key_alone(simulator: Simulator, method: str) -> None:
    path = "/v2/heartbeat/main/ping"
    assert ask(simulator, method, path).status_code == 204
    assert ask(simulator, method, path, key=None).status_code == 401
    assert simulator.events() == []


def test_it_tells_whether_a_key_is_good(simulator: Simulator) -> None:
    answer = ask(simulator, "GET", "/v1/identity")
    assert answer.status_code == 200
    assert set(answer.json()["identity"]) >= {"name", "roles", "dashboard_url"}
    assert ask(simulator, "GET", "/v1/identity", key="wrong").status_code == 401
    assert ask(simulator, "POST", "/v1/identity").status_code == 405


def test_the_limits_count_sources_and_keys() -> None:
    with Simulator(keys={KEY: {"main", "other"}}, per_minute=2, key_per_minute=3) as simulator:
        statuses = [ask(simulator).status_code for _ in range(3)]
        other = "/v2/alert_events/http/other"
        statuses += [ask(simulator, path=other).status_code for _ in range(2)]
        assert statuses == [202, 202, 429, 202, 429]
        answer = ask(simulator)
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert answer.json()["rate_limit"]["remaining"] == 0


def test_answers_can_be_forced_for_a_while(simulator: Simulator) -> None:
    simulator.answer_next(503, count=2, headers={"Retry-After": "1"}, body={"errors": []})
    assert [ask(simulator).status_code for _ in range(3)] == [503, 503, 202]
    simulator.answer_with(500, body="<html>")
    assert [ask(simulator).text for _ in range(2)] == ["<html>", "<html>"]
    simulator.clear()
    assert ask(simulator).status_code == 202
    assert len(simulator.events()) == 2


def test_an_event_can_be_taken_though_its_sender_gets_no_answer(simulator: Simulator) -> None:
    simulator.answer_next(mode="reset", taken=True)
    with pytest.raises(requests.ConnectionError):
        ask(simulator)
    assert len(simulator.events("k")) == 1


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "answer"])
def test_each_way_to_fail_is_no_answer_to_a_client(simulator: Simulator, mode: str) -> None:
    simulator.answer_with(mode=mode)

    def clear() -> None:
        simulator.wait_for(lambda: simulator.requests, 60)
        simulator.clear()

    clearing = threading.Thread(target=clear)
    clearing.start()
    with pytest.raises(requests.RequestException):
        raise_unless_complete(ask(simulator))
    clearing.join(5)


def raise_unless_complete(answer: requests.Response) -> None:
    # Headers that break off look complete to the client, with what came of them.
    if "X-Slow" in answer.headers:
        raise requests.ConnectionError


def test_it_can_be_waited_for_without_sleeping(simulator: Simulator) -> None:
    assert not simulator.wait_for(lambda: simulator.requests, 0.01)
    threading.Thread(target=ask, args=(simulator,)).start()
    assert simulator.wait_for(lambda: simulator.events("k"), 60)


def test_reset_forgets_everything(simulator: Simulator) -> None:
    ask(simulator)
    simulator.answer_with(500)
    simulator.reset()
    assert (simulator.requests, simulator.alerts) == ([], {})
    assert ask(simulator).status_code == 202


def test_other_processes_control_it_over_http(simulator: Simulator) -> None:
    ask(simulator, path="/_sim/answer", json={"status": 500, "count": 1})
    assert [ask(simulator).status_code for _ in range(2)] == [500, 202]
    assert [event["body"] for event in ask(simulator, "GET", "/_sim/events").json()] == [EVENT]
    assert len(ask(simulator, "GET", "/_sim/requests").json()) == 2
    assert ask(simulator, "GET", "/_sim/alerts").json() == [
        {"source": "main", "deduplication_key": "k", "state": "firing"}
    ]
    assert ask(simulator, "GET", "/_sim/counts").json() == {"main": 1}
    ask(simulator, path="/_sim/limit", json={"per_minute": 1})
    assert ask(simulator).status_code == 429
    ask(simulator, path="/_sim/reset", json={})
    assert simulator.requests == []
    assert ask(simulator, "GET", "/_sim/nothing").status_code == 404


def test_a_request_that_breaks_off_was_never_made(simulator: Simulator) -> None:
    address = ("127.0.0.1", int(simulator.base_url.rpartition(":")[2]))
    with socket.create_connection(address, timeout=5) as connection:
        connection.sendall(f"POST {PATH} HTTP/1.1\r\nContent-Length: 99\r\n\r\n{{".encode())
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    assert simulator.requests == []


def test_its_end_closes_the_connections() -> None:
    with Simulator(keys={}) as simulator:
        connection = socket.create_connection(("127.0.0.1", int(simulator.base_url.rpartition(":")[2])))
        connection.settimeout(5)
        connection.sendall(b"GET /_sim/alerts HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(9_999).startswith(b"HTTP/1.1 200")
    with connection:
        assert connection.recv(1) == b""


def test_it_runs_as_a_process_that_prints_each_event() -> None:
    command = [sys.executable, "-u", "-m", "local.simulator", "--port", "0", "--key", KEY, "--source", "main"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            address = process.stdout.readline().split()[-1]
            assert ask(address).status_code == 202
            line = process.stdout.readline()
        finally:
            process.kill()
    assert "firing" in line
    assert "key k" in line
