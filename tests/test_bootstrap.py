"""How a process is put together: what it goes by, and in which order it does things."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from app.bootstrap import Services, build_services
from app.domain.alert import Alert
from app.domain.delivery import Destination
from app.domain.incident import Incident
from app.ingest.service import Options, ReceivedAlert, receive
from app.store import Store
from app.task_queue import TaskQueue
from config import load_config
from tests.fakes import environment


def test_every_process_goes_by_the_clock_of_redis(redis_url: str) -> None:
    services = build_services(load_config(environ=environment(redis_url)))
    assert services.clock == services.store.now


class WatchfulTaskQueue(TaskQueue):
    """Looks, whenever it publishes a message, for what the message is about."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.found: list[Incident | None] = []

    def enqueue(
        self, incident_id: str, wait: float, pagers: Sequence[Destination] = (), title: str | None = None
    ) -> bool:
        self.found.append(self._store.incidents.get(incident_id))
        return True


def test_a_message_comes_after_what_it_is_for_is_stored(services: Services) -> None:
    """A worker that was faster would take the record for lost, and page."""
    task_queue = WatchfulTaskQueue(services.store)
    watched = dataclasses.replace(services, task_queue=task_queue)
    messages = [ReceivedAlert(Alert(title="Disk full", source="generic"), "{}")] * 2
    received = receive(watched, messages, Options(wait_minutes=0))
    assert task_queue.found == [one.incident for one in received]
