"""Everything that is kept, in Redis; no other package knows a key or a command."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime

from app.store.agenda import LOOK_AGAIN, Agenda, Look
from app.store.connection import Connection, Unavailable
from app.store.counters import Counters, read
from app.store.incidents import Draft, Incidents, Stored, Unknown
from app.store.notices import Claimed, Notices
from app.store.rejected import KEPT, Rejected
from app.store.retention import BATCH, Retention
from app.store.search import Page, Search
from app.store.server import Server, Settings

__all__ = [
    "BATCH",
    "KEPT",
    "LOOK_AGAIN",
    "Claimed",
    "Counters",
    "Draft",
    "Look",
    "Page",
    "Search",
    "Settings",
    "Store",
    "Stored",
    "Unavailable",
    "Unknown",
]


class Store:
    """Incidents, agenda, notices and rejected bodies of one Redis, and its clock.

    `patience` and `timeout` in seconds: how long a call is tried while Redis is away, and how long one try
    may take.
    """

    def __init__(self, url: str, *, patience: float = 10.0, timeout: float = 3.0) -> None:
        self._connection = Connection(url, patience=patience, timeout=timeout)
        self.agenda = Agenda(self._connection)
        self.incidents = Incidents(self._connection)
        self.notices = Notices(self._connection)
        self.rejected = Rejected(self._connection)
        self.retention = Retention(self._connection)
        self.server = Server(self._connection)

    def counters(self) -> Counters:
        """What was counted, by every process. Raises `Unavailable`."""
        return read(self._connection)

    def now(self) -> datetime:
        """Redis's time, UTC. Raises `Unavailable`."""
        return self._connection.now()

    def patience(self, seconds: float) -> AbstractContextManager[None]:
        """All calls of this thread inside the block share one deadline, `seconds` from now."""
        return self._connection.patience(seconds)
