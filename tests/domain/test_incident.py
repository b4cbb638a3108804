"""Every move of an incident: state before, move, state after; and what its pager is to be sent then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.alert import LABEL_BYTES, MOST_LABELS, Alert, most_severe
from app.domain.delivery import EventKind as Kind
from app.domain.delivery import InvalidTransition, Outcome, Step
from app.domain.incident import Incident
from app.domain.state import State
from app.domain.timeline import HEAD, TAIL, rfc3339
from app.store.keys import RECORD
from tests.fakes import INFRA, PAGER

NOW = datetime(2026, 3, 4, 3, 0, tzinfo=UTC)
DUE = NOW + timedelta(minutes=3)
LATER = NOW + timedelta(minutes=4)
LEASE = timedelta(seconds=15)
ALERT = Alert(title="Disk full", source="generic", severity="high", identity="abc")


SERVER_ERROR = Outcome("try_again", "500", "server_error")
TIMEOUT = Outcome("try_again", "timeout", "timeout", uncertain=True)
NOT_FOUND = Outcome("misconfigured", "404", "not_found")


def made(due_at: datetime | None = DUE) -> Incident:
    return Incident.opened("id", ALERT, NOW, due_at=due_at, pager=PAGER)


OPEN = made(None)
PENDING = made()
IN_FLIGHT = PENDING.claimed(PAGER, "t", DUE, LEASE)
ESCALATED = IN_FLIGHT.delivered(PAGER, "t", DUE, "202")
ACKNOWLEDGED = PENDING.acknowledged("ops", NOW)
ACKNOWLEDGED_IN_FLIGHT = IN_FLIGHT.acknowledged("ops", DUE)
RETRYING = IN_FLIGHT.refused(PAGER, "t", DUE, SERVER_ERROR, LATER)
MAYBE_OUT = IN_FLIGHT.refused(PAGER, "t", DUE, TIMEOUT, LATER)
FAILED = IN_FLIGHT.refused(PAGER, "t", DUE, NOT_FOUND, LATER)
GIVEN_UP = IN_FLIGHT.refused(PAGER, "t", DUE, SERVER_ERROR, None)
RESOLVED = PENDING.resolved("ops", NOW)
RESOLVED_IN_FLIGHT = IN_FLIGHT.resolved("ops", DUE)
RESOLVED_AFTER_PAGE = ESCALATED.resolved("ops", LATER)
RESOLVE_EVENT_IN_FLIGHT = RESOLVED_AFTER_PAGE.claimed(PAGER, "u", LATER, LEASE)

Move = Callable[[Incident], Incident]


def step_of(incident: Incident) -> Step:
    """What its pager is to be sent; there must be something."""
    step = incident.next_step(PAGER)
    assert step is not None
    return step


def next_event(incident: Incident) -> str | None:
    """The event that its pager is to be sent, at once or later."""
    step = incident.next_step(PAGER)
    return None if step is None else step.event


def acknowledge(incident: Incident) -> Incident:
    return incident.acknowledged("ops", LATER)


def resolve(incident: Incident) -> Incident:
    return incident.resolved("ops", LATER)


def escalate_now(incident: Incident) -> Incident:
    return incident.escalated_now("ops", LATER)


def repeat(incident: Incident) -> Incident:
    return incident.repeated(ALERT, LATER, due_at=None, pager=PAGER, asked=False)


def repeat_with_oncall(incident: Incident) -> Incident:
    return incident.repeated(ALERT, LATER, due_at=LATER, pager=PAGER, asked=False)


def claim(incident: Incident) -> Incident:
    return incident.claimed(PAGER, "new", LATER, LEASE)


def deliver(incident: Incident) -> Incident:
    return incident.delivered(PAGER, "t", LATER, "202")


def refuse(incident: Incident) -> Incident:
    return incident.refused(PAGER, "t", LATER, SERVER_ERROR, LATER + LEASE)


def time_out(incident: Incident) -> Incident:
    return incident.refused(PAGER, "t", LATER, TIMEOUT, LATER + LEASE)


def misconfigured(incident: Incident) -> Incident:
    return incident.refused(PAGER, "t", LATER, NOT_FOUND, LATER + LEASE)


def give_up(incident: Incident) -> Incident:
    return incident.refused(PAGER, "t", LATER, SERVER_ERROR, None)


MOVES: list[tuple[Incident, Move, State, Kind | None]] = [
    # A person acknowledges: nothing is to be sent, wherever the page was.
    (OPEN, acknowledge, State.ACKNOWLEDGED, None),
    (PENDING, acknowledge, State.ACKNOWLEDGED, None),
    (IN_FLIGHT, acknowledge, State.ACKNOWLEDGED, None),
    (RETRYING, acknowledge, State.ACKNOWLEDGED, None),
    (FAILED, acknowledge, State.ACKNOWLEDGED, None),
    (ESCALATED, acknowledge, State.ACKNOWLEDGED, None),
    (ACKNOWLEDGED, acknowledge, State.ACKNOWLEDGED, None),
    # Resolved: the pager gets a resolve event if the page is out or may be.
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
    (OPEN, escalate_now, State.PENDING, "firing"),
    (PENDING, escalate_now, State.PENDING, "firing"),
    (ACKNOWLEDGED, escalate_now, State.PENDING, "firing"),
    (RETRYING, escalate_now, State.PENDING, "firing"),
    (FAILED, escalate_now, State.PENDING, "firing"),
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
    # … long after its lease, when others went on without it: the page is out all the same.
    (PENDING, deliver, State.ESCALATED, None),
    (ACKNOWLEDGED, deliver, State.ACKNOWLEDGED, None),
    (PENDING, refuse, State.PENDING, "firing"),
    (RESOLVED, deliver, State.RESOLVED, "resolved"),
    (RESOLVED, refuse, State.RESOLVED, None),
]


@pytest.mark.parametrize(("before", "move", "state", "event"), MOVES)
def test_a_move_leads_to_its_state_and_to_what_is_sent_next(
    before: Incident, move: Move, state: State, event: Kind | None
) -> None:
    after = move(before)
    assert (after.state, next_event(after)) == (state, event)
    assert dict(after.steps()) == ({PAGER: after.next_step(PAGER)} if event else {})


FORBIDDEN: list[tuple[Incident, Move]] = [
    (RESOLVED, acknowledge),
    (RESOLVED, repeat),
    (RESOLVED, escalate_now),
    (ESCALATED, escalate_now),
    (OPEN, claim),
    (ACKNOWLEDGED, claim),
    (ESCALATED, claim),
    (RESOLVED, claim),
]


@pytest.mark.parametrize(("before", "move"), FORBIDDEN)
def test_a_move_that_makes_no_sense_is_refused(before: Incident, move: Move) -> None:
    with pytest.raises(InvalidTransition):
        move(before)


def test_nobody_can_claim_before_it_is_due_or_while_a_lease_runs() -> None:
    with pytest.raises(InvalidTransition):
        PENDING.claimed(PAGER, "t", DUE - timedelta(milliseconds=1), LEASE)
    with pytest.raises(InvalidTransition):
        IN_FLIGHT.claimed(PAGER, "u", DUE + LEASE - timedelta(milliseconds=1), LEASE)
    assert IN_FLIGHT.claimed(PAGER, "u", DUE + LEASE, LEASE).attempts == 2


def test_escalate_now_is_refused_while_the_page_is_being_sent() -> None:
    with pytest.raises(InvalidTransition):
        IN_FLIGHT.escalated_now("ops", DUE + timedelta(seconds=1))


def test_an_update_raises_severity_replaces_texts_and_moves_no_time() -> None:
    louder = Alert(
        title="Disk fuller", source="generic", description="99 %", severity="critical", started_at=LATER
    )
    after = PENDING.repeated(louder, LATER, due_at=LATER, pager=INFRA, asked=False)
    assert (after.title, after.description, after.severity) == ("Disk fuller", "99 %", "critical")
    assert (after.due_at, after.alert_source, after.occurrences) == (DUE, "default", 2)
    # Only a request that names an alert source adds it.
    assert (list(after.pagers), step_of(after).at) == ([PAGER], DUE)
    quieter = replace(louder, severity="low", started_at=NOW)
    again = after.repeated(quieter, LATER, due_at=None, pager=PAGER, asked=False)
    assert (again.severity, again.started_at) == ("critical", LATER)


def test_an_update_without_a_title_leaves_the_one_that_is_there() -> None:
    untitled = replace(ALERT, title=None)
    after = PENDING.repeated(untitled, LATER, due_at=LATER, pager=PAGER, asked=False)
    assert after.title == PENDING.title == "Disk full"
    opened = Incident.opened("i", untitled, NOW, due_at=None, pager=PAGER)
    assert opened.title == "Incident from generic"
    assert opened.repeated(ALERT, LATER, due_at=None, pager=PAGER, asked=False).title == "Disk full"


def test_the_first_request_to_page_says_who_is_paged() -> None:
    for asked in (True, False):
        after = OPEN.repeated(ALERT, LATER, due_at=LATER, pager=INFRA, asked=asked)
        assert (after.state, after.alert_source, list(after.pagers)) == (State.PENDING, "infra", [INFRA])


def test_the_resolve_event_waits_for_the_page_that_is_being_sent() -> None:
    resolved = IN_FLIGHT.resolved("ops", DUE + timedelta(seconds=1))
    assert step_of(resolved).at == DUE + LEASE
    out = resolved.delivered(PAGER, "t", DUE + timedelta(seconds=2), "202")
    assert step_of(out) == Step("resolved", DUE + timedelta(seconds=1), DUE + timedelta(seconds=1))


def test_a_claim_whose_worker_never_reported_may_have_paged() -> None:
    second = IN_FLIGHT.claimed(PAGER, "u", LATER, LEASE)
    refused = second.refused(PAGER, "u", LATER, SERVER_ERROR, LATER)
    assert refused.pagers[PAGER].may_have_page
    assert refused.may_be_paged
    assert next_event(refused.resolved("ops", LATER)) == "resolved"


def test_a_refusal_after_its_lease_does_not_end_another_workers_claim() -> None:
    second = IN_FLIGHT.claimed(PAGER, "u", LATER, LEASE)
    after = second.refused(PAGER, "t", LATER, SERVER_ERROR, None)
    assert (after.pagers, next_event(after), after.state) == (second.pagers, "firing", State.ESCALATING)


def test_a_page_after_its_lease_does_not_end_another_workers_claim() -> None:
    second = IN_FLIGHT.claimed(PAGER, "u", LATER, LEASE)
    after = second.delivered(PAGER, "t", LATER, "202")
    assert after.pagers[PAGER].claim == second.pagers[PAGER].claim
    assert after.timeline[-1].event == "delivered_late"
    # Nobody else is to send it; the one who does may, and until then nothing may follow it.
    assert (after.state, next_event(after)) == (State.ESCALATED, None)
    assert step_of(after.resolved("ops", LATER)).at == LATER + LEASE
    for reported in (
        after.delivered(PAGER, "u", LATER, "202"),
        after.refused(PAGER, "u", LATER, SERVER_ERROR, LATER),
        after.refused(PAGER, "u", LATER, NOT_FOUND, LATER),
    ):
        assert (reported.state, next_event(reported), reported.in_flight) == (State.ESCALATED, None, False)
        assert next_event(reported.resolved("ops", LATER)) == "resolved"


def test_a_late_page_is_followed_by_another_resolve_event_than_the_one_under_way() -> None:
    second = IN_FLIGHT.claimed(PAGER, "u", LATER, LEASE).delivered(PAGER, "u", LATER, "202")
    sending = second.resolved("ops", LATER).claimed(PAGER, "v", LATER, LEASE)
    # The worker that held the first claim wakes up, and its page is out; the resolve event may have been
    # there before.
    late = sending.delivered(PAGER, "t", LATER, "202")
    assert (next_event(late), step_of(late).at) == ("resolved", LATER + LEASE)
    for reported in (
        late.delivered(PAGER, "v", LATER, "202", "resolved"),
        late.refused(PAGER, "v", LATER, SERVER_ERROR, None),
    ):
        assert (next_event(reported), step_of(reported).at) == ("resolved", LATER + LEASE)
        claimed = reported.claimed(PAGER, "w", LATER + LEASE, LEASE)
        again = claimed.delivered(PAGER, "w", LATER + LEASE, "202", "resolved")
        assert (next_event(again), again.timeline[-1].event) == (None, "resolve_event_sent")


def test_a_late_page_is_followed_by_a_resolve_event_though_another_was_given_up() -> None:
    sending = RESOLVED_AFTER_PAGE.claimed(PAGER, "u", LATER, LEASE)
    given_up = sending.refused(PAGER, "u", LATER, SERVER_ERROR, None)
    assert (next_event(given_up), given_up.is_over) == (None, True)
    late = given_up.delivered(PAGER, "slept", LATER, "202")
    assert (next_event(late), late.is_over) == ("resolved", False)


def test_a_resolve_event_after_its_lease_is_no_page() -> None:
    first = MAYBE_OUT.resolved("ops", LATER).claimed(PAGER, "u", LATER, LEASE)
    second = first.claimed(PAGER, "v", LATER + LEASE, LEASE)
    ended = second.delivered(PAGER, "v", LATER + LEASE, "202", "resolved")
    late = ended.delivered(PAGER, "u", LATER + LEASE, "202", "resolved")
    assert (next_event(late), late.escalated_at, late.timeline[-1].event) == (
        None,
        None,
        "resolve_event_sent",
    )


def test_what_is_given_up_and_fires_again_begins_anew() -> None:
    again = repeat_with_oncall(GIVEN_UP)
    delivery = again.pagers[PAGER]
    assert (again.due_at, again.failed_at) == (LATER, None)
    assert (delivery.failures, delivery.failing_since, delivery.given_up) == (0, None, None)
    assert again.alert_source == GIVEN_UP.alert_source


def test_a_resolve_event_that_was_delivered_ends_everything() -> None:
    done = RESOLVE_EVENT_IN_FLIGHT.delivered(PAGER, "u", LATER, "202", "resolved")
    assert (next_event(done), done.in_flight, done.is_over) == (None, False, True)
    assert done.timeline[-1].event == "resolve_event_sent"


def test_the_acknowledgement_says_what_it_was_in_time_for() -> None:
    assert ACKNOWLEDGED.timeline[-1].detail == "by ops"
    assert ACKNOWLEDGED_IN_FLIGHT.timeline[-1].detail == "by ops, while the page was being sent"
    assert ESCALATED.acknowledged("ops", LATER).timeline[-1].detail == "by ops, after the page went out"


def test_both_are_on_the_timeline_when_somebody_acknowledges_while_it_is_sent() -> None:
    after = ACKNOWLEDGED_IN_FLIGHT.delivered(PAGER, "t", LATER, "202")
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


def test_any_number_of_repeats_leaves_the_lines_of_people_on_the_timeline() -> None:
    incident = PENDING
    for n in range(HEAD):
        incident = incident.noted(LATER, "attempt", str(n))
    incident = incident.acknowledged("ops", LATER)
    for _ in range(HEAD + TAIL):
        incident = again(incident).noted(LATER, "link_opened")
    incident = again(again(again(incident)))
    events = [entry.event for entry in incident.timeline]
    assert len(events) == HEAD + TAIL
    assert "acknowledged" in events
    assert events[-2:] == ["link_opened", "repeated"]
    assert incident.timeline[-1].detail == f"occurrence {HEAD + TAIL + 4}"


def again(incident: Incident, **labels: str) -> Incident:
    alert = Alert(title="Disk full", source="test", labels=labels)
    return incident.repeated(alert, LATER, due_at=None, pager=PAGER, asked=False)


def test_repeats_bring_no_more_labels_and_bytes_than_are_allowed() -> None:
    incident = again(PENDING, first="1", grows="small")
    for n in range(2 * MOST_LABELS):
        incident = again(incident, **{f"name{n}": "x", "grows": "newer"})
    assert len(incident.labels) == MOST_LABELS
    assert (incident.labels["first"], incident.labels["grows"]) == ("1", "newer")
    for n in range(2 * MOST_LABELS):
        incident = again(incident, **{f"name{n}": "\N{FIRE}" * 1024})
    assert sum(len(f"{name}{value}".encode()) for name, value in incident.labels.items()) <= LABEL_BYTES
    assert len(RECORD.dump_json(incident)) < 256 * 1024


def urgency(incident: Incident) -> int:
    return incident.urgency(step_of(incident))


def test_urgency_follows_severity_and_the_resolve_event_goes_last() -> None:
    ranks = [urgency(replace(PENDING, severity=s)) for s in ("critical", "high", "medium", "low", "info")]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == 5
    assert urgency(replace(PENDING, severity=None)) == urgency(replace(PENDING, severity="medium"))
    assert urgency(replace(RESOLVED_AFTER_PAGE, severity="critical")) > max(ranks)


def test_the_more_severe_wins_and_unknown_is_no_severity() -> None:
    assert most_severe("low", "critical") == "critical"
    assert most_severe(None, "info") == "info"
    assert most_severe(None, None) is None


def test_times_are_written_in_utc_with_milliseconds() -> None:
    assert rfc3339(NOW.replace(microsecond=123_999)) == "2026-03-04T03:00:00.123Z"
