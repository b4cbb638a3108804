"""The messages that a worker holds, published anew when Redis lost its data."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.task_queue import TaskQueue
from tasks.held import Held


class Recording(TaskQueue):
    """Refuses so many messages, and remembers the others."""

    def __init__(self, refused: int = 0) -> None:
        self._refused = refused
        self.sent: list[tuple[Any, ...]] = []

    def enqueue(self, incident_id: str, wait: float, pagers: Any = (), title: str | None = None) -> bool:
        self._refused -= 1
        if self._refused < 0:
            self.sent.append((incident_id, round(wait), pagers, title))
        return self._refused < 0


def later(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def test_what_is_held_is_published_with_what_is_left_of_its_wait() -> None:
    held, task_queue = Held(), Recording()
    held.add(["a", ["incident_io/default"], "Disk full"], later(60))
    held.add(["b", [], None], later(30))
    held.add(["c", [], None], None)
    held.done("b")
    held.publish(task_queue)
    assert task_queue.sent == [("a", 60, ["incident_io/default"], "Disk full")]


def test_messages_of_other_versions_may_say_more_or_less() -> None:
    held, task_queue = Held(), Recording()
    held.add(["a", ["incident_io/default"], "Disk full", {"of": "a newer version"}], later(60))
    held.add(["b"], later(30))
    held.publish(task_queue)
    assert task_queue.sent == [("a", 60, ["incident_io/default"], "Disk full"), ("b", 30, [], None)]


def test_it_is_tried_until_redis_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.held.PAUSE", 0.0)
    held, task_queue = Held(), Recording(refused=5)
    held.add(["a", [], None], later(60))
    held.publish(task_queue)
    assert [one[0] for one in task_queue.sent] == ["a"]
