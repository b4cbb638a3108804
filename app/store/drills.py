"""How the last drill went, for the status page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from app.store.connection import PREFIX, Connection, utc

LAST = PREFIX + "last-drill"


@dataclass(frozen=True, slots=True)
class LastDrill:
    """When it ended, UTC, and its verdict."""

    at: datetime
    passed: bool
    verdict: str


class Drills:
    """The last drill, kept until the next one."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def ended(self, drill: LastDrill) -> None:
        """Raises `StoreUnavailable`."""
        fields = ("at", drill.at.timestamp(), "passed", int(drill.passed), "verdict", drill.verdict)
        self._connection.call("HSET", LAST, *fields)

    def last(self) -> LastDrill | None:
        """None if there never was one. Raises `StoreUnavailable`."""
        at, passed, verdict = self._connection.call("HMGET", LAST, "at", "passed", "verdict")
        if at is None:
            return None
        return LastDrill(utc(at), passed == "1", verdict or "")
