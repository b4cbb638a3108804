"""What Redis tells about the work that it had, and how fast it answers a client that does nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import redis

# Writes as much as a store does, under as many keys: a record, its lists, its due time.
STORE_LIKE = """
redis.call('HSET', KEYS[1], 'v', ARGV[1], 'doc', ARGV[2], 'payload', ARGV[3])
for i = 2, #KEYS do
  redis.call('ZADD', KEYS[i], ARGV[4], ARGV[5])
end
return 1
"""
LISTS = 5
DOCUMENT_BYTES = 900
PAYLOAD_BYTES = 900


@dataclass(frozen=True)
class Work:
    """What a Redis server has done, as a difference between two moments."""

    round_trips: int
    """Requests that were read from a client; a pipeline is one."""
    calls: int
    """Commands, those inside scripts included."""
    script_seconds: float
    """Within scripts."""
    cpu_seconds: float
    """Of the server's process, its append-only file included."""

    def __sub__(self, before: Work) -> Work:
        return Work(
            self.round_trips - before.round_trips,
            self.calls - before.calls,
            self.script_seconds - before.script_seconds,
            self.cpu_seconds - before.cpu_seconds,
        )


class RedisSide:
    """The server on this port of 127.0.0.1."""

    def __init__(self, port: int) -> None:
        # As the service's own client: text, RESP 2.
        self._client = redis.Redis(port=port, decode_responses=True, protocol=2)

    def work(self) -> Work:
        """All the work since the server started."""
        commands: dict[str, dict[str, Any]] = self._info("commandstats")
        stats, cpu = self._info("stats"), self._info("cpu")
        script = commands.get("cmdstat_evalsha", {"usec": 0})
        return Work(
            stats["total_reads_processed"],
            sum(command["calls"] for command in commands.values()),
            script["usec"] / 1e6,
            cpu["used_cpu_user"] + cpu["used_cpu_sys"],
        )

    def memory(self) -> int:
        """Bytes that its data take."""
        used: int = self._info("memory")["used_memory"]
        return used

    def existing(self, keys: Sequence[str]) -> int:
        """How many of these keys there are."""
        return sum(
            int(self._client.exists(*keys[start : start + 1000])) for start in range(0, len(keys), 1000)
        )

    def pings_per_second(self, count: int) -> float:
        """Of one client over one connection."""
        return _rate(count, self._client.ping)

    def scripts_per_second(self, count: int) -> float:
        """Of one client that writes as much with each EVALSHA as a store does."""
        script = self._client.register_script(STORE_LIKE)
        document, payload = (json.dumps("x" * size) for size in (DOCUMENT_BYTES, PAYLOAD_BYTES))

        def store() -> object:
            now = time.monotonic_ns()
            keys = [f"benchmark:{now}", *(f"benchmark:list:{n}" for n in range(LISTS))]
            return script(keys=keys, args=["0123456789abcdef", document, payload, now, now])

        return _rate(count, store)

    def _info(self, section: str) -> dict[str, Any]:
        told: dict[str, Any] = self._client.info(section)
        return told


def _rate(count: int, call: Callable[[], object]) -> float:
    began = time.monotonic()
    for _ in range(count):
        call()
    return count / (time.monotonic() - began)
