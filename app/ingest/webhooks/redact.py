"""Bodies are kept and shown without the secrets in them (`app/ingest/webhooks/secrets.py`).

It does not go by the sender: a body that nobody recognises may hold the same secrets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from operator import is_
from typing import Any

from app.ingest.webhooks.secrets import HIDDEN, Signs, hidden, is_secret, signs_of

_SHORTEST = len('{"token":1}')
# Deeper than `app/web/http/body.py` lets a body be.
_DEEPEST = 120
# Where a body says the name of something in one field and its value in another.
_NAMES = ("name", "key", "header", "field", "label", "tag", "title")
_VALUES = ("value", "values")
_WORDS_OF_A_NAME = 3
# What stands where its sender hid a secret itself.
_NO_SECRET = re.compile(r"\W*(?:filtered|redacted|masked|removed|hidden|secret)?\W*", re.IGNORECASE)

# A field of a form in parts: what its head says, its name first, a blank line, and all up to the boundary.
_HEAD = r'form-data; ?name="([^"\r\n]{1,200})"[^\r\n]{0,200}(?:\r?\n[^\r\n]{1,200}){0,4}\r?\n\r?\n'
_PART = re.compile(rf"({_HEAD}).*?(?=\r?\n--|\Z)", re.IGNORECASE | re.DOTALL)


def kept(body: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """A body without its secrets, and the same as JSON; the very body when it holds none."""
    try:
        said = _json(body)
    except RecursionError:
        body = _redacted(body, Signs(folded=("",)), 0)
        return body, _json(body)
    signs = signs_of(said)
    if signs is None:
        return body, said
    clean = _redacted(body, signs, 0)
    return clean, said if clean is body else _json(clean)


def payload(body: Any) -> str:
    """A body as JSON to be kept and shown, with `<secret>` in the place of each secret."""
    return kept(body)[1]


def refused(body: bytes) -> bytes:
    """A body that may be broken, or no JSON at all, with `<secret>` in the place of what looks like one.

    JSON stays JSON, so that it can be read once more; a body without secrets stays as it is, byte for byte.
    """
    found = json.detect_encoding(body)
    # Every byte is a letter of Latin-1, and comes back as it was.
    encoding = "latin-1" if found.startswith("utf-8") else found
    said = body.decode(encoding, "replace")
    without = _PART.sub(_part, hidden(said, is_code=True))
    if without == said:
        return body
    with suppress(ValueError, RecursionError):
        return payload(json.loads(body)).encode()
    return without.encode(encoding, "replace")


def text(said: str) -> str:
    """The same for a text: JSON stays JSON; of words of people what has the form of a secret is hidden."""
    signs = signs_of(said)
    return said if signs is None else _text(said, signs, 0)


def _text(said: str, signs: Signs, depth: int) -> str:
    if len(said) < _SHORTEST or not signs.are_in(said):
        return said
    if said.lstrip()[:1] not in ("{", "["):
        return hidden(said)
    with suppress(ValueError, RecursionError):
        body = _parsed(said)
        clean = _redacted(body, signs, depth + 1)
        return said if clean is body else _json(clean)
    return hidden(said, is_code=True)


_json = json.JSONEncoder(separators=(",", ":")).encode
_parsed = json.JSONDecoder().decode


def _part(found: re.Match[str]) -> str:
    head, name = found.groups()
    return f"{head}{HIDDEN}" if is_secret(name) else found[0]


def _redacted(value: Any, signs: Signs, depth: int) -> Any:
    # What holds no secret is not copied.
    if isinstance(value, str):
        return _text(value, signs, depth)
    if not isinstance(value, dict | list):
        return value
    if depth > _DEEPEST:
        return "…"
    return (_object if isinstance(value, dict) else _list)(value, signs, depth + 1)


def _object(value: Any, signs: Signs, depth: int) -> Any:
    changed = {}
    for name, inner in value.items():
        shown = _instead(inner) if is_secret(name) else inner and _redacted(inner, signs, depth)
        if shown is not inner:
            changed[name] = shown
    if ("value" in value or "values" in value) and any(map(_names_a_secret, map(value.get, _NAMES))):
        changed.update({name: _instead(value[name]) for name in _VALUES if name in value})
    return {**value, **changed} if changed else value


def _list(value: Any, signs: Signs, depth: int) -> Any:
    items = [inner and _redacted(inner, signs, depth) for inner in value]
    # Headers come as pairs, or as one list of names and values in turns.
    for n in range(0, len(value) - 1, 2) if len(value) % 2 == 0 else ():
        if isinstance(value[n + 1], str) and _names_a_secret(value[n]):
            items[n + 1] = _instead(value[n + 1])
    return value if all(map(is_, items, value)) else items


def _names_a_secret(said: object) -> bool:
    return isinstance(said, str) and is_secret(said) and len(said.split()) <= _WORDS_OF_A_NAME


def _instead(value: Any) -> Any:
    """What stands in the place of a secret; nothing is none, nor is a yes or a no."""
    if isinstance(value, str):
        return value if _NO_SECRET.fullmatch(value) else HIDDEN
    return HIDDEN if value and value is not True else value
