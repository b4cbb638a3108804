"""Looking for incidents: filters, pages and cursors over a real Redis."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.domain.alert import Alert
from app.domain.incident import Incident
from app.domain.state import State
from app.store import BadCursor, Search, Store
from app.store import search as searching
from tests.fakes import PAGER

NOW = datetime(2026, 3, 4, 3, 0, tzinfo=UTC)


def opened(number: int, **about: Any) -> Incident:
    alert = replace(Alert(title=f"Problem {number}", source="grafana"), **about)
    at = NOW + timedelta(seconds=number)
    return Incident.opened(str(number), alert, at, due_at=NOW, pager=PAGER)


def put(store: Store, *incidents: Incident) -> None:
    unit = store.incidents.assume_new([])
    store.incidents.update(unit, lambda unit: [unit.save(i) for i in incidents], lambda *_: False)


def found(store: Store, search: Search, limit: int = 100) -> list[str]:
    """The IDs of everything that is wanted, page by page."""
    page = store.incidents.page(search, limit, None)
    ids = [incident.id for incident in page.incidents]
    while page.cursor is not None:
        page = store.incidents.page(search, limit, page.cursor)
        assert len(page.incidents) <= limit
        ids += [incident.id for incident in page.incidents]
    return ids


def test_lists_are_newest_first_in_pages(store: Store) -> None:
    put(store, *map(opened, range(7)))
    first = store.incidents.page(Search(), 4, None)
    second = store.incidents.page(Search(), 4, first.cursor)
    assert [i.id for i in first.incidents + second.incidents] == ["6", "5", "4", "3", "2", "1", "0"]
    assert second.cursor is None


@pytest.mark.parametrize(
    ("search", "wanted"),
    [
        (Search(states=frozenset({State.ACKNOWLEDGED})), ["4"]),
        (Search(states=frozenset({State.ACKNOWLEDGED, State.RESOLVED})), ["5", "4"]),
        (Search(severities=frozenset({"critical"})), ["1"]),
        (Search(service="Checkout"), ["2"]),
        (Search(source="sentry"), ["3"]),
        (Search(words="problem 0"), ["0"]),
        (Search(words="region=eu TITLED"), ["6"]),
        (Search(words="region=us"), []),
        (Search(since=NOW + timedelta(seconds=5)), ["6", "5"]),
        (Search(until=NOW + timedelta(seconds=2)), ["1", "0"]),
        (Search(since=NOW + timedelta(seconds=1), until=NOW + timedelta(seconds=3)), ["2", "1"]),
    ],
)
def test_each_filter_finds_what_it_asks_for(store: Store, search: Search, wanted: list[str]) -> None:
    put(
        store,
        opened(0),
        opened(1, severity="critical"),
        opened(2, service="checkout"),
        opened(3, source="sentry"),
        opened(4).acknowledged("somebody", NOW),
        opened(5).resolved("somebody", NOW),
        opened(6, title="Entitled", labels={"region": "eu"}),
    )
    assert found(store, search) == wanted


def test_what_is_rare_is_looked_for_in_stretches(store: Store) -> None:
    many = 2 * searching.LOOKED_THROUGH + 10
    put(store, opened(0, title="Needle"))
    for start in range(1, many, 1000):
        put(store, *map(opened, range(start, min(start + 1000, many))))
    search = Search(words="needle")
    first = store.incidents.page(search, 10, None)
    assert (first.incidents, first.cursor is None) == ([], False)
    assert found(store, search) == ["0"]


def test_incidents_of_the_same_moment_are_all_found(store: Store) -> None:
    put(store, *(replace(opened(n), created_at=NOW) for n in range(9)))
    assert sorted(found(store, Search(), 2)) == [str(n) for n in range(9)]


def waiting(number: int, due: float) -> Incident:
    return replace(opened(number), due_at=NOW + timedelta(seconds=due))


def test_those_that_page_first_are_found_among_more(store: Store) -> None:
    put(store, *(waiting(n, due=1000 - n) for n in range(300)), waiting(300, due=5000))
    assert [i.id for i in store.incidents.soonest(3)] == ["299", "298", "297"]


def test_what_waits_is_found_behind_any_number_that_is_late(store: Store) -> None:
    late = [
        waiting(n, due=-100).claimed(PAGER, "t", NOW, timedelta(seconds=15))
        for n in range(searching.PAGE_READ + 100)
    ]
    assert {one.state for one in late} == {State.ESCALATING}
    put(store, *late, waiting(900, due=60), waiting(901, due=30))
    assert [i.id for i in store.incidents.soonest(50)] == ["901", "900"]


@pytest.mark.parametrize("cursor", ["no cursor", "nan:1", "inf:"])
def test_a_cursor_that_is_none_of_ours_is_refused(store: Store, cursor: str) -> None:
    with pytest.raises(BadCursor, match="not valid"):
        store.incidents.page(Search(), 4, cursor)
