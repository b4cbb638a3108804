"""What rules and silences hold together: it waits for the later end, and then in full, whatever happens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.alert import Alert
from app.domain.incident import Incident
from app.domain.silence import Silence, Silences
from app.domain.state import Phase
from config.match import Match
from tests.fakes import PAGER

NOW = datetime(2026, 3, 4, 3, 0, tzinfo=UTC)
WAIT = timedelta(minutes=3)
ALERT = Alert(title="Disk full", source="grafana", service="checkout")
MORNING = NOW + timedelta(hours=4)


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def silences(until: datetime, now: datetime = NOW) -> Silences:
    match = Match.read({"service": "checkout"})
    return Silences("1", (Silence("s", match, until, "deployment", "Dana", now),))


def held(until: datetime | None = MORNING) -> Incident:
    due_at = (until or NOW) + WAIT
    return Incident.opened(
        "i", ALERT, NOW, due_at=due_at, pager=PAGER, held_until=until, rule="not at night" if until else None
    )


def repeated(incident: Incident, now: datetime, **more: Any) -> Incident:
    return incident.repeated(ALERT, now, **{"due_at": now + WAIT, "pager": PAGER, "asked": False, **more})


# -- a silence that ends at night, and one that ends later -------------------------------------------------


@pytest.mark.parametrize(("until", "due_at"), [(60, MORNING + WAIT), (600, at(603))])
def test_the_later_of_both_ends_counts(until: float, due_at: datetime) -> None:
    silenced = held().under(silences(at(until)), NOW)
    assert (silenced.due_at, silenced.held_until) == (due_at, MORNING)


@pytest.mark.parametrize(("ended", "due_at"), [(10, MORNING + WAIT), (300, at(303))])
def test_a_silence_that_is_ended_leaves_the_night_to_the_rule(ended: float, due_at: datetime) -> None:
    released = held().under(silences(at(600)), NOW).under(Silences(), at(ended))
    assert (released.due_at, released.silenced_until) == (due_at, None)


def test_the_end_of_the_hours_leaves_the_rest_to_the_silence() -> None:
    silenced = held(at(10)).under(silences(at(60)), NOW)
    worse = repeated(silenced, at(5), due_at=at(6))
    assert worse.due_at == at(63)
    assert worse.under(Silences(), at(20)).due_at == at(23)


def test_what_becomes_worse_waits_for_the_silence_alone() -> None:
    worse = repeated(held().under(silences(at(60)), NOW), at(5))
    assert (worse.held_until, worse.due_at) == (None, at(63))


# -- reopened while it is held ----------------------------------------------------------------------------


def test_what_is_reopened_waits_for_both() -> None:
    silenced = held().under(silences(at(600)), NOW).acknowledged("Ada", at(1))
    assert silenced.unacknowledged("Ada", at(2)).due_at == at(603)
    # Its silence was ended at night, before the acknowledgement was taken back.
    released = silenced.under(Silences(), at(2))
    assert released.unacknowledged("Ada", at(3)).due_at == MORNING + WAIT
    assert released.unacknowledged("Ada", at(300)).due_at == at(303)


def test_a_report_that_asks_for_no_page_and_reopens_it_ends_no_hold() -> None:
    acknowledged = held(until=at(3000)).acknowledged("Ada", at(1))
    reopened = repeated(acknowledged, at(1500), due_at=None)
    assert (reopened.phase, reopened.due_at) == (Phase.PENDING, at(3000) + WAIT)


def test_a_report_that_reopens_it_at_night_waits_for_the_morning_and_names_the_rule() -> None:
    acknowledged = held(until=None).acknowledged("Ada", at(1))
    worse = replace(ALERT, severity="high")
    night = at(2000)
    reopened = acknowledged.repeated(
        worse, at(1500), due_at=night + WAIT, pager=PAGER, asked=False, held_until=night, rule="night"
    )
    assert (reopened.due_at, reopened.held_until, reopened.rule) == (night + WAIT, night, "night")
    assert [entry.event for entry in reopened.timeline][-2:] == ["waiting", "rule"]


def test_what_continues_a_page_names_the_rule_that_holds_it() -> None:
    paged = held(until=None).claimed(PAGER, "t", at(3), timedelta(seconds=15))
    paged = paged.delivered(PAGER, "t", at(3), "202")
    night = at(2000)
    successor = repeated(paged, at(1500), due_at=night + WAIT, held_until=night, rule="night")
    assert (successor.previous_id, successor.due_at) == (paged.id, night + WAIT)
    assert successor.rule == "night"
    assert "rule" in [entry.event for entry in successor.timeline]


# -- in any order -----------------------------------------------------------------------------------------

MOVES = st.lists(
    st.tuples(
        st.sampled_from(("silence", "end", "acknowledge", "unacknowledge", "repeat", "worse", "wind")),
        st.integers(1, 400),
    ),
    max_size=12,
)


@given(st.none() | st.integers(1, 500), MOVES)
def test_in_any_order_it_is_due_a_full_wait_after_all_that_holds_it(
    hours: int | None, moves: Sequence[tuple[str, int]]
) -> None:
    """And a silence or an hour never makes it due sooner than it would be, nor without a wait."""
    rule_ends = None if hours is None else at(hours)
    incident, now, end = held(rule_ends), NOW, None
    begun = rule_ends or NOW
    for move, minutes in moves:
        now += timedelta(minutes=1)
        match move:
            case "wind":
                now += timedelta(minutes=minutes)
            case "silence":
                end = now + timedelta(minutes=minutes)
                incident = incident.under(silences(end, now), now)
                if incident.phase is Phase.PENDING:
                    begun = max(end, rule_ends or end)
            case "end" if end is not None and now < end:
                incident, end = incident.under(Silences(), now), now
                if incident.phase is Phase.PENDING:
                    begun = max(now, rule_ends or now)
            case "acknowledge":
                incident = incident.acknowledged("Ada", now)
            case "unacknowledge" if incident.phase is Phase.ACKNOWLEDGED:
                incident = incident.unacknowledged("Ada", now)
                begun = max(now, rule_ends or now, end or now)
            case "repeat":
                still = rule_ends if rule_ends and now < rule_ends else None
                incident = repeated(incident, now, due_at=(still or now) + WAIT, held_until=still)
            case "worse" if incident.phase is Phase.PENDING:
                incident = repeated(incident, now)
                if rule_ends and now < rule_ends and now < begun:
                    begun, rule_ends = max(now, end or now), None
        if incident.phase is Phase.PENDING:
            assert incident.due_at == begun + WAIT
