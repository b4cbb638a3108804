"""What can be known without a write: what is due, which workers live, what may still leave."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from app.domain.delivery import Destination
from app.store.connection import Connection
from app.store.delivery_queue import (
    NO_LIMIT,
    PAUSED,
    QUEUE,
    SENT,
    SPAN,
    URGENCIES,
    WINDOW_SECONDS,
    WORKERS,
    Limit,
)

LIVED_SECONDS = 30.0
"""Before the last worker was seen."""


class ReadOnly:
    """Questions that a Redis answers which refuses writes. All raise `StoreUnavailable`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def workers(self) -> list[str]:
        """The names of the workers that lived when Redis last took a write."""
        newest = self._connection.call("ZREVRANGE", WORKERS, 0, 0, "WITHSCORES")
        if not newest:
            return []
        since = float(newest[1]) - LIVED_SECONDS
        names: list[str] = self._connection.call("ZRANGEBYSCORE", WORKERS, since, "+inf")
        return names

    def due(self, pager: Destination, now: datetime, count: int) -> list[str]:
        """The IDs of up to `count` incidents that this pager is to be sent something about, the most urgent
        first."""
        firsts = [urgency * SPAN for urgency in range(URGENCIES)]
        found = self._connection.calls(
            ("ZRANGEBYSCORE", QUEUE + pager, first, first + now.timestamp(), "LIMIT", 0, count)
            for first in firsts
        )
        return [member.partition(" ")[0] for members in found for member in members][:count]

    def room(self, pager: Destination, limits: Sequence[Limit], now: datetime) -> list[int]:
        """How many events each budget of this pager has left of its minute; 0 for all during a pause."""
        paused, *sent = self._connection.calls(
            [
                ("GET", PAUSED + pager),
                *(("ZCOUNT", SENT + name, now.timestamp() - WINDOW_SECONDS, "+inf") for name, _ in limits),
            ]
        )
        if float(paused or 0) > now.timestamp():
            return [0] * len(limits)
        return [(limit or NO_LIMIT) - int(count) for (_, limit), count in zip(limits, sent, strict=True)]
