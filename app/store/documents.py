"""JSON documents in Redis: what another version put into one stays in it when it is written again."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")


def written(adapter: TypeAdapter[T], value: T) -> str:
    """The document of a value; what is left out has its default."""
    return adapter.dump_json(value, exclude_defaults=True).decode()


def rewritten(adapter: TypeAdapter[T], before: T, after: T, was: str) -> str:
    """The document of `after`, in place of one that was read as `before`: fields unknown here stay in it."""
    known, now = written(adapter, before), written(adapter, after)
    if known == was:
        return now
    merged = _with_unknown(json.loads(now), json.loads(was), json.loads(known))
    return json.dumps(merged, ensure_ascii=False, separators=(",", ":"))


def _with_unknown(now: Any, was: Any, known: Any) -> Any:
    """`now`, with what is in `was` and was not `known`; an element of a list is the same as long as it is
    equal."""
    if isinstance(now, dict) and isinstance(was, dict):
        known = known if isinstance(known, dict) else {}
        if now.get("token") != was.get("token"):
            # Another claim than the one that was read.
            return now
        merged = {
            name: _with_unknown(value, was[name], known.get(name)) if name in was else value
            for name, value in now.items()
        }
        return merged | {name: value for name, value in was.items() if name not in known and name not in now}
    if isinstance(now, list) and isinstance(was, list) and isinstance(known, list):
        same = {json.dumps(read): stored for read, stored in zip(known, was, strict=False)}
        return [same.get(json.dumps(one), one) for one in now]
    return now
