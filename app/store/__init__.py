"""Everything that is kept, in Redis; no other package knows a key or a command."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from app.domain.delivery import Destination
from app.store import counters, snapshot
from app.store.clock import Clock
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
from app.store.drills import Drills, LastDrill
from app.store.epoch import Epoch, Loss
from app.store.fingerprints import Fingerprints
from app.store.incidents import Incidents
from app.store.notifications import SUMMARY, Notifications
from app.store.processes import Kind, Process, Processes
from app.store.read_only import ReadOnly
from app.store.reading import Defaults, Reader
from app.store.refused import RefusedWebhooks
from app.store.rejected import KEPT, Rejected
from app.store.retention import Retention
from app.store.schema import OURS, NewerSchema, Schema
from app.store.search import BadCursor, Search, SearchPage
from app.store.server_info import Server, Settings
from app.store.sessions import Sessions
from app.store.silences import SilenceList, SilenceNotFound, TooManySilences
from app.store.snapshot import Budget, Snapshot
from app.store.traces import Traces
from app.store.unit_of_work import IncidentNotFound, Stored, UnitOfWork

__all__ = [
    "CHECK_AGAIN_SECONDS",
    "KEPT",
    "OURS",
    "SUMMARY",
    "BadCursor",
    "Budget",
    "Defaults",
    "DueDelivery",
    "IncidentNotFound",
    "Kind",
    "LastDrill",
    "Loss",
    "NewerSchema",
    "Process",
    "Processes",
    "Search",
    "SearchPage",
    "Settings",
    "SilenceNotFound",
    "Snapshot",
    "Store",
    "StoreLoginRefused",
    "StoreNotVerified",
    "StoreRefusesWrites",
    "StoreUnavailable",
    "Stored",
    "TooManySilences",
    "UnitOfWork",
    "first_contact",
]


class Store:
    """Incidents, delivery queue, notifications, rejected bodies and logins of one Redis, and its clock.

    `retry_seconds` and `timeout`: how long a call is tried while Redis is away, and how long one try
    may take. `connections`: so many at most; small plans of Redis take 20 in all, from every process.
    `defaults`: where an incident goes whose record can't be read. `sources`: names that are always counted by
    themselves. `payload_bytes`: that the bodies of incidents that are not resolved may take.
    """

    def __init__(
        self,
        url: str,
        *,
        retry_seconds: float = 10.0,
        timeout: float = 3.0,
        connections: int = 7,
        defaults: Defaults = Defaults(),  # noqa: B008
        sources: Collection[str] = (),
        payload_bytes: int = 256 * 2**20,
    ) -> None:
        self._connection = Connection(
            url, retry_seconds=retry_seconds, timeout=timeout, connections=connections
        )
        self.clock = Clock(self._connection)
        self.delivery_queue = DeliveryQueue(self._connection)
        self.drills = Drills(self._connection)
        counted = Sources(self._connection, sources)
        reader = Reader(self._connection, defaults, self.now)
        self.silences = SilenceList(self._connection)
        self.incidents = Incidents(self._connection, reader, counted, self.silences, payload_bytes)
        self.fingerprints = Fingerprints(self._connection)
        self.notifications = Notifications(self._connection)
        self.processes = Processes(self._connection)
        self.read_only = ReadOnly(self._connection)
        self.refused = RefusedWebhooks(self._connection)
        self.rejected = Rejected(self._connection)
        self.retention = Retention(self._connection, reader, counted)
        self.schema = Schema(self._connection)
        self.sessions = Sessions(self._connection, self.now)
        self.server = Server(self._connection)
        self.traces = Traces(self._connection)
        self.epoch = Epoch(self._connection, self.now)

    def snapshot(
        self, now: datetime, late: timedelta, seen: timedelta, limits: Mapping[Destination, Sequence[Limit]]
    ) -> Snapshot:
        """How things stand, and what was counted; see `app/store/snapshot.py`. Raises `StoreUnavailable`."""
        return snapshot.read(self._connection, now, late, seen, limits, self.silences)

    def count_lost(self, log_lines: int, webhooks: int = 0) -> None:
        """Count log lines that were dropped, and webhooks refused unread. Raises `StoreUnavailable`."""
        self._connection.calls(counters.lost(log_lines, webhooks))

    def now(self) -> datetime:
        """The service's time, UTC. Raises `StoreUnavailable`."""
        return self.clock.now()

    def deadline(self, seconds: float) -> AbstractContextManager[None]:
        """All calls of this thread inside the block share one deadline, `seconds` from now."""
        return self._connection.deadline(seconds)
