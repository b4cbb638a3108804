"""Story: /readyz tells the truth while something is broken; the heartbeat stops when pages do not leave."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from typing import Any

import redis
import requests

from app.store.delivery_queue import HEARTBEAT
from local.incident_io_rules import Request
from tests.stories.stack import DEADLINE, Stack, answered_within, wait_until

# What is dead, or overdue, for 30 s is reported; a busy machine needs more.
REPORTED_WITHIN = 120.0
# A request waits 2 s for Redis, and a try that began before may end after.
ANSWERED_WITHIN = 5.0
HEARTBEAT_SECONDS = 30.0


def wrong(stack: Stack) -> dict[str, str]:
    """What /readyz says is not well, by name; its status must say the same."""
    answer = requests.get(f"{stack.base}/readyz", timeout=60)
    checks: dict[str, str] = answer.json()["checks"]
    found = {name: verdict for name, verdict in checks.items() if verdict != "ok"}
    assert answer.status_code == (503 if found else 200)
    return found


def test_redis_dies_hangs_and_is_back(own: Callable[..., Stack]) -> None:
    stack = own()
    assert wrong(stack) == {}
    stack.redis.kill()
    assert "Redis can't be reached" in wrong(stack)["redis"]
    stack.redis.start()
    wait_until(lambda: wrong(stack) == {}, "well again after a restart of Redis")
    assert stack.redis.process is not None
    stack.redis.process.send_signal(signal.SIGSTOP)
    ready = answered_within(ANSWERED_WITHIN, lambda: requests.get(f"{stack.base}/readyz", timeout=60))
    assert "Redis can't be reached" in ready.json()["checks"]["redis"]
    assert requests.get(f"{stack.base}/healthz", timeout=60).status_code == 200
    stack.redis.process.send_signal(signal.SIGCONT)
    wait_until(lambda: wrong(stack) == {}, "well again once Redis goes on")


def test_all_workers_die_and_one_is_started(own: Callable[..., Stack]) -> None:
    stack = own(workers=2)
    stack.workers[0].kill()
    stack.workers[1].kill()
    said = wait_until(lambda: wrong(stack).get("workers"), "it says that no worker lives", REPORTED_WITHIN)
    assert said.startswith("no worker has been seen in the last 30 s")
    wait_until(lambda: set(wrong(stack)) == {"workers"}, "nothing else is wrong")
    stack.workers.append(stack.start("worker"))
    wait_until(lambda: wrong(stack) == {}, "well again with a new worker")


def test_a_worker_that_hangs_leaves_a_page_overdue(own: Callable[..., Stack]) -> None:
    stack = own()
    stack.workers[0].signal(signal.SIGSTOP)
    incident = stack.report(0)
    wait_until(lambda: "overdue" in wrong(stack), "it says that a page is overdue", REPORTED_WITHIN)
    assert re.match(r"an incident is overdue by ([3-9]\d|1\d\d) s", wrong(stack)["overdue"])
    stack.workers[0].signal(signal.SIGCONT)
    wait_until(lambda: wrong(stack) == {}, "well again once the worker goes on")
    stack.wait_for_state(incident, "escalated")


def test_a_page_that_incident_io_refuses_again_and_again_is_overdue(own: Callable[..., Stack]) -> None:
    stack = own()
    stack.simulator.answer_with(500)
    incident = stack.report(0)
    wait_until(lambda: "overdue" in wrong(stack), "it says that a page is overdue", REPORTED_WITHIN)
    stack.simulator.clear()
    # Its pause has grown to 32 s by now.
    stack.wait_for_state(incident, "escalated")
    wait_until(lambda: wrong(stack) == {}, "well again once the page is out")


# -- the heartbeat ------------------------------------------------------------------------------------------


def with_heartbeat(own: Callable[..., Stack]) -> Stack:
    """Two workers that ping `source-infra`."""
    return own(workers=2, incident_io={"heartbeat_config_id": "source-infra"})


def pings(stack: Stack) -> list[Request]:
    return [r for r in list(stack.simulator.requests) if r.path == "/v2/heartbeat/source-infra/ping"]


def next_turn(client: Any) -> None:
    """The next heartbeat's turn comes now, and some worker has taken it."""
    client.delete(HEARTBEAT)
    wait_until(lambda: client.exists(HEARTBEAT), "a worker takes its turn")


def test_two_workers_send_one_heartbeat_every_30_s(own: Callable[..., Stack]) -> None:
    stack = with_heartbeat(own)
    assert stack.simulator.wait_for(lambda: len(pings(stack)) >= 2, HEARTBEAT_SECONDS + DEADLINE)
    first, second, *_ = pings(stack)
    # Two that send one each would not leave as much time in between. The first one may have come late.
    assert second.monotonic - first.monotonic >= HEARTBEAT_SECONDS / 2
    assert (first.status, second.status) == (204, 204)


def test_the_heartbeat_stops_while_no_page_is_accepted(own: Callable[..., Stack]) -> None:
    stack = with_heartbeat(own)
    client = redis.Redis.from_url(stack.redis.url)
    assert stack.simulator.wait_for(lambda: pings(stack), DEADLINE)
    stack.simulator.answer_with(500)
    incidents = [stack.report(0) for _ in range(5)]
    wait_until(lambda: all(stack.show(i)["last_error"] for i in incidents), "every attempt failed")
    # Whatever a worker had begun before the last failure has arrived after a turn.
    next_turn(client)
    before = len(pings(stack))
    for _ in range(3):
        next_turn(client)
    assert len(pings(stack)) == before
    stack.simulator.clear()
    for incident in incidents:
        stack.wait_for_state(incident, "escalated")
    next_turn(client)
    assert stack.simulator.wait_for(lambda: len(pings(stack)) > before, DEADLINE)
