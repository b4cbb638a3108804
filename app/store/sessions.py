"""Logins to the dashboard, what can be undone there, guesses of secrets, used signatures, links' key."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from app.store.connection import PREFIX, Connection
from app.telemetry import log

SESSION = PREFIX + "session:"
LOGINS = PREFIX + "logins:"
LINK_KEY = PREFIX + "link_key"
GUESSES = PREFIX + "guesses:"
KNOWN = PREFIX + "known:"
USED = PREFIX + "used:"
UNDO = PREFIX + "undo:"

IDLE_SECONDS = 12 * 3600
"""A login ends when it was not used for so long."""
LINK_KEY_SECONDS = 10.0
"""The key is read again after so long: Redis may have lost it, and another process made a new one."""
WRITTEN_AFTER = 60
"""Seconds of use that may be missing from what is written down."""
ATTEMPTS = 10
"""To log in, or wrong guesses of the gateway secret, from one address within a minute."""
UNDO_SECONDS = 600
"""For which somebody can take back what was done to many incidents."""
KNOWN_SECONDS = 3600
"""For which an address that sent the right secret is not refused for the guesses of others behind it."""


def _used(signature: str) -> str:
    return USED + hashlib.sha256(signature.encode()).hexdigest()


class Sessions:
    """Logins, each known by a random ID (one that Redis does not know is none), and a key for links."""

    def __init__(self, connection: Connection, clock: Callable[[], datetime]) -> None:
        self._connection = connection
        self._clock = clock
        self._link_key = b""
        self._link_key_read = float("-inf")

    def begin(self, session_id: str) -> None:
        """From now on it lives. Raises `StoreUnavailable`, like the others."""
        self._connection.call("SET", SESSION + session_id, self._seconds(), "EX", 2 * IDLE_SECONDS)

    def lives(self, session_id: str) -> bool:
        """Whether it was begun, not ended, and used within `IDLE_SECONDS`; this is a use."""
        used, now = self._connection.call("GET", SESSION + session_id), self._seconds()
        if used is None or now - float(used) > IDLE_SECONDS:
            return False
        # Open pages ask many times a minute, and each prolongation would be written to Redis's file.
        if now - float(used) < WRITTEN_AFTER:
            return True
        return bool(self._connection.call("SET", SESSION + session_id, now, "XX", "EX", 2 * IDLE_SECONDS))

    def end(self, session_id: str) -> None:
        """It is no login any more, no matter who still has its cookie."""
        self._connection.call("UNLINK", SESSION + session_id)

    def link_key(self) -> bytes:
        """A random key that all processes share, made once. Raises `StoreUnavailable`."""
        if time.monotonic() - self._link_key_read > LINK_KEY_SECONDS:
            made, key = self._connection.calls(
                [("SET", LINK_KEY, secrets.token_hex(32), "NX"), ("GET", LINK_KEY)]
            )
            self._link_key, self._link_key_read = str(key).encode(), time.monotonic()
            if made:
                log.warning("link_key_created", warning="only Redis has the key of links: set gateway_secret")
        return self._link_key

    def use(self, signature: str, seconds: int) -> bool:
        """Whether a signature is used for the first time within so many seconds."""
        return bool(self._connection.call("SET", _used(signature), "1", "NX", "EX", seconds))

    def give_back(self, signature: str) -> None:
        """It may be used again: nothing came of its request."""
        self._connection.call("UNLINK", _used(signature))

    def can_be_undone(self, incident_ids: Sequence[str]) -> str:
        """Keep these IDs for `UNDO_SECONDS`; the token by which `undone` gives them."""
        token = secrets.token_urlsafe(12)
        self._connection.call("SET", UNDO + token, " ".join(incident_ids), "EX", UNDO_SECONDS)
        return token

    def undone(self, token: str) -> list[str]:
        """The IDs that were kept; empty once they are gone."""
        return (self._connection.call("GET", UNDO + token) or "").split()

    def may_guess(self, address: str) -> tuple[bool, bool]:
        """Whether this address may send a secret, and whether it sent the right one in the last hour."""
        key = self._of_this_minute(GUESSES + address)
        guesses, known = self._connection.call("MGET", key, KNOWN + address)
        return known is not None or int(guesses or 0) < ATTEMPTS, known is not None

    def guessed_wrong(self, address: str) -> None:
        """Count a wrong secret."""
        self._count(GUESSES + address)

    def guessed_right(self, address: str) -> None:
        """Programs with the right secret may share this address with somebody who guesses."""
        self._connection.call("SET", KNOWN + address, "1", "EX", KNOWN_SECONDS)

    def may_try(self, address: str) -> bool:
        """Count an attempt to log in; False when this address has had its attempts of this minute."""
        return self._count(LOGINS + address) <= ATTEMPTS

    def _count(self, key: str) -> int:
        key = self._of_this_minute(key)
        return int(self._connection.calls([("INCR", key), ("EXPIRE", key, KNOWN_SECONDS)])[0])

    def _of_this_minute(self, key: str) -> str:
        """No count depends on when Redis thinks that a key has expired: its clock may step."""
        return f"{key}:{int(self._seconds() // 60)}"

    def _seconds(self) -> float:
        return self._clock().timestamp()
