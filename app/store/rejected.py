"""Rejected webhooks: the newest thousand, the same one again and again kept once with a count."""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from app.domain.timeline import rfc3339
from app.store.connection import PREFIX, Connection

REJECTED = PREFIX + "rejected"
ENTRIES = REJECTED + ":entries"
COUNTS = REJECTED + ":counts"
BYTES = REJECTED + ":bytes"

KEPT = 1000
BODY_KEPT = 65_536
"""Bytes of a body."""
# What one body may take of Redis's memory, bytes: as JSON, a control character takes six.
ROOM = 2 * BODY_KEPT
PREVIEW = 2_000
"""Characters shown of a body that is kept as base64."""

# KEYS: times, entries, counts, bytes; ARGV: ID, time, entry, how many are kept, how many bytes of them.
REJECT_SCRIPT = """
local times, entries, counts, bytes = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
redis.call('ZADD', times, ARGV[2], ARGV[1])
if redis.call('HSETNX', entries, ARGV[1], ARGV[3]) == 1 then
  redis.call('INCRBY', bytes, #ARGV[3])
end
redis.call('HINCRBY', counts, ARGV[1], 1)
local kept, used = redis.call('ZCARD', times), tonumber(redis.call('GET', bytes) or 0)
while kept > 1 and (kept > tonumber(ARGV[4]) or used > tonumber(ARGV[5])) do
  local oldest = redis.call('ZRANGE', times, 0, 0)[1]
  used = redis.call('DECRBY', bytes, redis.call('HSTRLEN', entries, oldest))
  redis.call('ZREM', times, oldest)
  redis.call('HDEL', entries, oldest)
  redis.call('HDEL', counts, oldest)
  kept = kept - 1
end
"""

# KEYS: times, entries, counts, bytes; ARGV: ID.
FORGET_SCRIPT = """
redis.call('DECRBY', KEYS[4], redis.call('HSTRLEN', KEYS[2], ARGV[1]))
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
if redis.call('ZCARD', KEYS[1]) == 0 then
  redis.call('DEL', KEYS[4])
end
"""

KEYS = (REJECTED, ENTRIES, COUNTS, BYTES)


class RejectedNotFound(Exception):
    """There is no rejected body with this ID."""


class Rejected:
    """What was sent and refused, so that nothing is lost without trace."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._reject = connection.script(REJECT_SCRIPT)
        self._forget = connection.script(FORGET_SCRIPT)

    def add(
        self,
        body: bytes,
        now: datetime,
        *,
        error: str,
        status: int,
        about: Mapping[str, Any],
        most_bytes: int,
    ) -> str:
        """Keep a body (its first 64 KiB) and why it was refused; returns the entry's ID.

        `about`: headers and query, free of secrets; `most_bytes`: of all entries, or the oldest go. Raises
        `StoreUnavailable`.
        """
        entry_id = hashlib.sha256(body + error.encode()).hexdigest()[:32]
        entry = {
            "id": entry_id,
            "first_at": rfc3339(now),
            "status": status,
            "error": error,
            "size": len(body),
            "truncated": len(body) > BODY_KEPT,
            **_kept(body),
            **about,
        }
        self._reject(KEYS, [entry_id, now.timestamp(), json.dumps(entry), KEPT, most_bytes])
        return entry_id

    def require(self, entry_id: str) -> dict[str, Any]:
        """One entry, without count and last time. Raises `RejectedNotFound` and `StoreUnavailable`."""
        entry = self._connection.call("HGET", ENTRIES, entry_id)
        if entry is None:
            raise RejectedNotFound(
                f"There is no rejected body {entry_id[:40]!r}: GET /api/rejected lists those that are kept."
            )
        found: dict[str, Any] = json.loads(entry)
        return found

    def forget(self, entry_id: str) -> None:
        """Remove an entry, if it is still there. Raises `StoreUnavailable`."""
        self._forget(KEYS, [entry_id])

    def newest(self, limit: int) -> list[dict[str, Any]]:
        """The entries, the one refused last first, each with `count` and `last_at`.

        Raises `StoreUnavailable`.
        """
        rows = self._connection.call("ZREVRANGE", REJECTED, 0, limit - 1, "WITHSCORES")
        ids, times = rows[::2], rows[1::2]
        if not ids:
            return []
        entries, counts = self._connection.calls([("HMGET", ENTRIES, *ids), ("HMGET", COUNTS, *ids)])
        return [
            {**json.loads(entry), "count": int(count), "last_at": rfc3339(_moment(time))}
            for entry, count, time in zip(entries, counts, times, strict=True)
            if entry is not None and count is not None
        ]


def whole_body(entry: Mapping[str, Any]) -> bytes | None:
    """The body of an entry, byte for byte; None when only its beginning was kept."""
    if entry["truncated"]:
        return None
    if "body_base64" in entry:
        return b64decode(entry["body_base64"])
    return str(entry["body"]).encode()


def _kept(body: bytes) -> dict[str, str]:
    """The body as text; what is none, or what JSON would bloat, as a glance at it and the whole in base64."""
    text = body[:BODY_KEPT].decode("utf-8", "replace")
    if len(body) <= BODY_KEPT and (text.encode() != body or len(json.dumps(text)) > ROOM):
        return {"body": text[:PREVIEW], "body_base64": b64encode(body).decode()}
    while len(json.dumps(text)) > ROOM:
        text = text[: len(text) // 2]
    return {"body": text}


def _moment(timestamp: str) -> datetime:
    return datetime.fromtimestamp(float(timestamp), UTC)
