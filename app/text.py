"""Strangers' text made fit to be stored, sent and logged: valid, bounded, where it must on one line."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Zero-width characters, those that turn the direction of the text after them, and surrogates that stand
# alone, which can't be encoded as UTF-8.
_UNSEEN = re.compile(r"[\u200b\u2060\ufeff\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def lines(said: str, limit: int) -> str:
    """At most `limit` characters of several lines, without control characters."""
    if said.isprintable():
        return cut(said, limit)
    near = cut(said, 2 * limit).replace("\r\n", "\n").replace("\r", "\n")
    return cut(_UNSEEN.sub("", _CONTROL.sub("", near)).strip(), limit)


def one_line(said: str, limit: int) -> str:
    """At most `limit` characters on one line; each run of white space and control characters is a space."""
    if said.isprintable() and "  " not in said:
        return cut(said.strip(), limit)
    words = _UNSEEN.sub("", _CONTROL.sub(" ", cut(said, 4 * limit))).split()
    return cut(" ".join(words), limit)


def cut(said: str, limit: int) -> str:
    """At most `limit` characters, the last of them `…` if there were more."""
    return said if len(said) <= limit else said[: limit - 1].rstrip() + "…"
