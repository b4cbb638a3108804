"""A silence: which incidents it holds, and until when; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from config.match import Match


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
