"""A silence: which incidents it holds, and until when; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from config.match import FIELDS, LONGEST_PATTERN, MOST_PATTERNS, Match

MOST_VALUES = 50
"""Of one field, in a silence that is made of incidents."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Holds what it matches: nobody is notified or paged until it ends. Times are UTC."""

    id: str
    match: Match
    until: datetime
    comment: str
    by: str
    """Who made it."""
    created_at: datetime
    ended_at: datetime | None = None
    """When somebody ended it, before its time."""
    ended_by: str | None = None

    @property
    def over_at(self) -> datetime:
        """When it ends, or ended."""
        return self.until if self.ended_at is None else min(self.until, self.ended_at)

    def is_active(self, now: datetime) -> bool:
        """Whether it holds what it matches."""
        return now < self.over_at


@dataclass(frozen=True, slots=True)
class Silences:
    """All silences, as they were read."""

    version: str = ""
    """Another one with every change of the list."""
    all: tuple[Silence, ...] = ()

    def matching(self, facts: Mapping[str, str], now: datetime) -> Silence | None:
        """The one that holds an incident with these facts for longest; None if none does."""
        active = (one for one in self.all if one.is_active(now) and one.match.matches(facts))
        return max(active, key=lambda one: one.until, default=None)


@dataclass(frozen=True, slots=True)
class Common:
    """What several incidents have in common, as patterns that match every one of them."""

    patterns: Mapping[str, Sequence[str]]
    """By field; where the incidents differ, one pattern for each value."""
    left_out: Sequence[str]
    """Fields in which they differ too much."""


def common(every: Sequence[Mapping[str, str]]) -> Common:
    """Of the facts of each incident (`Incident.facts`): what a silence of all of them matches.

    A field that one of them lacks is not among it; one with more than `MOST_VALUES` values is left out.
    """
    patterns: dict[str, Sequence[str]] = {}
    left_out: list[str] = []
    shared = set.intersection(*({name for name, value in facts.items() if value} for facts in every))
    for name in (*(one for one in FIELDS if one in shared), *sorted(shared - {*FIELDS})):
        values = list(dict.fromkeys(pattern_of(facts[name]) for facts in every))
        if len(values) <= min(MOST_VALUES, MOST_PATTERNS - sum(map(len, patterns.values()))):
            patterns[name] = values
        else:
            left_out.append(name)
    return Common(patterns, left_out)


def pattern_of(value: str) -> str:
    """A pattern of one line that matches the value: itself, or the line it begins with where it is longer."""
    if value == value.strip() and len(value.splitlines()) == 1 and len(value) <= LONGEST_PATTERN:
        return value
    first, *_ = value.strip()[: LONGEST_PATTERN - 2].splitlines() or [""]
    return f"{'*' if value[:1].isspace() else ''}{first.rstrip()}*"
