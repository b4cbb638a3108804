"""What the dashboard shows: incidents in groups, what needs somebody first, or those searched for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.bootstrap import Services
from app.domain.incident import Incident
from app.domain.state import State
from app.store import Search

SHOWN = 50


@dataclass(frozen=True, slots=True)
class Group:
    """Incidents under one heading."""

    heading: str
    states: tuple[State, ...]
    incidents: list[Incident]
    count: int
    """How many there are in all."""
    cursor: str | None = None
    """Leads to older ones."""


# In this order: what somebody must do something about comes first.
GROUPS: tuple[tuple[str, tuple[State, ...]], ...] = (
    ("Nobody was paged", (State.FAILED,)),
    ("Waiting for somebody", (State.PENDING,)),
    ("Paged, not acknowledged", (State.ESCALATING, State.ESCALATED)),
    ("Acknowledged", (State.ACKNOWLEDGED,)),
    ("Open, without on-call", (State.OPEN,)),
    ("Resolved lately", (State.RESOLVED,)),
)


def overview(services: Services, counts: Mapping[State, int]) -> list[Group]:
    """Every group that has incidents, each with its newest; of those that wait, what pages first.

    `counts`: how many incidents are in each state. Raises `StoreUnavailable`.
    """
    groups = [
        Group(heading, states, _newest(services, states), sum(counts.get(state, 0) for state in states))
        for heading, states in GROUPS
    ]
    return [group for group in groups if group.incidents]


def found(services: Services, search: Search, cursor: str | None) -> list[Group]:
    """Those searched for, the newest first, a page of them. Raises `BadCursor` and `StoreUnavailable`."""
    page = services.store.incidents.page(search, SHOWN, cursor)
    return [Group("Found", tuple(search.states), page.incidents, len(page.incidents), page.cursor)]


def _newest(services: Services, states: tuple[State, ...]) -> list[Incident]:
    incidents = services.store.incidents
    if State.PENDING in states:
        return incidents.soonest(SHOWN)
    some = [
        one for state in states for one in incidents.page(Search(frozenset({state})), SHOWN, None).incidents
    ]
    return sorted(some, key=lambda one: one.created_at, reverse=True)[:SHOWN]
