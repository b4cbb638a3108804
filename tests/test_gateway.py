"""How a process is put together: what it goes by, and in which order it does things."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from app.alert import Alert
from app.delivery import Destination
from app.gateway import Gateway, build
from app.incident import Incident
from app.receive import Message, Options, receive
from app.store import Store
from app.wakeup import Wakeup
from config import load_config
from tests.fakes import environment


def test_every_process_goes_by_the_clock_of_redis(redis_url: str) -> None:
    gateway = build(load_config(environ=environment(redis_url)))
    assert gateway.clock == gateway.store.now


class WatchfulWakeup(Wakeup):
    """Looks, whenever it publishes a message, for what the message is about."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.found: list[Incident | None] = []

    def enqueue(
        self, incident_id: str, wait: float, pagers: Sequence[Destination] = (), title: str | None = None
    ) -> bool:
        self.found.append(self._store.incidents.get(incident_id))
        return True


def test_a_message_comes_after_what_it_is_for_is_stored(gateway: Gateway) -> None:
    """A worker that was faster would take the record for lost, and page."""
    wakeup = WatchfulWakeup(gateway.store)
    watched = dataclasses.replace(gateway, wakeup=wakeup)
    messages = [Message(Alert(title="Disk full", source="generic"), "{}")] * 2
    received = receive(watched, messages, Options(wait_minutes=0))
    assert wakeup.found == [one.incident for one in received]
