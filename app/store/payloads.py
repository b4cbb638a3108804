"""The senders' bodies: how many bytes they take together, and that they stay within what they may."""

from __future__ import annotations

import time

from app.domain.incident import Incident
from app.domain.state import Phase
from app.store.connection import Command, Connection
from app.store.keys import INCIDENT, PAYLOAD, PAYLOAD_BYTES

COUNTED_FOR = 1.0


def index(
    before: Incident | None, after: Incident, payload: str | None, had: int, room: int
) -> tuple[int, int, list[Command]]:
    """The bytes of the incident's body, by how many all bodies grow, and the commands that write this.

    `payload`: a new body, which is not kept where there is no `room` for it; `had`: bytes of the one before.
    """
    commands: list[Command] = []
    counted = had if before is not None and before.phase is not Phase.RESOLVED else 0
    has = had
    if payload is not None:
        has = len(payload.encode())
        if has - counted > room:
            has = 0
        commands.append(("SET", PAYLOAD + after.id, payload) if has else ("DEL", PAYLOAD + after.id))
        commands.append(("HSET", INCIDENT + after.id, "payload", has))
    growth = (0 if after.phase is Phase.RESOLVED else has) - counted
    if growth:
        commands.append(("INCRBY", PAYLOAD_BYTES, growth))
    return has, growth, commands


class Payloads:
    """What all bodies of incidents that are not resolved may take: `most` bytes."""

    def __init__(self, connection: Connection, most: int) -> None:
        self._connection = connection
        self._most = most
        self._bytes = 0
        self._counted_at = float("-inf")

    def room(self) -> int:
        """Bytes that are left, as counted within the last second. Raises `StoreUnavailable`."""
        if time.monotonic() - self._counted_at > COUNTED_FOR:
            self._bytes = int(self._connection.call("GET", PAYLOAD_BYTES) or 0)
            self._counted_at = time.monotonic()
        return self._most - self._bytes
