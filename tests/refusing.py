"""Redis without the right to write, for tests that need no processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import redis


@contextmanager
def refusing_writes(url: str) -> Iterator[None]:
    """While it has too few replicas, Redis refuses every write and answers every question."""
    client = redis.Redis.from_url(url)
    client.config_set("min-replicas-to-write", "1")
    try:
        yield
    finally:
        client.config_set("min-replicas-to-write", "0")
