"""What reopens an acknowledged incident, and how: itself, or, once there is an alert, as its successor."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import timedelta
from threading import Barrier, Thread
from typing import Any

import pytest

from app import actions
from app.bootstrap import Services
from app.delivery import pages
from app.domain.alert import MEMBERS_LIMIT, Alert, Effect, Severity
from app.domain.delivery import InvalidTransition, Outcome
from app.domain.incident import Incident
from app.domain.record import REST
from app.domain.state import State
from app.ingest.service import Options, Received, ReceivedAlert, receive
from app.store import Search
from config import Config
from tests.fakes import INFRA, Clock, RecordingProvider

WAIT = timedelta(minutes=3)
DAY = timedelta(days=1)
NO_ANSWER = Outcome("try_again", "no answer", "timeout", uncertain=True)


def group(
    members: dict[str, str] | None = None,
    severity: Severity | None = "high",
    *,
    ended: Sequence[str] = (),
    complete: bool = True,
    effect: Effect = Effect.FIRING,
) -> ReceivedAlert:
    alert = Alert(
        "Disks",
        "alertmanager",
        effect,
        identity="group",
        severity=severity,
        members=members or {},
        ended_members=tuple(ended),
        members_complete=complete,
    )
    return ReceivedAlert(alert, f'{{"members": {len(alert.members)}}}')


def report(services: Services, message: ReceivedAlert | None = None, **options: Any) -> Incident:
    """Send a webhook; the incident that it belongs to."""
    [received] = receive(services, [message or group({"a": "high"})], Options(**options))
    assert isinstance(received, Received)
    assert received.incident is not None
    return received.incident


def acknowledged(
    services: Services, message: ReceivedAlert | None = None, minutes: float | None = None
) -> Incident:
    return actions.acknowledge(services, report(services, message).id, "dana", minutes)


def work(services: Services) -> None:
    """Workers do what is due, until nothing is."""
    for _ in range(5):
        for incident in services.store.incidents.page(Search(), 10, None).incidents:
            for destination, step in incident.steps():
                if step.at <= services.clock():
                    pages.deliver(services, incident.id, [destination])


def stored(services: Services, incident: Incident) -> Incident:
    return services.store.incidents.require(incident.id)


def states(services: Services) -> list[State]:
    """Of all incidents, the newest first."""
    return [one.state for one in services.store.incidents.page(Search(), 10, None).incidents]


def is_reopened(services: Services, before: Incident) -> bool:
    """It waits again, with all its time."""
    now = stored(services, before)
    if now.state is State.ACKNOWLEDGED:
        return False
    assert (now.state, now.due_at) == (State.PENDING, services.clock() + WAIT)
    assert (now.acknowledged_at, now.acknowledged_by, now.acknowledged_until) == (None, None, None)
    return True


# -- what reopens it ----------------------------------------------------------------------------------------

JOINING: dict[str, tuple[ReceivedAlert, bool]] = {
    "the same again": (group({"a": "high"}), False),
    "a higher severity": (group(None, "critical"), True),
    "a lower severity": (group(None, "low"), False),
    "one that joins, as severe": (group({"a": "high", "b": "high"}), True),
    "one that joins alone": (group({"b": "critical"}), True),
    "one that joins, less severe": (group({"a": "high", "b": "low"}), False),
    "one that joins with no severity, which is medium": (group({"a": "high", "b": ""}), False),
    "one that joins a list that was cut": (group({"a": "high", "b": "high"}, complete=False), False),
    "too many": (group({str(n): "high" for n in range(MEMBERS_LIMIT)}), False),
    "one that ended before it joined": (group({"a": "high"}, ended=["b"]), False),
}


@pytest.mark.parametrize(("message", "reopens"), JOINING.values(), ids=JOINING)
def test_what_the_acknowledgement_does_not_cover_reopens(
    services: Services, clock: Clock, message: ReceivedAlert, reopens: bool
) -> None:
    incident = acknowledged(services)
    clock.wind(minutes=5)
    assert report(services, message).id == incident.id
    assert is_reopened(services, incident) == reopens


@pytest.mark.parametrize("reopen_on", ["severity", "members", "none"])
def test_what_reopens_can_be_chosen(services: Services, clock: Clock, reopen_on: str) -> None:
    services = configured(services, reopen_on=() if reopen_on == "none" else (reopen_on,))
    incident = acknowledged(services)
    report(services, group(None, "critical"))
    assert is_reopened(services, incident) == (reopen_on == "severity")
    actions.acknowledge(services, incident.id, "dana")
    report(services, group({"b": "critical"}))
    assert is_reopened(services, incident) == (reopen_on == "members")


def test_the_policy_is_that_of_when_it_was_opened(services: Services) -> None:
    incident = acknowledged(services)
    other = configured(services, reopen_on=(), wait_minutes=60)
    report(other, group(None, "critical"))
    assert is_reopened(services, incident)


def test_a_member_that_was_covered_may_end_and_fire_again(services: Services, clock: Clock) -> None:
    incident = acknowledged(services, group({"a": "high", "b": "high"}))
    report(services, group({"a": "high"}, ended=["b"]))
    report(services, group({"a": "high", "b": "high"}))
    assert not is_reopened(services, incident)


def test_a_member_that_ended_before_the_acknowledgement_is_not_covered(services: Services) -> None:
    incident = report(services, group({"a": "high", "b": "high"}))
    report(services, group({"a": "high"}, ended=["b"]))
    actions.acknowledge(services, incident.id, "dana")
    report(services, group({"a": "high", "b": "high"}))
    assert is_reopened(services, incident)


def test_after_a_list_that_was_cut_the_next_whole_one_says_what_is_there(services: Services) -> None:
    incident = acknowledged(services, group({"a": "high"}, complete=False))
    report(services, group({"a": "high", "b": "high"}))
    assert not is_reopened(services, incident)
    report(services, group({"a": "high", "b": "high", "c": "high"}))
    assert is_reopened(services, incident)


def test_members_reopen_once_in_fifteen_minutes_and_what_came_in_between_counts_then(
    services: Services, clock: Clock
) -> None:
    incident = acknowledged(services)
    report(services, group({"b": "high"}))
    assert is_reopened(services, incident)
    clock.wind(minutes=1)
    actions.acknowledge(services, incident.id, "dana")
    report(services, group({"c": "high", "d": "high"}))
    report(services, group({"a": "high"}, ended=["d"]))
    assert not is_reopened(services, incident)
    clock.wind(minutes=13, seconds=59)
    work(services)
    assert not is_reopened(services, incident)
    clock.wind(seconds=1)
    work(services)
    assert is_reopened(services, incident)
    assert stored(services, incident).timeline[-2].detail == "an alert joined it"


def test_members_that_are_gone_by_then_do_not_count(services: Services, clock: Clock) -> None:
    incident = acknowledged(services)
    report(services, group({"b": "high"}))
    actions.acknowledge(services, incident.id, "dana")
    report(services, group({"c": "high"}))
    report(services, group({"a": "high"}, ended=["c"]))
    clock.wind(seconds=REST.total_seconds() + 60)
    work(services)
    assert not is_reopened(services, incident)


def test_a_higher_severity_waits_for_no_fifteen_minutes(services: Services, clock: Clock) -> None:
    incident = acknowledged(services)
    report(services, group({"b": "high"}))
    actions.acknowledge(services, incident.id, "dana")
    report(services, group({"c": "critical"}, "critical"))
    assert is_reopened(services, incident)


@pytest.mark.parametrize(("after", "reopens"), [(DAY, False), (DAY + timedelta(seconds=1), True)])
def test_a_report_a_day_after_the_acknowledgement_reopens(
    services: Services, clock: Clock, after: timedelta, reopens: bool
) -> None:
    clock.wind(minutes=1)
    incident = acknowledged(services)
    clock.now += after
    work(services)
    assert stored(services, incident).state is State.ACKNOWLEDGED
    report(services)
    assert is_reopened(services, incident) == reopens


def test_never_by_a_report_where_that_is_configured(services: Services, clock: Clock) -> None:
    services = configured(services, reopen_after_minutes=0)
    incident = acknowledged(services)
    clock.wind(days=400)
    report(services)
    assert not is_reopened(services, incident)


def test_an_acknowledgement_with_minutes_ends_then(
    services: Services, clock: Clock, provider: RecordingProvider
) -> None:
    incident = acknowledged(services, minutes=30)
    assert incident.acknowledged_until == clock.now + timedelta(minutes=30)
    clock.wind(minutes=29, seconds=59)
    work(services)
    assert not is_reopened(services, incident)
    clock.wind(seconds=1)
    work(services)
    assert is_reopened(services, incident)
    clock.wind(minutes=3)
    work(services)
    assert provider.notified() == [("firing", incident.id)]


@pytest.mark.parametrize("again", [60.0, None])
def test_a_later_end_prolongs_an_acknowledgement_and_an_earlier_one_changes_nothing(
    services: Services, clock: Clock, again: float | None
) -> None:
    incident = acknowledged(services, minutes=30)
    assert actions.acknowledge(services, incident.id, "sam", 20) == incident
    longer = actions.acknowledge(services, incident.id, "sam", again)
    assert longer.acknowledged_by == "sam"
    assert longer.acknowledged_until == (None if again is None else clock.now + timedelta(hours=1))


def test_taking_the_acknowledgement_back_reopens_at_once(services: Services, clock: Clock) -> None:
    incident = acknowledged(services)
    clock.wind(minutes=10)
    assert actions.unacknowledge(services, incident.id, "dana").state is State.PENDING
    assert is_reopened(services, incident)
    again = actions.unacknowledge(services, incident.id, "dana")
    assert again == stored(services, incident)
    actions.resolve(services, incident.id, "dana")
    with pytest.raises(InvalidTransition):
        actions.unacknowledge(services, incident.id, "dana")


def test_what_nobody_asked_to_page_for_is_open_again_and_pages_nobody(
    services: Services, clock: Clock, provider: RecordingProvider
) -> None:
    incident = report(services, oncall_enable=False)
    actions.acknowledge(services, incident.id, "dana", 30)
    clock.wind(minutes=30)
    work(services)
    assert (stored(services, incident).state, stored(services, incident).due_at) == (State.OPEN, None)
    clock.wind(days=2)
    work(services)
    assert provider.notified() == []


# -- the successor ----------------------------------------------------------------------------------------


def paged(services: Services, clock: Clock, **options: Any) -> Incident:
    """One whose page went out."""
    incident = report(services, **options)
    clock.wind(minutes=3)
    work(services)
    return stored(services, incident)


def test_one_that_was_paged_is_continued_under_another_key(
    services: Services, clock: Clock, provider: RecordingProvider
) -> None:
    old = paged(services, clock, alert_source="infra")
    actions.acknowledge(services, old.id, "dana")
    new = report(services, group({"b": "high"}, "critical"))
    assert (new.previous_id, stored(services, old).next_id) == (old.id, new.id)
    # Else its end, which comes later, would be taken for that of the problem.
    assert stored(services, old).identity is None
    assert (new.identity, list(new.pagers), new.title) == ("group", [INFRA], old.title)
    assert is_reopened(services, new)
    assert stored(services, old).state is State.ACKNOWLEDGED
    assert services.store.incidents.payload(new.id) == {"members": 1}
    # From now on it stands for the problem.
    assert report(services).id == new.id
    clock.wind(minutes=3)
    work(services)
    assert provider.notified() == [("firing", old.id), ("firing", new.id)]


@pytest.mark.parametrize("how", ["sender", "person", "person by the old one"])
def test_the_old_alert_is_resolved_when_its_successor_is(
    services: Services, clock: Clock, provider: RecordingProvider, how: str
) -> None:
    chain = [paged(services, clock)]
    for _ in range(2):
        actions.acknowledge(services, chain[-1].id, "dana")
        chain.append(actions.unacknowledge(services, chain[-1].id, "dana"))
        clock.wind(minutes=3)
        work(services)
    ids = [one.id for one in chain]
    assert len(set(ids)) == 3
    assert provider.notified() == [("firing", one) for one in ids]
    assert services.store.incidents.payload(ids[2]) == {"members": 1}
    if how == "sender":
        assert report(services, group(effect=Effect.RESOLVED)).id == ids[2]
    else:
        actions.resolve(services, ids[2 if how == "person" else 0], "dana")
    for _ in range(4):
        clock.wind(seconds=15)
        work(services)
    assert states(services) == [State.RESOLVED] * 3
    assert sorted(provider.notified()[3:]) == sorted(("resolved", one) for one in ids)
    assert all(stored(services, one).is_over for one in chain)
    assert report(services).id not in ids


def test_the_end_of_the_old_one_leaves_a_new_problem_of_the_same_identity_alone(
    services: Services, clock: Clock
) -> None:
    old = paged(services, clock)
    actions.acknowledge(services, old.id, "dana")
    actions.unacknowledge(services, old.id, "dana")
    report(services, group(effect=Effect.RESOLVED))
    another = report(services)
    work(services)
    assert stored(services, old).state is State.RESOLVED
    assert report(services).id == another.id


def test_one_that_may_be_out_is_continued_as_well(
    services: Services, clock: Clock, provider: RecordingProvider
) -> None:
    provider.outcomes = [NO_ANSWER]
    old = paged(services, clock)
    actions.acknowledge(services, old.id, "dana")
    assert actions.unacknowledge(services, old.id, "dana").previous_id == old.id


def test_what_is_done_to_the_old_one_is_done_to_its_successor(
    services: Services, clock: Clock, provider: RecordingProvider
) -> None:
    old = paged(services, clock)
    actions.acknowledge(services, old.id, "dana", 5)
    clock.wind(minutes=5)
    work(services)
    [new_id] = {stored(services, old).next_id}
    assert new_id is not None
    assert actions.acknowledge(services, old.id, "sam").id == new_id
    clock.wind(minutes=30)
    work(services)
    assert provider.notified() == [("firing", old.id)]


@pytest.mark.parametrize("is_acknowledged", [False, True])
def test_one_that_is_still_reported_a_day_after_its_page_pages_again(
    services: Services, clock: Clock, provider: RecordingProvider, is_acknowledged: bool
) -> None:
    old = paged(services, clock)
    if is_acknowledged:
        actions.acknowledge(services, old.id, "dana")
    clock.wind(days=1)
    assert report(services).id == old.id
    clock.wind(seconds=1)
    new = report(services)
    assert new.previous_id == old.id
    assert stored(services, old).state is (State.ACKNOWLEDGED if is_acknowledged else State.ESCALATED)
    clock.wind(minutes=3)
    work(services)
    assert provider.notified() == [("firing", old.id), ("firing", new.id)]


def test_a_report_a_day_after_the_page_that_asks_for_another_alert_source_pages_again_at_both(
    services: Services, clock: Clock, provider: RecordingProvider
) -> None:
    old = paged(services, clock)
    clock.wind(days=1, seconds=1)
    new = report(services, alert_source="infra")
    assert new.previous_id == old.id
    clock.wind(minutes=3)
    work(services)
    again = {(e.incident.id, e.alert_source) for e in provider.events[1:] if e.kind == "firing"}
    assert again == {(new.id, "default"), (new.id, "infra")}


def test_a_successor_is_made_once(services: Services, clock: Clock) -> None:
    old = paged(services, clock)
    actions.acknowledge(services, old.id, "dana", 1)
    clock.wind(minutes=1)
    # The end of its time, its sender, and two people, all at once.
    message, barrier, seen = group({"b": "high"}), Barrier(4), set()

    def at_once(number: int) -> None:
        barrier.wait()
        if number == 0:
            pages.deliver(services, old.id)
        elif number == 1:
            seen.add(report(services, message).id)
        else:
            seen.add(actions.unacknowledge(services, old.id, "dana").id)

    threads = [Thread(target=at_once, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {stored(services, old).next_id}
    assert states(services) == [State.PENDING, State.ACKNOWLEDGED]


def test_a_successor_that_is_there_already_is_paged_all_the_same(
    services: Services, clock: Clock, provider: RecordingProvider
) -> None:
    """As after a record that was lost and written again."""
    old = paged(services, clock)
    acked = actions.acknowledge(services, old.id, "dana")
    new = actions.unacknowledge(services, old.id, "dana")
    services.update(lambda unit: unit.save(acked), ids=[old.id])
    assert actions.unacknowledge(services, old.id, "sam").id == new.id
    clock.wind(minutes=3)
    work(services)
    assert provider.notified() == [("firing", old.id), ("firing", new.id)]


def configured(services: Services, **oncall: object) -> Services:
    config: Config = services.config
    changed = config.oncall.model_copy(update=oncall)
    return dataclasses.replace(services, config=config.model_copy(update={"oncall": changed}))
