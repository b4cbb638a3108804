"""What the Redis server says of itself: whether it takes writes, how fast it answers, its settings."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, replace
from typing import Any

import redis

from app.store.connection import PREFIX, Connection

PINGS = 5

PROBE = PREFIX + "takes-writes"
PROBE_STAYS = 10
"""Seconds; it is there only because it was written."""
WRITES_TRUSTED = 2.0
"""Seconds from a write that worked until the next question is worth one."""


@dataclass(frozen=True, slots=True)
class Settings:
    """None is what the server, or its operator, does not let this user ask for."""

    version: str | None
    appendonly: bool | None
    maxmemory_policy: str | None
    appendfsync: str | None = None
    """How often what was written is forced to disk."""


class Server:
    """Questions about the server itself; only one of them touches a key."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._took_a_write = float("-inf")

    def require_writes(self) -> None:
        """Returns if Redis took a write within the last seconds. Raises `StoreUnavailable`."""
        if time.monotonic() - self._took_a_write > WRITES_TRUSTED:
            self._connection.call("SET", PROBE, "1", "EX", PROBE_STAYS)
            self._took_a_write = time.monotonic()

    def round_trip(self) -> float:
        """Seconds from a question to its answer, the median of a few. Raises `StoreUnavailable`."""
        # The first one may have to connect.
        self._connection.call("PING")
        return statistics.median(self._timed_ping() for _ in range(PINGS))

    def _timed_ping(self) -> float:
        began = time.perf_counter()
        self._connection.call("PING")
        return time.perf_counter() - began

    def settings_from_info(self) -> Settings:
        """What one INFO says, which is most of what matters. Raises `StoreUnavailable`."""
        info = self._ask("INFO") or {}
        aof = info.get("aof_enabled")
        return Settings(
            version=info.get("valkey_version") or info.get("redis_version"),
            appendonly=None if aof is None else bool(aof),
            maxmemory_policy=info.get("maxmemory_policy"),
        )

    def settings(self) -> Settings:
        """The same and more, from HELLO and CONFIG GET where INFO is not enough.

        Raises `StoreUnavailable`.
        """
        known = self.settings_from_info()
        appendonly = known.appendonly
        if appendonly is None and (configured := self._configured("appendonly")):
            appendonly = configured == "yes"
        return replace(
            known,
            version=known.version or self._version(),
            appendonly=appendonly,
            maxmemory_policy=known.maxmemory_policy or self._configured("maxmemory-policy"),
            appendfsync=self._configured("appendfsync"),
        )

    def _configured(self, name: str) -> str | None:
        answer = self._ask("CONFIG GET", name) or {}
        value = answer.get(name)
        return None if value is None else str(value)

    def _version(self) -> str | None:
        # Names and values in turn; everybody who may connect may say HELLO.
        answer = [str(word) for word in self._ask("HELLO") or []]
        return dict(zip(answer[::2], answer[1::2], strict=False)).get("version")

    def _ask(self, *command: str) -> Any:
        """The answer, or None when this user may not ask, or the server does not know the question."""
        [answer] = self._connection.run(lambda ask: ask([command]))
        return None if isinstance(answer, redis.ResponseError) else answer
