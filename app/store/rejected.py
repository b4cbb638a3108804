"""Rejected webhooks: the newest thousand, the same one again and again kept once with a count."""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.domain.timeline import rfc3339
from app.store.connection import PREFIX, Connection, utc
from app.store.lua import lua

REJECTED = PREFIX + "rejected"
ENTRIES = REJECTED + ":entries"
COUNTS = REJECTED + ":counts"
BYTES = REJECTED + ":bytes"
INCIDENTS = REJECTED + ":incidents"

KEPT = 1000
BODY_KEPT = 65_536
"""Bytes of a body."""
# What one body may take of Redis's memory, bytes: as JSON, a control character takes six.
ROOM = 2 * BODY_KEPT
PREVIEW = 2_000
"""Characters shown of a body that is kept as base64."""

KEYS = (REJECTED, ENTRIES, COUNTS, BYTES, INCIDENTS)


class RejectedNotFound(Exception):
    """There is no rejected body with this ID."""


def id_of(body: bytes, error: str) -> str:
    """The ID of the entry for a body: the same body refused for the same reason is one entry."""
    return hashlib.sha256(body + error.encode()).hexdigest()[:32]


class Rejected:
    """What was sent and refused, so that nothing is lost without trace."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._reject = connection.script(lua("remove_rejected", "reject"))
        self._forget = connection.script(lua("remove_rejected", "forget_rejected"))

    def add(
        self,
        body: bytes,
        now: datetime,
        *,
        error: str,
        status: int,
        about: Mapping[str, Any],
        most_bytes: int,
        inside: bytes | None = None,
        incident_id: str | None = None,
    ) -> str:
        """Keep a body (its first 64 KiB) and why it was refused; returns the entry's ID.

        `about`: headers and query, free of secrets; `most_bytes`: of all entries, or the oldest go; `inside`:
        what is in it, if it is packed; `incident_id`: of the incident that reports it. Raises
        `StoreUnavailable`.
        """
        entry_id = id_of(body, error)
        entry = {
            "id": entry_id,
            "first_at": rfc3339(now),
            "status": status,
            "error": error,
            "size": len(body),
            "truncated": len(body) > BODY_KEPT,
            **_kept(body, body if inside is None else inside),
            **about,
        }
        self._reject(
            KEYS, [entry_id, now.timestamp(), json.dumps(entry), KEPT, most_bytes, incident_id or ""]
        )
        return entry_id

    def require(self, entry_id: str) -> dict[str, Any]:
        """One entry, without count and last time. Raises `RejectedNotFound` and `StoreUnavailable`."""
        entry, incident_id = self._connection.calls(
            [("HGET", ENTRIES, entry_id), ("HGET", INCIDENTS, entry_id)]
        )
        if entry is None:
            raise RejectedNotFound(
                f"There is no rejected body {entry_id[:40]!r}: GET /api/rejected lists those that are kept."
            )
        return {**json.loads(entry), "incident": incident_id}

    def forget(self, entry_id: str) -> None:
        """Remove an entry, if it is still there. Raises `StoreUnavailable`."""
        self._forget(KEYS, [entry_id])

    def newest(self, limit: int) -> list[dict[str, Any]]:
        """The entries, the one refused last first, each with `count`, `last_at` and the ID of its newest
        `incident`. Raises `StoreUnavailable`."""
        rows = self._connection.call("ZREVRANGE", REJECTED, 0, limit - 1, "WITHSCORES")
        ids, times = rows[::2], rows[1::2]
        if not ids:
            return []
        found = self._connection.calls([("HMGET", key, *ids) for key in (ENTRIES, COUNTS, INCIDENTS)])
        return [
            {
                **json.loads(entry),
                "count": int(count),
                "last_at": rfc3339(utc(time)),
                "incident": incident_id,
            }
            for entry, count, incident_id, time in zip(*found, times, strict=True)
            if entry is not None and count is not None
        ]


def whole_body(entry: Mapping[str, Any]) -> bytes | None:
    """The body of an entry, byte for byte; None when only its beginning was kept."""
    if entry["truncated"]:
        return None
    if "body_base64" in entry:
        return b64decode(entry["body_base64"])
    return str(entry["body"]).encode()


def _kept(body: bytes, inside: bytes) -> dict[str, str]:
    """The body as text; of one that is none, or is far longer as JSON, the beginning, and all in base64."""
    text = body[:BODY_KEPT].decode("utf-8", "replace")
    if len(body) <= BODY_KEPT and (text.encode() != body or len(json.dumps(text)) > ROOM):
        beginning = inside[:PREVIEW].decode("utf-8", "replace")
        return {"body": beginning, "body_base64": b64encode(body).decode()}
    while len(json.dumps(text)) > ROOM:
        text = text[: len(text) // 2]
    return {"body": text}
