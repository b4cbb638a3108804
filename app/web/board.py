"""What the dashboard shows: incidents in groups, what needs somebody first, or those searched for."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.gateway import Gateway
from app.incident import Incident
from app.state import State
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


def overview(gateway: Gateway, counts: Mapping[State, int]) -> list[Group]:
    """Every group that has incidents, each with its newest; of those that wait, what pages first.

    `counts`: how many incidents are in each state. Raises `Unavailable`.
    """
    groups = [
        Group(heading, states, _newest(gateway, states), sum(counts.get(state, 0) for state in states))
        for heading, states in GROUPS
    ]
    return [group for group in groups if group.incidents]


def found(gateway: Gateway, search: Search, cursor: str | None) -> list[Group]:
    """Those searched for, the newest first, a page of them. Raises `BadCursor` and `Unavailable`."""
    page = gateway.store.incidents.page(search, SHOWN, cursor)
    return [Group("Found", tuple(search.states), page.incidents, len(page.incidents), page.cursor)]


def _newest(gateway: Gateway, states: tuple[State, ...]) -> list[Incident]:
    incidents = gateway.store.incidents
    if State.PENDING in states:
        return incidents.soonest(SHOWN)
    some = [
        one for state in states for one in incidents.page(Search(frozenset({state})), SHOWN, None).incidents
    ]
    return sorted(some, key=lambda one: one.created_at, reverse=True)[:SHOWN]
