"""Processes are killed while a silence ends: all that it held is notified of and paged."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import redis
import requests

from tests.destinations.standin import Got, StandIn
from tests.fakes import GATEWAY_SECRET
from tests.stories.stack import Stack, wait_until

HELD = 250
"""More than are released in one step."""
SECRET = {"X-Gateway-Secret": GATEWAY_SECRET}
LATEST = 90.0
"""Seconds: two processes start, and the right to release runs out that the killed one had."""


def test_web_and_worker_are_killed_while_a_silence_ends(own: Callable[..., Stack]) -> None:
    with StandIn().serving() as channel:
        ops = {"name": "ops", "url": f"json://127.0.0.1:{channel.port}/", "template": "{{ incident.id }}"}
        stack = own(config={"alert": {"channels": [ops]}})
        match = {"match": {"service": "checkout"}, "minutes": 60, "comment": "deployment"}
        answer = requests.post(f"{stack.base}/api/silences", json=match, headers=SECRET, timeout=30)
        silence = answer.json()["silence"]["id"]
        bodies = [{"title": f"Disk full on host {n}", "service": "checkout"} for n in range(HELD)]
        ids = {one["id"] for one in stack.post(bodies, oncall_wait_minutes="0.02").json()["incidents"]}
        assert (len(ids), channel.got, stack.simulator.events()) == (HELD, [], [])

        client = redis.Redis.from_url(stack.redis.url)
        with ThreadPoolExecutor(1) as person:
            ends = person.submit(_end, stack, silence)
            wait_until(lambda: int(client.zcard(f"versus:silenced:{silence}")) < HELD, "it is being ended")
            for one in (stack.web, *stack.workers):
                one.kill()
            ends.result()
        stack.web, stack.workers = stack.start("web"), [stack.start("worker")]

        wait_until(lambda: _paged(stack) == ids, "all are paged", LATEST)
        wait_until(lambda: _heard_of(channel.got) >= HELD, "the channel has heard of all", LATEST)
        assert client.zcard(f"versus:silenced:{silence}") == 0


def _end(stack: Stack, silence: str) -> None:
    try:
        requests.delete(f"{stack.base}/api/silences/{silence}", headers=SECRET, timeout=30)
    except requests.RequestException:
        """It was killed before it had answered."""


def _paged(stack: Stack) -> set[str]:
    return {event.body["deduplication_key"] for event in stack.simulator.events() if event.accepted}


def _heard_of(messages: Iterable[Got]) -> int:
    """How many incidents: those with a message of their own, and those that summaries count."""
    singles, counted = set(), 0
    for one in list(messages):
        counts = one.json["title"].partition("Many incidents at once")[2]
        counted += sum(map(int, re.findall(r"\d+", counts)))
        if not counts:
            singles.add(one.json["message"])
    return len(singles) + counted
