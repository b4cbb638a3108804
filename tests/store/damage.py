"""Ways in which a record can't be read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import redis


def _doc(change: Callable[[str], str | bytes]) -> Callable[[Any, str], object]:
    return lambda client, key: client.hset(key, "doc", change(client.hget(key, "doc").decode()))


def _with(**fields: Any) -> Callable[[str], str]:
    return lambda doc: json.dumps({**json.loads(doc), **fields})


def _of_another_type(client: Any, key: str) -> None:
    client.delete(key)
    client.set(key, "what somebody wrote by hand")


DAMAGE: dict[str, Callable[[Any, str], object]] = {
    "cut": _doc(lambda doc: doc[: len(doc) // 2]),
    "empty": _doc(lambda _: ""),
    "no JSON": _doc(lambda _: "\x00\x01"),
    "no UTF-8": _doc(lambda doc: b"\xff\xfe" + doc.encode()[1:]),
    "no object": _doc(lambda _: "[[]]"),
    "deep": _doc(lambda _: "[" * 100_000),
    "of a newer version": _doc(_with(phase="asleep")),
    "a newer delivery": _doc(_with(pagers={"incident_io/default": {"accepted": "maybe"}})),
    "without pagers": _doc(_with(pagers={})),
    "of another incident": _doc(_with(id="b5a7")),
    "without its version": lambda client, key: (
        client.hdel(key, "v"),
        client.hset(key, "doc", "{"),
    ),
    "of another type": _of_another_type,
}


def damage(client: redis.Redis, kind: str, incident_id: str) -> None:
    """Let the record be one that can't be read."""
    DAMAGE[kind](client, f"versus:incident:{incident_id}")
