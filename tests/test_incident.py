"""Every move of an incident: state before, move, state after; and what is owed then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.alert import Alert, most_severe
from app.incident import Incident, Kind, NotAllowed, State
from app.timeline import HEAD, TAIL, rfc3339

NOW = datetime(2026, 3, 4, 3, 0, tzinfo=UTC)
DUE = NOW + timedelta(minutes=3)
LATER = NOW + timedelta(minutes=4)
LEASE = timedelta(seconds=15)
ALERT = Alert(title="Disk full", source="generic", severity="high", identity="abc")


def made(due_at: datetime | None = DUE) -> Incident:
    return Incident.opened("id", ALERT, NOW, due_at=due_at, alert_source="default")


OPEN = made(None)
PENDING = made()
IN_FLIGHT = PENDING.claimed("t", DUE, LEASE)
ESCALATED = IN_FLIGHT.delivered("t", DUE, "202")
ACKNOWLEDGED = PENDING.acknowledged("ops", NOW)
ACKNOWLEDGED_IN_FLIGHT = IN_FLIGHT.acknowledged("ops", DUE)
RETRYING = IN_FLIGHT.refused("t", DUE, "500", reason="refused", again_at=LATER, failed=False, uncertain=False)
MAYBE_OUT = IN_FLIGHT.refused(
    "t", DUE, "timeout", reason="refused", again_at=LATER, failed=False, uncertain=True
)
FAILED = IN_FLIGHT.refused("t", DUE, "404", reason="refused", again_at=LATER, failed=True, uncertain=False)
GIVEN_UP = IN_FLIGHT.refused("t", DUE, "500", reason="refused", again_at=None, failed=True, uncertain=False)
RESOLVED = PENDING.resolved("ops", NOW)
RESOLVED_IN_FLIGHT = IN_FLIGHT.resolved("ops", DUE)
RESOLVED_AFTER_PAGE = ESCALATED.resolved("ops", LATER)
ALL_CLEAR_IN_FLIGHT = RESOLVED_AFTER_PAGE.claimed("u", LATER, LEASE)

Move = Callable[[Incident], Incident]


def acknowledge(incident: Incident) -> Incident:
    return incident.acknowledged("ops", LATER)


def resolve(incident: Incident) -> Incident:
    return incident.resolved("ops", LATER)


def page_now(incident: Incident) -> Incident:
    return incident.paged_now("ops", LATER)


def repeat(incident: Incident) -> Incident:
    return incident.repeated(ALERT, LATER, due_at=None, alert_source="default")


def repeat_with_oncall(incident: Incident) -> Incident:
    return incident.repeated(ALERT, LATER, due_at=LATER, alert_source="infra")


def claim(incident: Incident) -> Incident:
    return incident.claimed("new", LATER, LEASE)


def deliver(incident: Incident) -> Incident:
    return incident.delivered("t", LATER, "202")


def refuse(incident: Incident) -> Incident:
    return incident.refused(
        "t", LATER, "500", reason="refused", again_at=LATER + LEASE, failed=False, uncertain=False
    )


def time_out(incident: Incident) -> Incident:
    return incident.refused(
        "t", LATER, "timeout", reason="refused", again_at=LATER + LEASE, failed=False, uncertain=True
    )


def misconfigured(incident: Incident) -> Incident:
    return incident.refused(
        "t", LATER, "404", reason="refused", again_at=LATER + LEASE, failed=True, uncertain=False
    )


def give_up(incident: Incident) -> Incident:
    return incident.refused("t", LATER, "500", reason="refused", again_at=None, failed=True, uncertain=False)


MOVES: list[tuple[Incident, Move, State, Kind | None]] = [
    # A person acknowledges: nothing is owed, wherever the page was.
    (OPEN, acknowledge, State.ACKNOWLEDGED, None),
    (PENDING, acknowledge, State.ACKNOWLEDGED, None),
    (IN_FLIGHT, acknowledge, State.ACKNOWLEDGED, None),
    (RETRYING, acknowledge, State.ACKNOWLEDGED, None),
    (FAILED, acknowledge, State.ACKNOWLEDGED, None),
    (ESCALATED, acknowledge, State.ACKNOWLEDGED, None),
    (ACKNOWLEDGED, acknowledge, State.ACKNOWLEDGED, None),
    # Resolved: an all-clear is owed if the page is out or may be.
    (OPEN, resolve, State.RESOLVED, None),
    (PENDING, resolve, State.RESOLVED, None),
    (ACKNOWLEDGED, resolve, State.RESOLVED, None),
    (RETRYING, resolve, State.RESOLVED, None),
    (FAILED, resolve, State.RESOLVED, None),
    (IN_FLIGHT, resolve, State.RESOLVED, "resolved"),
    (MAYBE_OUT, resolve, State.RESOLVED, "resolved"),
    (ESCALATED, resolve, State.RESOLVED, "resolved"),
    (ACKNOWLEDGED_IN_FLIGHT, resolve, State.RESOLVED, "resolved"),
    (RESOLVED_AFTER_PAGE, resolve, State.RESOLVED, "resolved"),
    # Page now.
    (OPEN, page_now, State.PENDING, "firing"),
    (PENDING, page_now, State.PENDING, "firing"),
    (ACKNOWLEDGED, page_now, State.PENDING, "firing"),
    (RETRYING, page_now, State.PENDING, "firing"),
    (FAILED, page_now, State.PENDING, "firing"),
    # The same alert again.
    (OPEN, repeat, State.OPEN, None),
    (OPEN, repeat_with_oncall, State.PENDING, "firing"),
    (PENDING, repeat_with_oncall, State.PENDING, "firing"),
    (ACKNOWLEDGED, repeat_with_oncall, State.ACKNOWLEDGED, None),
    (ESCALATED, repeat_with_oncall, State.ESCALATED, None),
    (RETRYING, repeat_with_oncall, State.ESCALATING, "firing"),
    (FAILED, repeat_with_oncall, State.FAILED, "firing"),
    # Nobody was ever paged, and the problem is still there.
    (GIVEN_UP, repeat_with_oncall, State.PENDING, "firing"),
    (GIVEN_UP, repeat, State.FAILED, None),
    # A worker claims.
    (PENDING, claim, State.ESCALATING, "firing"),
    (RETRYING, claim, State.ESCALATING, "firing"),
    (FAILED, claim, State.ESCALATING, "firing"),
    (IN_FLIGHT, claim, State.ESCALATING, "firing"),
    (RESOLVED_AFTER_PAGE, claim, State.RESOLVED, "resolved"),
    (RESOLVED_IN_FLIGHT, claim, State.RESOLVED, "resolved"),
    # A worker reports.
    (IN_FLIGHT, deliver, State.ESCALATED, None),
    (ACKNOWLEDGED_IN_FLIGHT, deliver, State.ACKNOWLEDGED, None),
    (RESOLVED_IN_FLIGHT, deliver, State.RESOLVED, "resolved"),
    (IN_FLIGHT, refuse, State.ESCALATING, "firing"),
    (ACKNOWLEDGED_IN_FLIGHT, refuse, State.ACKNOWLEDGED, None),
    (RESOLVED_IN_FLIGHT, refuse, State.RESOLVED, None),
    (RESOLVED_IN_FLIGHT, time_out, State.RESOLVED, "resolved"),
    (IN_FLIGHT, misconfigured, State.FAILED, "firing"),
    (IN_FLIGHT, give_up, State.FAILED, None),
    # … long after its lease, when others went on without it.
    (PENDING, deliver, State.PENDING, "firing"),
    (RESOLVED, deliver, State.RESOLVED, "resolved"),
    (RESOLVED, refuse, State.RESOLVED, None),
]


@pytest.mark.parametrize(("before", "move", "state", "owes"), MOVES)
def test_a_move_leads_to_its_state_and_owes_what_it_must(
    before: Incident, move: Move, state: State, owes: Kind | None
) -> None:
    after = move(before)
    assert (after.state, after.owes) == (state, owes)
    assert (after.next_attempt_at is None) == (owes is None)


FORBIDDEN: list[tuple[Incident, Move]] = [
    (RESOLVED, acknowledge),
    (RESOLVED, repeat),
    (RESOLVED, page_now),
    (ESCALATED, page_now),
    (OPEN, claim),
    (ACKNOWLEDGED, claim),
    (ESCALATED, claim),
    (RESOLVED, claim),
]


@pytest.mark.parametrize(("before", "move"), FORBIDDEN)
def test_a_move_that_makes_no_sense_is_refused(before: Incident, move: Move) -> None:
    with pytest.raises(NotAllowed):
        move(before)


def test_nobody_can_claim_before_it_is_due_or_while_a_lease_runs() -> None:
    with pytest.raises(NotAllowed):
        PENDING.claimed("t", DUE - timedelta(milliseconds=1), LEASE)
    with pytest.raises(NotAllowed):
        IN_FLIGHT.claimed("u", DUE + LEASE - timedelta(milliseconds=1), LEASE)
    assert IN_FLIGHT.claimed("u", DUE + LEASE, LEASE).attempts == 2


def test_page_now_is_refused_while_the_page_is_being_sent() -> None:
    with pytest.raises(NotAllowed):
        IN_FLIGHT.paged_now("ops", DUE + timedelta(seconds=1))


def test_an_update_raises_severity_replaces_texts_and_moves_no_time() -> None:
    louder = Alert(
        title="Disk fuller", source="generic", description="99 %", severity="critical", started_at=LATER
    )
    after = PENDING.repeated(louder, LATER, due_at=LATER, alert_source="infra")
    assert (after.title, after.description, after.severity) == ("Disk fuller", "99 %", "critical")
    assert (after.due_at, after.alert_source, after.occurrences) == (DUE, "default", 2)
    quieter = replace(louder, severity="low", started_at=NOW)
    again = after.repeated(quieter, LATER, due_at=None, alert_source="default")
    assert (again.severity, again.started_at) == ("critical", LATER)


def test_an_update_without_a_title_leaves_the_one_that_is_there() -> None:
    untitled = replace(ALERT, title=None)
    after = PENDING.repeated(untitled, LATER, due_at=LATER, alert_source="default")
    assert after.title == PENDING.title == "Disk full"
    opened = Incident.opened("i", untitled, NOW, due_at=None, alert_source="default")
    assert opened.title == "Incident from generic"
    assert opened.repeated(ALERT, LATER, due_at=None, alert_source="default").title == "Disk full"


def test_the_all_clear_waits_for_the_page_that_is_being_sent() -> None:
    resolved = IN_FLIGHT.resolved("ops", DUE + timedelta(seconds=1))
    assert resolved.next_attempt_at == DUE + LEASE
    assert resolved.delivered("t", DUE + timedelta(seconds=2), "202").next_attempt_at == DUE + timedelta(
        seconds=2
    )


def test_a_claim_whose_worker_never_reported_may_have_paged() -> None:
    second = IN_FLIGHT.claimed("u", LATER, LEASE)
    refused = second.refused(
        "u", LATER, "500", reason="refused", again_at=LATER, failed=False, uncertain=False
    )
    assert refused.page_may_be_out
    assert refused.resolved("ops", LATER).owes == "resolved"


def test_a_refusal_after_its_lease_does_not_end_another_workers_claim() -> None:
    second = IN_FLIGHT.claimed("u", LATER, LEASE)
    after = second.refused("t", LATER, "500", reason="refused", again_at=None, failed=True, uncertain=False)
    assert (after.claim, after.owes, after.state) == (second.claim, "firing", State.ESCALATING)


def test_a_page_after_its_lease_does_not_end_another_workers_claim() -> None:
    after = IN_FLIGHT.claimed("u", LATER, LEASE).delivered("t", LATER, "202")
    assert (after.claim, after.owes) == (IN_FLIGHT.claimed("u", LATER, LEASE).claim, "firing")
    assert after.timeline[-1].event == "delivered_late"


def test_a_late_page_is_followed_by_another_all_clear_than_the_one_under_way() -> None:
    resolved = IN_FLIGHT.claimed("u", LATER, LEASE).delivered("u", LATER, "202").resolved("ops", LATER)
    clearing = resolved.claimed("v", LATER, LEASE)
    # The worker that held the first claim wakes up, and its page is out; the all-clear may have been before.
    late = clearing.delivered("t", LATER, "202")
    assert (late.owes, late.next_attempt_at) == ("resolved", LATER + LEASE)
    after = late.delivered("v", LATER, "202")
    assert after.owes == "resolved"
    again = after.claimed("w", LATER, LEASE).delivered("w", LATER, "202")
    assert (again.owes, again.timeline[-1].event) == (None, "all_clear_sent")


def test_an_all_clear_after_its_lease_is_no_page() -> None:
    cleared = (
        MAYBE_OUT.resolved("ops", LATER).claimed("u", LATER, LEASE).claimed("v", LATER + LEASE, LEASE)
    ).delivered("v", LATER + LEASE, "202", "resolved")
    late = cleared.delivered("u", LATER + LEASE, "202", "resolved")
    assert (late.owes, late.escalated_at, late.timeline[-1].event) == (None, None, "all_clear_sent")


def test_what_is_given_up_and_fires_again_begins_anew() -> None:
    again = repeat_with_oncall(GIVEN_UP)
    assert (again.due_at, again.failed_at, again.failures, again.failing_since) == (LATER, None, 0, None)
    assert again.alert_source == GIVEN_UP.alert_source


def test_an_all_clear_that_was_delivered_ends_everything() -> None:
    done = ALL_CLEAR_IN_FLIGHT.delivered("u", LATER, "202")
    assert (done.owes, done.claim, done.next_attempt_at) == (None, None, None)
    assert done.timeline[-1].event == "all_clear_sent"


def test_the_acknowledgement_says_what_it_was_in_time_for() -> None:
    assert ACKNOWLEDGED.timeline[-1].detail == "by ops"
    assert ACKNOWLEDGED_IN_FLIGHT.timeline[-1].detail == "by ops, while the page was being sent"
    assert ESCALATED.acknowledged("ops", LATER).timeline[-1].detail == "by ops, after the page went out"


def test_both_are_on_the_timeline_when_somebody_acknowledges_while_it_is_sent() -> None:
    after = ACKNOWLEDGED_IN_FLIGHT.delivered("t", LATER, "202")
    events = [entry.event for entry in after.timeline]
    assert events[-2:] == ["acknowledged", "escalated"]
    assert after.escalated_at == LATER


def test_the_timeline_keeps_its_beginning_and_its_end() -> None:
    incident = PENDING
    for _ in range(HEAD + TAIL + 50):
        incident = incident.noted(LATER, "link_opened")
    assert len(incident.timeline) == HEAD + TAIL
    assert incident.timeline[0].event == "received"
    assert incident.acknowledged("ops", LATER).timeline[-1].event == "acknowledged"


def test_urgency_follows_severity_and_the_all_clear_goes_last() -> None:
    ranks = [replace(PENDING, severity=s).urgency for s in ("critical", "high", "medium", "low", "info")]
    assert ranks == sorted(ranks)
    assert replace(PENDING, severity=None).urgency == replace(PENDING, severity="medium").urgency
    assert RESOLVED_AFTER_PAGE.urgency > max(ranks)


def test_the_more_severe_wins_and_unknown_is_no_severity() -> None:
    assert most_severe("low", "critical") == "critical"
    assert most_severe(None, "info") == "info"
    assert most_severe(None, None) is None


def test_times_are_written_in_utc_with_milliseconds() -> None:
    assert rfc3339(NOW.replace(microsecond=123_999)) == "2026-03-04T03:00:00.123Z"
