"""Searches for incidents: which are wanted, and where they are found, the newest first, page by page."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from app.domain.alert import Severity
from app.domain.incident import Incident
from app.domain.state import State
from app.store.connection import Connection
from app.store.delivery_queue import DUE
from app.store.keys import ALL, BY_STATE
from app.store.reading import Reader

# Records read at a time, and looked through for one page: a search for what is rare goes on by its cursor.
PAGE_READ = 200
LOOKED_THROUGH = 5_000


class BadCursor(ValueError):
    """A cursor that this service did not make."""


@dataclass(frozen=True, slots=True)
class Search:
    """Which incidents are wanted; what is empty or None is not asked for."""

    states: frozenset[State] = frozenset()
    severities: frozenset[Severity] = frozenset()
    service: str = ""
    source: str = ""
    words: str = ""
    """All of them must be in ID, title, description, service, source or labels, in any case."""
    since: datetime | None = None
    """Created at this time or later, UTC."""
    until: datetime | None = None
    """Created before this time, UTC."""

    def wants(self, incident: Incident) -> bool:
        """Whether this incident is one of them."""
        return (
            (not self.states or incident.state in self.states)
            and (not self.severities or incident.severity in self.severities)
            and (not self.service or self.service.casefold() == (incident.service or "").casefold())
            and (not self.source or self.source.casefold() == incident.source.casefold())
            and (self.since is None or incident.created_at >= self.since)
            and (self.until is None or incident.created_at < self.until)
            and (not self.words or self._has_words(incident))
        )

    def _has_words(self, incident: Incident) -> bool:
        labels = " ".join(f"{name}={value}" for name, value in incident.labels.items())
        text = " ".join(
            (
                incident.id,
                incident.title,
                incident.description,
                incident.service or "",
                incident.source,
                labels,
            )
        ).casefold()
        return all(word in text for word in self.words.casefold().split())


@dataclass(frozen=True, slots=True)
class SearchPage:
    """A stretch of a list, newest first; `cursor` leads to the next one, None at the end."""

    incidents: list[Incident]
    cursor: str | None


def page(
    connection: Connection, reader: Reader, search: Search, limit: int, cursor: str | None
) -> SearchPage:
    """The newest incidents that are wanted, `limit` at the most.

    A page may be shorter than that and still have a cursor: so many were looked through without finding more.
    Raises `BadCursor` and `StoreUnavailable`.
    """
    place = _start(search, cursor)
    found: list[Incident] = []
    for _ in range(LOOKED_THROUGH // PAGE_READ):
        places = _places(connection, search, place)
        read = reader.incidents([i for _, i in places.unseen])
        for seen in places.unseen:
            incident = read.get(seen[1])
            if incident is not None and search.wants(incident):
                if len(found) == limit:
                    return SearchPage(found, _cursor(place))
                found.append(incident)
            place = seen
        if places.end:
            return SearchPage(found, None)
    return SearchPage(found, _cursor(place))


def soonest(connection: Connection, reader: Reader, limit: int) -> list[Incident]:
    """The pending incidents that page first, the first of them first. Raises `StoreUnavailable`."""
    # Before them may stand any number that is late, so the newest are looked at as well.
    first, newest = connection.calls(
        [
            ("ZRANGE", DUE, 0, limit + PAGE_READ),
            ("ZREVRANGE", BY_STATE + State.PENDING, 0, limit),
        ]
    )
    ids = dict.fromkeys([*(member.partition(" ")[0] for member in first), *newest])
    incidents = reader.incidents(list(ids))
    pending = [one for one in incidents.values() if one.state is State.PENDING and one.due_at is not None]
    return sorted(pending, key=lambda one: (one.due_at, one.id))[:limit]


@dataclass(frozen=True, slots=True)
class _Stretch:
    unseen: list[tuple[float, str]]
    """Time and ID."""
    end: bool


def _places(connection: Connection, search: Search, after: tuple[float, str]) -> _Stretch:
    state = next(iter(search.states)) if len(search.states) == 1 else None
    key = ALL if state is None else BY_STATE + state
    oldest = "-inf" if search.since is None else search.since.timestamp()
    # From the last one's time on, itself included: others may have come at the same moment.
    rows = connection.call("ZREVRANGEBYSCORE", key, after[0], oldest, "WITHSCORES", "LIMIT", 0, PAGE_READ)
    places = [(float(score), i) for i, score in zip(rows[::2], rows[1::2], strict=True)]
    unseen = [place for place in places if place < after]
    return _Stretch(unseen, end=len(places) < PAGE_READ or not unseen)


def _start(search: Search, cursor: str | None) -> tuple[float, str]:
    """Time and ID of the last incident of the page before; without one, what comes before the newest."""
    if cursor is None:
        return math.inf if search.until is None else search.until.timestamp(), ""
    score, _, incident_id = cursor.partition(":")
    try:
        place = float(score)
    except ValueError:
        place = math.nan
    if not math.isfinite(place):
        raise BadCursor("The cursor is not valid: use the one that came with the last page.")
    return place, incident_id


def _cursor(place: tuple[float, str]) -> str:
    return f"{place[0]!r}:{place[1]}"
