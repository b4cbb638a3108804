"""Many at once: a worker dies in between, half are acknowledged at the last moment."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from tests.stories.stack import DEADLINE, Stack, wait_until

Own = Callable[..., Stack]


def test_500_due_at_once_and_one_of_two_workers_is_killed_in_between(own: Own) -> None:
    stack = own(workers=2)
    wait = 4
    bodies = [{"title": f"n {n}"} for n in range(50)]
    ids: set[str] = set()
    for _ in range(10):
        answer = stack.post(bodies, oncall_wait_minutes=f"{wait / 60:.6f}")
        ids |= {incident["id"] for incident in answer.json()["incidents"]}
    assert stack.simulator.wait_for(lambda: len(stack.simulator.alerts) >= 50, DEADLINE)
    stack.workers[0].kill()
    wait_until(lambda: len(stack.simulator.alerts) == len(ids), "all paged")
    sent = Counter(event.body["deduplication_key"] for event in stack.simulator.events())
    assert set(sent) == ids
    # Only what the killed worker had in flight may have been sent twice: never more than it has threads.
    repeated = [key for key, times in sent.items() if times > 1]
    assert len(repeated) <= 50
    assert max(sent.values()) <= 2


def test_200_of_which_half_are_acknowledged_up_to_the_last_moment(own: Own) -> None:
    stack = own(workers=2)
    incidents: list[dict[str, str]] = []
    for n in range(4):
        wait = {"oncall_wait_minutes": f"{(5 + n / 4) / 60:.6f}"}
        incidents += stack.post([{"title": f"n {n}"}] * 50, **wait).json()["incidents"]
    in_time: list[str] = []

    def acknowledge(numbered: tuple[int, dict[str, str]]) -> None:
        number, incident = numbered
        due = datetime.fromisoformat(incident["due_at"]).timestamp()
        # A slow machine answers only those in time that are pressed long before.
        left = due - 0.25 * (1 + number % 8) - time.time()
        time.sleep(max(0.0, left))
        assert stack.acknowledge(incident).status_code == 200
        if time.time() < due:
            in_time.append(incident["id"])

    with ThreadPoolExecutor(len(incidents)) as people:
        list(people.map(acknowledge, enumerate(incidents[::2])))
    others = [incident["id"] for incident in incidents[1::2]]
    wait_until(lambda: all(stack.simulator.events(i) for i in others), "every other one pages")
    assert len(in_time) > 20
    assert [i for i in in_time if stack.simulator.events(i)] == []
    assert all(len(stack.simulator.events(i)) == 1 for i in others)
