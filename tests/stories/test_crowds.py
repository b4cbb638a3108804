"""Many at once: a worker dies in between, half are acknowledged at the last moment."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from tests.stories.stack import Stack, wait_until

Own = Callable[..., Stack]


def test_500_due_at_once_and_one_of_two_workers_is_killed_in_between(own: Own) -> None:
    stack = own(workers=2)
    wait = 4
    bodies = [{"title": f"n {n}"} for n in range(50)]
    ids: set[str] = set()
    for _ in range(10):
        answer = stack.post(bodies, oncall_wait_minutes=f"{wait / 60:.6f}")
        ids |= {incident["id"] for incident in answer.json()["incidents"]}
    wait_until(lambda: len(stack.simulator.events()) >= 50, "the first pages left")
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
    with ThreadPoolExecutor(16) as people:
        incidents = list(people.map(lambda n: stack.report(5 + n * 0.005), range(200)))

        def acknowledge(incident: dict[str, str]) -> None:
            due = datetime.fromisoformat(incident["due_at"]).timestamp()
            wait_until(lambda: time.time() > due - 0.25, "nearly due")
            answer = stack.acknowledge(incident)
            # Answered well before it was due, or this machine is too slow to say anything.
            assert answer.status_code == 200
            if time.time() < due:
                in_time.append(incident["id"])

        in_time: list[str] = []
        list(people.map(acknowledge, incidents[::2]))
    others = [incident["id"] for incident in incidents[1::2]]
    wait_until(lambda: all(stack.simulator.events(i) for i in others), "every other one pages")
    assert len(in_time) > 80
    assert [i for i in in_time if stack.simulator.events(i)] == []
    assert all(len(stack.simulator.events(i)) == 1 for i in others)
