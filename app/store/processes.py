"""The web processes and workers that live, and which version each is: `processes`, a sorted set by time.

A newer version may write what an older one does not know, but nobody should count on it before all know it
(docs/upgrading.md): `all_know`.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, cast

from app import __version__
from app.store.connection import PREFIX, Connection
from app.store.schema import OURS

PROCESSES = PREFIX + "processes"
LIVES = timedelta(seconds=30)
"""A process that has said nothing for so long is over, or can't reach Redis."""
REMEMBERED = timedelta(hours=1)

Kind = Literal["web", "worker"]


@dataclass(frozen=True, slots=True)
class Process:
    """One process, as it announced itself."""

    kind: Kind
    name: str
    version: str
    schema: str
    """What it can store, such as 1.0."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name} {self.version} {self.schema}"


class Processes:
    """Those that live. All raise `StoreUnavailable`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def announce(self, kind: Kind, now: datetime) -> None:
        """This process lives."""
        ours = Process(kind, f"{socket.gethostname()}:{os.getpid()}", __version__, OURS)
        self._connection.calls(
            [
                ("ZADD", PROCESSES, now.timestamp(), str(ours)),
                ("ZREMRANGEBYSCORE", PROCESSES, "-inf", (now - REMEMBERED).timestamp()),
            ]
        )

    def living(self, now: datetime) -> list[Process]:
        """All that were heard of lately."""
        since = (now - LIVES).timestamp()
        found = self._connection.call("ZRANGEBYSCORE", PROCESSES, since, "+inf")
        # A newer version may say more of itself.
        words = [member.split(" ") for member in sorted(found)]
        return [Process(cast(Kind, kind), name, version, schema) for kind, name, version, schema, *_ in words]

    def all_know(self, schema: str, now: datetime) -> bool:
        """Every process that lives can store what this schema has: what is new in it may be used."""
        living = self.living(now)
        return bool(living) and all(_numbers(one.schema) >= _numbers(schema) for one in living)


def _numbers(schema: str) -> tuple[int, ...]:
    """To compare schemas by."""
    return tuple(map(int, schema.split(".")))
