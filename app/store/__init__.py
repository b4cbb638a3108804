"""Everything that is kept, in Redis; no other package knows a key or a command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from app.domain.delivery import Destination
from app.store import snapshot
from app.store.connection import (
    Connection,
    StoreLoginRefused,
    StoreNotVerified,
    StoreRefusesWrites,
    StoreUnavailable,
    first_contact,
)
from app.store.counters import Sources
from app.store.delivery_queue import CHECK_AGAIN_SECONDS, DeliveryQueue, DueDelivery, Limit
from app.store.incidents import IncidentNotFound, Incidents, Stored, UnitOfWork
from app.store.notifications import SUMMARY, Notifications
from app.store.rejected import KEPT, Rejected
from app.store.retention import Retention
from app.store.search import BadCursor, Search, SearchPage
from app.store.server_info import Server, Settings
from app.store.sessions import Sessions
from app.store.snapshot import Budget, Snapshot

__all__ = [
    "CHECK_AGAIN_SECONDS",
    "KEPT",
    "SUMMARY",
    "BadCursor",
    "Budget",
    "DueDelivery",
    "IncidentNotFound",
    "Search",
    "SearchPage",
    "Settings",
    "Snapshot",
    "Store",
    "StoreLoginRefused",
    "StoreNotVerified",
    "StoreRefusesWrites",
    "StoreUnavailable",
    "Stored",
    "UnitOfWork",
    "first_contact",
]


class Store:
    """Incidents, delivery queue, notifications, rejected bodies and logins of one Redis, and its clock.

    `patience` and `timeout` in seconds: how long a call is tried while Redis is away, and how long one try
    may take. `connections`: so many at most; small plans of Redis take 20 in all, from every process.
    """

    def __init__(
        self, url: str, *, retry_seconds: float = 10.0, timeout: float = 3.0, connections: int = 7
    ) -> None:
        self._connection = Connection(
            url, retry_seconds=retry_seconds, timeout=timeout, connections=connections
        )
        self.delivery_queue = DeliveryQueue(self._connection)
        sources = Sources(self._connection)
        self.incidents = Incidents(self._connection, sources)
        self.notifications = Notifications(self._connection)
        self.rejected = Rejected(self._connection)
        self.retention = Retention(self._connection, sources)
        self.sessions = Sessions(self._connection)
        self.server = Server(self._connection)

    def snapshot(
        self, now: datetime, late: timedelta, seen: timedelta, limits: Mapping[Destination, Sequence[Limit]]
    ) -> Snapshot:
        """How things stand, and what was counted; see `app/store/snapshot.py`. Raises `StoreUnavailable`."""
        return snapshot.read(self._connection, now, late, seen, limits)

    def now(self) -> datetime:
        """Redis's time, UTC. Raises `StoreUnavailable`."""
        return self._connection.now()

    def deadline(self, seconds: float) -> AbstractContextManager[None]:
        """All calls of this thread inside the block share one deadline, `seconds` from now."""
        return self._connection.deadline(seconds)
