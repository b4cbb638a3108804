"""Puts a process together: configuration, store, task queue, provider, channels, links."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from app.ack_links import AckLinks
from app.destinations.base import Provider
from app.destinations.channels import Channels
from app.destinations.factory import channels_for, provider_for
from app.domain.delivery import Destination
from app.store import Store, UnitOfWork
from app.task_queue import TaskQueue, worth_a_message
from config import Config

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Services:
    """What the verbs (receive, deliver, actions) work with."""

    config: Config
    store: Store
    task_queue: TaskQueue
    provider: Provider
    channels: Channels
    links: AckLinks
    clock: Callable[[], datetime]
    """The time, UTC; Redis's, except in tests. May raise `StoreUnavailable`."""

    def update(
        self,
        work: Callable[[UnitOfWork], T],
        unit: UnitOfWork | None = None,
        *,
        ids: Sequence[str] = (),
        identities: Sequence[str] = (),
    ) -> T:
        """Change incidents in one atomic step, then publish a message for those that are soon to be sent.

        The incidents are those of `unit`, if they were read already, or the named ones; see
        `Incidents.update` in `app/store/incidents.py`. A message that fails changes nothing: what is stored
        will be found.
        """
        now = self.clock()
        unit = unit or self.store.incidents.unit_of_work(ids, identities)

        def enqueued(at: datetime, at_once: int) -> bool:
            return worth_a_message(at, now, at_once=at_once, pending=self.store.delivery_queue.pending())

        result, stored = self.store.incidents.update(unit, work, enqueued)
        self.task_queue.enqueue_stored(stored, now)
        return result

    def pager(self, alert_source: str) -> Destination:
        """The destination that this alert source is."""
        return Destination.of(self.provider.name, alert_source)

    def limits(self, pager: Destination) -> list[tuple[str, int]]:
        """Name and events a minute of each budget that this alert source counts against."""
        if pager.name != self.provider.name:
            return []
        budgets = self.provider.rate_limits(pager.address or "default")
        return [(budget.name, budget.per_minute) for budget in budgets]


def build_services(
    config: Config, *, retry_seconds: float = 10.0, timeout: float = 3.0, connections: int = 7
) -> Services:
    """The Redis, the provider and the channels of the configuration.

    `patience`, `timeout`, `connections`: see `Store`; a web process must answer soon, a worker can wait.
    """
    url = config.redis.url.get_secret_value()
    store = Store(url, retry_seconds=retry_seconds, timeout=timeout, connections=connections)
    return Services(
        config=config,
        store=store,
        task_queue=TaskQueue(url),
        provider=provider_for(config),
        channels=channels_for(config),
        links=AckLinks(config.link_key or store.sessions.link_key, config.public_base),
        clock=store.now,
    )
