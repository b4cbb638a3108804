"""Query parameters: one that is not what it must be is refused in a sentence, in API and dashboard."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Self, TypeVar

from werkzeug.datastructures import MultiDict

from app.domain.alert import SEVERITIES
from app.domain.state import State
from app.store import Search

# RFC 3339; a person may leave out the zone, which is UTC, and what is zero at the end. A plus sign that
# was not written as %2B arrives as a space.
TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)([Tt ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)?([Zz]|[+ -]\d\d:\d\d)?", re.ASCII
)
LONGEST_MINUTES = 10_080
SHOWN = 40
"""Characters of what was given that the sentence repeats."""

Args = MultiDict[str, str]
Word = TypeVar("Word", bound=str)


class BadParameter(Exception):
    """A query parameter that is not what it must be."""

    @classmethod
    def of(cls, name: str, value: str, right: str) -> Self:
        """What its value is, and what would be right."""
        return cls(f"The parameter {name} is {value[:SHOWN]!r}: it must be {right}.")


def search_of(args: Args) -> Search:
    """Which incidents somebody asks for. Raises `BadParameter`.

    `state` and `severity` name one or several, with commas or given more than once, as a form's boxes are.
    """
    return Search(
        states=frozenset(_several(args, "state", State)),
        severities=frozenset(_several(args, "severity", SEVERITIES)),
        service=(single(args, "service") or "").strip(),
        source=(single(args, "source") or "").strip(),
        words=single(args, "q") or "",
        since=moment_of(args, "since"),
        until=moment_of(args, "until"),
    )


def limit_of(args: Args, default: int, most: int) -> int:
    """How many somebody wants at the most. Raises `BadParameter`."""
    value = single(args, "limit")
    if value is None:
        return default
    if not (value.isascii() and value.isdigit() and len(value) < 9 and 1 <= int(value) <= most):
        raise BadParameter(f"The limit {value[:SHOWN]!r} must be a number from 1 to {most}.")
    return int(value)


def minutes_of(value: object) -> float | None:
    """For how long somebody acknowledges; None or "": until it is resolved. Raises `BadParameter`."""
    if value in (None, ""):
        return None
    with suppress(ValueError):
        minutes = (
            float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else 0.0
        )
        if 0 < minutes <= LONGEST_MINUTES:
            return minutes
    raise BadParameter(
        f"The minutes {str(value)[:SHOWN]!r} must be a number above 0, {LONGEST_MINUTES} at most (a week); "
        "without them it is acknowledged until it is resolved."
    )


def single(args: Args, name: str) -> str | None:
    """The value of a parameter that may be given once; the same again does no harm. Raises `BadParameter`."""
    values = set(args.getlist(name))
    if len(values) > 1:
        raise BadParameter(f"The parameter {name} was given {len(values)} different values: give one.")
    return values.pop() if values else None


def _several(args: Args, name: str, known: Iterable[Word]) -> list[Word]:
    by_name = {str(word): word for word in known}
    wanted = [word for value in args.getlist(name) for word in value.split(",") if word]
    for word in wanted:
        if word not in by_name:
            raise BadParameter(
                f"The {name} {word[:SHOWN]!r} does not exist: use one or several of {', '.join(by_name)}, "
                "with commas between them."
            )
    return [by_name[word] for word in wanted]


def moment_of(args: Args, name: str) -> datetime | None:
    """A time; None without one. Raises `BadParameter`."""
    value = (single(args, name) or "").strip()
    if not value:
        return None
    try:
        return _read(value)
    except (ValueError, OverflowError) as error:
        right = "a time in UTC as RFC 3339 writes it, for example 2026-03-04T03:00:00Z"
        raise BadParameter.of(name, value, right) from error


def _read(value: str) -> datetime:
    found = TIME.fullmatch(value)
    if found is None:
        raise ValueError("It has another form.")
    date, time, zone = found.groups()
    text = f"{date}T{(time or 'T00:00')[1:]}{(zone or 'Z').upper().replace(' ', '+')}"
    return datetime.fromisoformat(text).astimezone(UTC)
