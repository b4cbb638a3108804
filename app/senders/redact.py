"""Bodies are kept and shown as they came, but for the secrets in them; `fields.is_secret` knows their names.

It does not go by the sender: a body that nobody recognises may hold the same secrets.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from operator import is_
from typing import Any

import app.senders.fields as fields

HIDDEN = "<secret>"

_SHORTEST = len('{"token":1}')

# Where JSON can't be parsed: a name, what stands between, and a value, in quotes or up to where it may end.
_NAMES = "|".join(fields.SECRETS).replace("_", "[_-]?")
# In JSON that is a text in JSON, a value ends with a quote that is escaped as often as the one before it.
_IN_QUOTES = r'(")(?:[^"\\]|\\.)*"?|(\\+")(?:.{0,4096}?(?<!\\)\3|.{0,4096})'
_BARE = r"(?:bearer +|basic +)?[^\s&,;}\]]+"
_SECRET = re.compile(rf'((?:{_NAMES})\\*["\']?\s*[:=]\s*)(?:{_IN_QUOTES}|{_BARE})', re.IGNORECASE | re.DOTALL)
# A field of a form in parts: what its head says, its name first, a blank line, and all up to the boundary.
_HEAD = r'form-data; ?name="([^"\r\n]{1,200})"[^\r\n]{0,200}(?:\r?\n[^\r\n]{1,200}){0,4}\r?\n\r?\n'
_PART = re.compile(rf"({_HEAD}).*?(?=\r?\n--|\Z)", re.IGNORECASE | re.DOTALL)


def payload(body: Any) -> str:
    """A body as JSON to be kept and shown, with `<secret>` in the place of each secret."""
    return json.dumps(_redacted(body), separators=(",", ":"))


def refused(body: bytes) -> bytes:
    """A body that may be broken, or no JSON at all, with `<secret>` in the place of what looks like one.

    JSON stays JSON, so that it can be read once more; a body without secrets stays as it is, byte for byte.
    """
    found = json.detect_encoding(body)
    # Every byte is a letter of Latin-1, and comes back as it was.
    encoding = "latin-1" if found.startswith("utf-8") else found
    said = body.decode(encoding, "replace")
    hidden = _PART.sub(_part, _hidden(said))
    if hidden == said:
        return body
    with suppress(ValueError, RecursionError):
        return payload(json.loads(body)).encode()
    return hidden.encode(encoding, "replace")


def text(said: str) -> str:
    """The same for a text, if it looks like JSON; words of people stay as they are."""
    return _hidden(said) if len(said) >= _SHORTEST and said.lstrip()[:1] in ("{", "[") else said


def _hidden(said: str) -> str:
    return _SECRET.sub(rf"\1\2\3{HIDDEN}\2\3", said)


def _part(found: re.Match[str]) -> str:
    head, name = found.groups()
    return f"{head}{HIDDEN}" if fields.is_secret(name) else found[0]


def _redacted(value: Any) -> Any:
    # As deep as `app/web/body.py` lets a body be. What holds no secret is not copied.
    if isinstance(value, dict):
        hidden = {}
        for name, inner in value.items():
            shown = HIDDEN if fields.is_secret(name) else _redacted(inner)
            if shown is not inner:
                hidden[name] = shown
        return {**value, **hidden} if hidden else value
    if isinstance(value, list):
        items = [inner and _redacted(inner) for inner in value]
        return value if all(map(is_, items, value)) else items
    # The message in an envelope of SNS is JSON in a text.
    return text(value) if isinstance(value, str) else value
