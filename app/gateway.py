"""Puts a process together: configuration, store, alarm clock, provider, channels, links."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from app.channels import Channels
from app.channels.make import make
from app.incident import Incident
from app.links import Links
from app.providers import Provider, provider_for
from app.store import Draft, Store
from app.wakeup import Wakeup, worth_announcing
from config import Config

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Gateway:
    """What the verbs (receive, deliver, actions) work with."""

    config: Config
    store: Store
    wakeup: Wakeup
    provider: Provider
    channels: Channels
    links: Links
    clock: Callable[[], datetime]
    """The time, UTC; Redis's, except in tests. May raise `Unavailable`."""

    def change(
        self,
        work: Callable[[Draft], T],
        draft: Draft | None = None,
        *,
        ids: Sequence[str] = (),
        identities: Sequence[str] = (),
    ) -> T:
        """Change incidents in one atomic step, then knock for those whose next attempt is to be announced.

        The incidents are those of `draft`, if they were read already, or the named ones; see
        `Incidents.change` in `app/store/incidents.py`. A knock that fails changes nothing: what is stored
        will be found.
        """
        now = self.clock()
        draft = draft or self.store.incidents.draft(ids, identities)

        def announced(incident: Incident, at_once: int) -> bool:
            return worth_announcing(incident, now, at_once=at_once, pending=self.store.agenda.pending())

        result, stored = self.store.incidents.change(draft, work, announced, self.channels.targets)
        self.wakeup.announce(stored, now)
        return result

    def limits(self, alert_source: str) -> list[tuple[str, int]]:
        """Name and events a minute of each budget that this alert source counts against."""
        return [(budget.name, budget.per_minute) for budget in self.provider.budgets(alert_source)]


def build(config: Config, *, patience: float = 10.0, timeout: float = 3.0, connections: int = 7) -> Gateway:
    """A gateway to the Redis and the provider of the configuration.

    `patience`, `timeout`, `connections`: see `Store`; a web process must answer soon, a worker can wait.
    """
    url = config.redis.url.get_secret_value()
    store = Store(url, patience=patience, timeout=timeout, connections=connections)
    return Gateway(
        config=config,
        store=store,
        wakeup=Wakeup(url),
        provider=provider_for(config),
        channels=make(config),
        links=Links(config.link_key, config.public_base),
        clock=store.now,
    )
