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
    meaning: str
    """What the heading means, for people who do not know the word."""
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
ORDER = (
    State.FAILED,
    State.ESCALATING,
    State.ESCALATED,
    State.PENDING,
    State.ACKNOWLEDGED,
    State.OPEN,
    State.RESOLVED,
)
NEED_SOMEBODY = ORDER[:4]
"""States in which somebody must do something."""


def overview(services: Services, counts: Mapping[State, int]) -> list[Group]:
    """Every group that has incidents, each with its newest; of those that wait, what pages first.

    `counts`: how many incidents are in each state. Raises `StoreUnavailable`.
    """
    groups = [
        Group(state, state.word, state.meaning, (state,), _newest(services, state), counts[state])
        for state in ORDER
        if counts.get(state, 0)
    ]
    return [group for group in groups if group.incidents]


def found(services: Services, search: Search, cursor: str | None) -> list[Group]:
    """Those searched for, the newest first, a page of them. Raises `BadCursor` and `StoreUnavailable`."""
    page = services.store.incidents.page(search, SHOWN, cursor)
    states, incidents = tuple(search.states), page.incidents
    return [Group("found", "Found", "", states, incidents, len(incidents), page.cursor)]


def _newest(services: Services, state: State) -> list[Incident]:
    incidents = services.store.incidents
    if state is State.PENDING:
        return incidents.soonest(SHOWN)
    return incidents.page(Search(frozenset({state})), SHOWN, None).incidents


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
