"""The messages that a worker holds until they are due: all that is left when Redis lost its data."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Any

from app.domain.delivery import Destination
from app.task_queue import MOST_MESSAGES, TaskQueue

ATTEMPTS = 20
PAUSE = 0.25
"""Seconds between attempts to publish."""


class Held:
    """Celery forgets the messages that it holds when its connection ends; this does not."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._messages: dict[str, tuple[float, list[Any]]] = {}

    def add(self, args: list[Any], eta: datetime | None) -> None:
        """A message came that is due then; a new one about an incident replaces an older one."""
        with self._lock:
            if eta is not None and len(self._messages) < MOST_MESSAGES:
                wait = (eta - datetime.now(UTC)).total_seconds()
                self._messages[str(args[0])] = time.monotonic() + wait, args

    def done(self, incident_id: str) -> None:
        """A message about the incident was delivered."""
        with self._lock:
            self._messages.pop(incident_id, None)

    def publish(self, task_queue: TaskQueue) -> None:
        """Publish all anew: those that Celery holds itself still are doubled, which changes nothing."""
        with self._lock:
            messages = list(self._messages.values())
        for due, args in messages:
            # Another version may say more, or less.
            incident_id, pagers, title = (*args, (), None)[:3]
            named = [Destination(pager) for pager in pagers]
            for _ in range(ATTEMPTS):
                if task_queue.enqueue(incident_id, due - time.monotonic(), named, title):
                    break
                time.sleep(PAUSE)
