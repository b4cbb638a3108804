"""What the dashboard shows: incidents in groups, what needs somebody first, or those searched for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from app.bootstrap import Services
from app.domain.alert import Severity, rank
from app.domain.incident import Incident
from app.domain.state import State
from app.store import Search

SHOWN = 50
FOLDED_FROM = 8
"""Incidents of a group from which on those that belong together are folded."""
FOLD_LEAST = 3
"""Incidents that are worth a fold."""

# A provider's answers differ by it though their cause is the same.
REQUEST_ID = re.compile(r"\s*\(request [^)]*\)")


@dataclass(frozen=True, slots=True)
class Fold:
    """Incidents of a group that belong together: one service's, or those that failed for the same reason."""

    name: str
    """The service or the reason; empty: these are not folded."""
    incidents: list[Incident]
    service: str | None = None
    """All of them are this service's."""

    @property
    def severity(self) -> Severity | None:
        """The highest of theirs."""
        return min((one.severity for one in self.incidents), key=rank)


@dataclass(frozen=True, slots=True)
class Group:
    """Incidents under one heading."""

    name: str
    """As a part of an address."""
    heading: str
    states: tuple[State, ...]
    incidents: list[Incident]
    count: int
    """How many there are in all."""
    cursor: str | None = None
    """Leads to older ones."""

    @property
    def folds(self) -> list[Fold]:
        """Its incidents in their order; what belongs together stands at the place of its first."""
        if len(self.incidents) < FOLDED_FROM:
            return [Fold("", self.incidents)]
        return list(_folded(self.incidents, _cause if State.FAILED in self.states else _service))


# In this order: what somebody must do something about comes first.
GROUPS: tuple[tuple[str, str, tuple[State, ...]], ...] = (
    ("not-paged", "Nobody was paged", (State.FAILED,)),
    ("paged", "Paged, not acknowledged", (State.ESCALATING, State.ESCALATED)),
    ("waiting", "Waiting for somebody", (State.PENDING,)),
    ("acknowledged", "Acknowledged", (State.ACKNOWLEDGED,)),
    ("open", "Open, without on-call", (State.OPEN,)),
    ("resolved", "Resolved lately", (State.RESOLVED,)),
)
NEED_SOMEBODY = ("not-paged", "paged", "waiting")
"""Names of those groups that somebody must do something about."""


def overview(services: Services, counts: Mapping[State, int]) -> list[Group]:
    """Every group that has incidents, each with its newest; of those that wait, what pages first.

    `counts`: how many incidents are in each state. Raises `StoreUnavailable`.
    """
    groups = [
        Group(name, heading, states, _newest(services, states), sum(counts.get(state, 0) for state in states))
        for name, heading, states in GROUPS
        if any(counts.get(state, 0) for state in states)
    ]
    return [group for group in groups if group.incidents]


def found(services: Services, search: Search, cursor: str | None) -> list[Group]:
    """Those searched for, the newest first, a page of them. Raises `BadCursor` and `StoreUnavailable`."""
    page = services.store.incidents.page(search, SHOWN, cursor)
    return [Group("found", "Found", tuple(search.states), page.incidents, len(page.incidents), page.cursor)]


def _newest(services: Services, states: tuple[State, ...]) -> list[Incident]:
    incidents = services.store.incidents
    if State.PENDING in states:
        return incidents.soonest(SHOWN)
    some = [
        one for state in states for one in incidents.page(Search(frozenset({state})), SHOWN, None).incidents
    ]
    return sorted(some, key=lambda one: one.created_at, reverse=True)[:SHOWN]


def _folded(incidents: Sequence[Incident], name: Callable[[Incident], str]) -> Iterator[Fold]:
    """In their order; those worth a fold stand together at the place of the first."""
    together: dict[str, list[Incident]] = {}
    for one in incidents:
        together.setdefault(name(one), []).append(one)
    worth = {key for key, several in together.items() if key and len(several) >= FOLD_LEAST}
    for key, several in groupby(incidents, key=lambda one: name(one) if name(one) in worth else ""):
        if not key:
            yield Fold("", list(several))
        elif key in together:
            yield Fold(key, together.pop(key), key if name is _service else None)


def _service(incident: Incident) -> str:
    return incident.service or ""


def _cause(incident: Incident) -> str:
    return REQUEST_ID.sub("", incident.last_error or "")
