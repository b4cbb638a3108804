"""Strangers' text made fit to be stored, sent and logged: valid, bounded, where it must on one line."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Characters that show nothing or turn the direction of the text, and surrogates that stand alone, which can't
# be encoded as UTF-8. What emoji and scripts other than Latin need stays: a joiner between their characters,
# and one variation selector.
_UNSEEN = re.compile(
    r"[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    r"\ud800-\udfff\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
    r"|(?<![^\x00-\u024f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\u024f])|(?<=[\ufe0e\ufe0f])[\ufe0e\ufe0f]+"
)


def lines(said: str, limit: int) -> str:
    """At most `limit` characters of several lines, without control characters."""
    if said.isascii() and said.isprintable():
        return cut(said, limit)
    near = cut(said, 2 * limit).replace("\r\n", "\n").replace("\r", "\n")
    if not (near.isascii() and near.replace("\n", "").isprintable()):
        near = _UNSEEN.sub("", _CONTROL.sub("", near))
    return cut(near.strip(), limit)


def one_line(said: str, limit: int) -> str:
    """At most `limit` characters on one line; each run of white space and control characters is a space."""
    if said.isascii() and said.isprintable() and "  " not in said:
        return cut(said.strip(), limit)
    words = _UNSEEN.sub("", _CONTROL.sub(" ", cut(said, 4 * limit))).split()
    return cut(" ".join(words), limit)


def cut(said: str, limit: int) -> str:
    """At most `limit` characters, the last of them `…` if there were more."""
    return said if len(said) <= limit else said[: limit - 1].rstrip() + "…"
