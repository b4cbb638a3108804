"""What requests with an `Idempotency-Key` became, written in the step that stores them.

`request:<digest of the key>` is a hash; its `became` says it. Redis removes it.
"""

from __future__ import annotations

from collections.abc import Iterator

from app.store.connection import PREFIX, Command
from app.store.transaction import Check

REQUESTS = PREFIX + "request:"
KEPT_SECONDS = 600


def what_became(key: str) -> Command:
    """What asks for it."""
    return "HGET", REQUESTS + key, "became"


def unchanged(key: str, became: str) -> Check:
    """It is still that."""
    return REQUESTS + key, "became", became


def remembered(key: str, became: str) -> Iterator[Command]:
    """The commands that remember it."""
    yield "HSET", REQUESTS + key, "became", became
    yield "EXPIRE", REQUESTS + key, KEPT_SECONDS
