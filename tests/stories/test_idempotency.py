"""Story: a sender that has no answer sends the same request again, with its `Idempotency-Key`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from tests.stories.stack import Stack, wait_until

AT_ONCE = 8
ROUNDS = 10


def send(stack: Stack, key: str, body: Any, wait_seconds: float = 3600) -> requests.Response:
    parameters = {"oncall_wait_minutes": f"{wait_seconds / 60:.6f}"}
    headers = {"Idempotency-Key": key}
    return requests.post(
        f"{stack.base}/api/incidents", json=body, params=parameters, headers=headers, timeout=60
    )


TITLE = "Disk full, said by eight at once"
"""Tells these pages from those of other tests with the same service."""


def test_those_that_come_at_the_same_instant_make_one_incident_and_one_page(stack: Stack) -> None:
    for number in range(ROUNDS):
        together = threading.Barrier(AT_ONCE)

        def one(_: int, key: str = f"round {number}", together: threading.Barrier = together) -> Any:
            together.wait()
            answer = send(stack, key, {"title": TITLE}, 0)
            return answer.status_code, answer.json()["incident"]["id"]

        with ThreadPoolExecutor(AT_ONCE) as senders:
            answers = set(senders.map(one, range(AT_ONCE)))
        assert len(answers) == 1
        [(status, _)] = answers
        assert status == 201

    def paged() -> set[str]:
        events = stack.simulator.events()
        return {one.body["deduplication_key"] for one in events if TITLE in one.body["description"]}

    wait_until(lambda: len(paged()) >= ROUNDS, "each is paged")
    assert len(paged()) == ROUNDS


def test_a_repeat_to_another_process_is_the_same_incident(own: Callable[..., Stack]) -> None:
    stack = own()
    first = send(stack, "one", {"title": "Disk full"}).json()["incident"]["id"]
    stack.web.kill()
    stack.start("web")
    wait_until(stack.is_ready, "web is back")
    assert send(stack, "one", {"title": "Disk full"}).json()["incident"]["id"] == first
    assert send(stack, "one", {"title": "Disk fuller"}).status_code == 422


def test_with_redis_away_it_is_paged_directly_once(own: Callable[..., Stack]) -> None:
    stack = own()
    stack.redis.kill()
    answers = [send(stack, "one", {"title": "Disk full"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert len({answer.json()["incident"]["id"] for answer in answers}) == 1
    assert len(stack.simulator.alerts) == 1
