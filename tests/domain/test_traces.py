"""What follows from what a provider says of a page that it took."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain.alert import Alert
from app.domain.delivery import Destination, InvalidTransition, Outcome
from app.domain.incident import Incident
from app.domain.record import ITSELF
from app.domain.state import State
from app.domain.subscription import Subscription
from app.domain.trace import CHECKS, Trace
from tests.fakes import EPOCH, PAGER

PAGERDUTY = Destination("pagerduty/default")
LEASE = timedelta(seconds=15)
NOTIFIED = Trace("notified", "incident.io notified Ada")
NOBODY = Trace("nobody_yet", "nobody yet")
NO_ALERT = Trace("no_alert", "incident.io has no such alert")
UNKNOWN = Trace("unknown", "garbage")


def paged(*, traceable: bool = True, checks: int = 3) -> Incident:
    """Taken by incident.io at `EPOCH`."""
    incident = Incident.opened(
        "one",
        Alert(title="Disk full", source="curl"),
        EPOCH,
        due_at=EPOCH,
        pager=PAGER,
        fallback=(PAGERDUTY,),
        late_after=timedelta(minutes=2),
        subscriptions=(Subscription(Destination("ops"), ("created",)),),
    )
    claimed = incident.claimed(PAGER, "t", EPOCH, LEASE)
    return claimed.delivered(PAGER, "t", EPOCH, "202", traceable=traceable, checks=checks)


def after(incident: Incident, seconds: float, trace: Trace) -> Incident:
    now = EPOCH + timedelta(seconds=seconds)
    return incident.traced(PAGER, now, now, trace)


def check_at(incident: Incident) -> float | None:
    step = incident.check_step(PAGER)
    return None if step is None else (step.at - EPOCH).total_seconds()


def events(incident: Incident) -> list[str]:
    return [entry.event for entry in incident.timeline]


def test_three_checks_are_made_and_each_once() -> None:
    incident = paged()
    for seconds in (5, 15, 45):
        assert check_at(incident) == seconds
        with pytest.raises(InvalidTransition):
            after(incident, seconds - 1, NOBODY)
        incident = after(incident, seconds, NOBODY)
        with pytest.raises(InvalidTransition):
            after(incident, seconds, NOBODY)
    assert check_at(incident) is None
    assert events(incident).count("not_confirmed") == 1


def test_who_was_notified_is_on_the_timeline_and_ends_the_checks() -> None:
    incident = after(paged(), 5, NOTIFIED)
    assert (incident.timeline[-1].event, incident.timeline[-1].detail) == ("confirmed", NOTIFIED.detail)
    assert check_at(incident) is None
    assert incident.state is State.ESCALATED


@pytest.mark.parametrize("seconds", [5, 15, 45, 3600])
@pytest.mark.parametrize("trace", [UNKNOWN, NOBODY])
def test_what_is_not_known_changes_nothing(seconds: float, trace: Trace) -> None:
    incident = after(paged(), seconds, trace)
    assert incident.state is State.ESCALATED
    assert [step.event for _, step in incident.steps()] == []
    assert "late" not in events(incident)
    assert PAGERDUTY not in incident.pagers


@pytest.mark.parametrize("seconds", [5, 15, 44])
def test_no_such_alert_counts_at_the_last_check_alone(seconds: float) -> None:
    incident = after(paged(), seconds, NO_ALERT)
    assert incident.state is State.ESCALATED
    assert check_at(incident) is not None
    assert events(incident) == events(paged())


def test_a_lost_page_is_late_and_the_next_link_of_the_chain_is_paged() -> None:
    incident = after(paged(), 45, NO_ALERT)
    assert incident.state is State.ESCALATING
    assert [change.event for change in incident.changes][-1] == "late"
    assert dict(incident.steps())[PAGERDUTY].event == "firing"
    assert PAGER not in dict(incident.steps())
    # People were notified of it: it is not late a second time.
    assert ITSELF not in dict(incident.steps())
    now = EPOCH + timedelta(seconds=46)
    done = incident.claimed(PAGERDUTY, "u", now, LEASE).delivered(PAGERDUTY, "u", now, "202")
    assert done.state is State.ESCALATED
    # Where it may turn up yet, its end is sent as well.
    resolved = done.resolved("Ada", now)
    ends = {pager: step.event for pager, step in resolved.steps()}
    assert ends == {PAGER: "resolved", PAGERDUTY: "resolved"}


def test_a_lost_page_without_a_fallback_has_failed_and_is_sent_again_when_somebody_asks() -> None:
    incident = paged()
    lost = after(replace(incident, fallback=()), 45, NO_ALERT)
    assert lost.state is State.FAILED
    assert lost.last_error == NO_ALERT.detail
    now = EPOCH + timedelta(minutes=2)
    again = lost.escalated_now("Ada", now)
    assert dict(again.steps())[PAGER].event == "firing"
    taken = again.claimed(PAGER, "u", now, LEASE).delivered(PAGER, "u", now, "202", traceable=True, checks=3)
    step = taken.check_step(PAGER)
    assert step is not None
    assert step.at == now + CHECKS[0]


def test_nothing_is_asked_once_somebody_acknowledged_or_resolved() -> None:
    now = EPOCH + timedelta(seconds=3)
    acknowledged, resolved = paged().acknowledged("Ada", now), paged().resolved("Ada", now)
    for incident in (acknowledged, resolved):
        assert check_at(incident) is None
        with pytest.raises(InvalidTransition):
            after(incident, 45, NO_ALERT)


def test_an_acknowledgement_is_sent_where_the_provider_can_be_told() -> None:
    now = EPOCH + timedelta(seconds=3)
    assert dict(paged(checks=0).acknowledged("Ada", now).steps())[PAGER].event == "acknowledged"
    assert PAGER not in dict(paged(traceable=False, checks=0).acknowledged("Ada", now).steps())


def test_an_acknowledgement_that_makes_no_sense_to_the_provider_is_given_up_and_the_end_is_not() -> None:
    now = EPOCH + timedelta(seconds=3)
    claimed = paged().acknowledged("Ada", now).claimed(PAGER, "u", now, LEASE)
    given_up = claimed.refused(PAGER, "u", now, Outcome("final", "garbage", "not_understood"), None)
    assert PAGER not in dict(given_up.steps())
    assert given_up.state is State.ACKNOWLEDGED
    assert dict(given_up.resolved("Ada", now).steps())[PAGER].event == "resolved"


def test_a_page_that_is_not_followed_is_never_checked() -> None:
    assert check_at(paged(checks=0)) is None
