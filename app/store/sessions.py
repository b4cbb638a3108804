"""Who is logged in to the dashboard, how often an address tried to, and the key of links without a secret."""

from __future__ import annotations

import secrets
import time

from app.store.connection import PREFIX, Connection
from app.store.lua import lua
from app.telemetry import log

SESSION = PREFIX + "session:"
LOGINS = PREFIX + "logins:"
LINK_KEY = PREFIX + "link_key"

IDLE_SECONDS = 12 * 3600
"""A login ends when it was not used for so long."""
LINK_KEY_SECONDS = 10.0
"""The key is read again after so long: Redis may have lost it, and another process made a new one."""
WRITTEN_AFTER = 60
"""Seconds of use that may be missing from what is written down."""
ATTEMPTS = 10
"""To log in, from one address within a minute."""


class Sessions:
    """Logins, each known by a random ID (one that Redis does not know is none), and a key for links."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._attempt = connection.script(lua("count_attempt"))
        self._link_key = b""
        self._link_key_read = float("-inf")

    def begin(self, session_id: str) -> None:
        """From now on it lives. Raises `Unavailable`, like the others."""
        self._connection.call("SET", SESSION + session_id, "1", "EX", IDLE_SECONDS)

    def lives(self, session_id: str) -> bool:
        """Whether it was begun, not ended, and used within `IDLE_SECONDS`; this is a use."""
        left = int(self._connection.call("TTL", SESSION + session_id))
        # Open pages ask many times a minute, and each prolongation would be written to Redis's file.
        if 0 <= left < IDLE_SECONDS - WRITTEN_AFTER:
            return bool(self._connection.call("EXPIRE", SESSION + session_id, IDLE_SECONDS))
        return left >= 0

    def end(self, session_id: str) -> None:
        """It is no login any more, whoever still has its cookie."""
        self._connection.call("UNLINK", SESSION + session_id)

    def link_key(self) -> bytes:
        """A random key that all processes share, made once. Raises `Unavailable`."""
        if time.monotonic() - self._link_key_read > LINK_KEY_SECONDS:
            made, key = self._connection.calls(
                [("SET", LINK_KEY, secrets.token_hex(32), "NX"), ("GET", LINK_KEY)]
            )
            self._link_key, self._link_key_read = str(key).encode(), time.monotonic()
            if made:
                log.warning("link_key_made", warning="only Redis has the key of links: set gateway_secret")
        return self._link_key

    def may_try(self, address: str) -> bool:
        """Count an attempt to log in; False when this address has had its attempts of this minute."""
        return int(self._attempt([LOGINS + address], [60])) <= ATTEMPTS
