"""Puts a process together: configuration, store, task queue, provider, channels, links."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from app.ack_links import AckLinks
from app.destinations.base import Provider, RateLimit
from app.destinations.channels import Channels, make
from app.destinations.factory import make_providers
from app.domain.delivery import Destination
from app.ingest.webhooks import SOURCES
from app.store import Defaults, Store, UnitOfWork
from app.store.backlog import Backlog
from app.task_queue import TaskQueue, worth_a_message
from config import Config

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Services:
    """What everything that receives, delivers or acts works with."""

    config: Config
    store: Store
    task_queue: TaskQueue
    providers: Mapping[str, Provider]
    """By the name that destinations have."""
    channels: Channels
    links: AckLinks
    clock: Callable[[], datetime]
    """The time, UTC; Redis's, except in tests. May raise `StoreUnavailable`."""
    backlog: Backlog = field(default_factory=Backlog)
    """What was sent while Redis did not take writes, and is still to be stored."""

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

    def pager(self, name: str = "default") -> Destination:
        """The destination that this alert source of the configured provider is."""
        return Destination.of(self.config.oncall.provider, name)

    def limits(self, pager: Destination) -> Sequence[RateLimit]:
        """The limits that an event to this pager counts against."""
        provider = self.providers.get(pager.name)
        return provider.rate_limits(pager.address or "default") if provider else []


def build_services(
    config: Config, *, retry_seconds: float = 10.0, timeout: float = 3.0, connections: int = 7
) -> Services:
    """Services to the Redis and the providers of the configuration.

    `retry_seconds`, `timeout`, `connections`: see `Store`; a web process must answer soon, a worker can wait.
    """
    url = config.redis.url.get_secret_value()
    channels = make(config)
    store = Store(
        url,
        retry_seconds=retry_seconds,
        timeout=timeout,
        connections=connections,
        defaults=Defaults(Destination.of(config.oncall.provider, "default"), channels.subscriptions()),
        sources=SOURCES,
        payload_bytes=config.retention.payload_mib * 2**20,
    )
    return Services(
        config=config,
        store=store,
        task_queue=TaskQueue(url),
        providers=make_providers(config),
        channels=channels,
        links=AckLinks(
            config.link_key or store.sessions.link_key,
            config.public_base,
            previous=config.previous_link_key,
        ),
        clock=store.now,
    )
