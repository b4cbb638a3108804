"""Where a secret might have ended up: all that a Redis holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import redis


def kept_in(client: redis.Redis) -> str:
    """All keys and values of a Redis, messages of the broker among them."""
    reads: dict[Any, Callable[[bytes], Any]] = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
    }
    found: Any = list(client.scan_iter(count=1000))
    assert found, "there is nothing to search"
    return "\n".join(f"{key!r} {reads[client.type(key)](key)!r}" for key in found)
