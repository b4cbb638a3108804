"""What reopens an acknowledged incident, and how: itself, or, once there is an alert, as its successor."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import timedelta
from threading import Barrier, Thread
from typing import Any

import pytest

from app import actions, page
from app.alert import MEMBERS_LIMIT, Alert, Effect, Severity
from app.delivery import InvalidTransition, Outcome
from app.gateway import Gateway
from app.incident import Incident
from app.receive import Message, Options, Received, receive
from app.record import REST
from app.state import State
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
) -> Message:
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
    return Message(alert, f'{{"members": {len(alert.members)}}}')


def report(gateway: Gateway, message: Message | None = None, **options: Any) -> Incident:
    """Send a webhook; the incident that it belongs to."""
    [received] = receive(gateway, [message or group({"a": "high"})], Options(**options))
    assert isinstance(received, Received)
    assert received.incident is not None
    return received.incident


def acknowledged(gateway: Gateway, message: Message | None = None, minutes: float | None = None) -> Incident:
    return actions.acknowledge(gateway, report(gateway, message).id, "dana", minutes)


def work(gateway: Gateway) -> None:
    """Workers do what is due, until nothing is."""
    for _ in range(5):
        for incident in gateway.store.incidents.page(Search(), 10, None).incidents:
            for destination, step in incident.steps():
                if step.at <= gateway.clock():
                    page.deliver(gateway, incident.id, [destination])


def stored(gateway: Gateway, incident: Incident) -> Incident:
    return gateway.store.incidents.need(incident.id)


def states(gateway: Gateway) -> list[State]:
    """Of all incidents, the newest first."""
    return [one.state for one in gateway.store.incidents.page(Search(), 10, None).incidents]


def is_reopened(gateway: Gateway, before: Incident) -> bool:
    """It waits again, with all its time."""
    now = stored(gateway, before)
    if now.state is State.ACKNOWLEDGED:
        return False
    assert (now.state, now.due_at) == (State.PENDING, gateway.clock() + WAIT)
    assert (now.acknowledged_at, now.acknowledged_by, now.acknowledged_until) == (None, None, None)
    return True


# -- what reopens it ----------------------------------------------------------------------------------------

JOINING: dict[str, tuple[Message, bool]] = {
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
    gateway: Gateway, clock: Clock, message: Message, reopens: bool
) -> None:
    incident = acknowledged(gateway)
    clock.wind(minutes=5)
    assert report(gateway, message).id == incident.id
    assert is_reopened(gateway, incident) == reopens


@pytest.mark.parametrize("reopen_on", ["severity", "members", "none"])
def test_what_reopens_can_be_chosen(gateway: Gateway, clock: Clock, reopen_on: str) -> None:
    gateway = configured(gateway, reopen_on=() if reopen_on == "none" else (reopen_on,))
    incident = acknowledged(gateway)
    report(gateway, group(None, "critical"))
    assert is_reopened(gateway, incident) == (reopen_on == "severity")
    actions.acknowledge(gateway, incident.id, "dana")
    report(gateway, group({"b": "critical"}))
    assert is_reopened(gateway, incident) == (reopen_on == "members")


def test_the_policy_is_that_of_when_it_was_opened(gateway: Gateway) -> None:
    incident = acknowledged(gateway)
    other = configured(gateway, reopen_on=(), wait_minutes=60)
    report(other, group(None, "critical"))
    assert is_reopened(gateway, incident)


def test_a_member_that_was_covered_may_end_and_fire_again(gateway: Gateway, clock: Clock) -> None:
    incident = acknowledged(gateway, group({"a": "high", "b": "high"}))
    report(gateway, group({"a": "high"}, ended=["b"]))
    report(gateway, group({"a": "high", "b": "high"}))
    assert not is_reopened(gateway, incident)


def test_a_member_that_ended_before_the_acknowledgement_is_not_covered(gateway: Gateway) -> None:
    incident = report(gateway, group({"a": "high", "b": "high"}))
    report(gateway, group({"a": "high"}, ended=["b"]))
    actions.acknowledge(gateway, incident.id, "dana")
    report(gateway, group({"a": "high", "b": "high"}))
    assert is_reopened(gateway, incident)


def test_after_a_list_that_was_cut_the_next_whole_one_says_what_is_there(gateway: Gateway) -> None:
    incident = acknowledged(gateway, group({"a": "high"}, complete=False))
    report(gateway, group({"a": "high", "b": "high"}))
    assert not is_reopened(gateway, incident)
    report(gateway, group({"a": "high", "b": "high", "c": "high"}))
    assert is_reopened(gateway, incident)


def test_members_reopen_once_in_fifteen_minutes_and_what_came_in_between_counts_then(
    gateway: Gateway, clock: Clock
) -> None:
    incident = acknowledged(gateway)
    report(gateway, group({"b": "high"}))
    assert is_reopened(gateway, incident)
    clock.wind(minutes=1)
    actions.acknowledge(gateway, incident.id, "dana")
    report(gateway, group({"c": "high", "d": "high"}))
    report(gateway, group({"a": "high"}, ended=["d"]))
    assert not is_reopened(gateway, incident)
    clock.wind(minutes=13, seconds=59)
    work(gateway)
    assert not is_reopened(gateway, incident)
    clock.wind(seconds=1)
    work(gateway)
    assert is_reopened(gateway, incident)
    assert stored(gateway, incident).timeline[-2].detail == "an alert joined it"


def test_members_that_are_gone_by_then_do_not_count(gateway: Gateway, clock: Clock) -> None:
    incident = acknowledged(gateway)
    report(gateway, group({"b": "high"}))
    actions.acknowledge(gateway, incident.id, "dana")
    report(gateway, group({"c": "high"}))
    report(gateway, group({"a": "high"}, ended=["c"]))
    clock.wind(seconds=REST.total_seconds() + 60)
    work(gateway)
    assert not is_reopened(gateway, incident)


def test_a_higher_severity_waits_for_no_fifteen_minutes(gateway: Gateway, clock: Clock) -> None:
    incident = acknowledged(gateway)
    report(gateway, group({"b": "high"}))
    actions.acknowledge(gateway, incident.id, "dana")
    report(gateway, group({"c": "critical"}, "critical"))
    assert is_reopened(gateway, incident)


@pytest.mark.parametrize(("after", "reopens"), [(DAY, False), (DAY + timedelta(seconds=1), True)])
def test_a_report_a_day_after_the_acknowledgement_reopens(
    gateway: Gateway, clock: Clock, after: timedelta, reopens: bool
) -> None:
    clock.wind(minutes=1)
    incident = acknowledged(gateway)
    clock.now += after
    work(gateway)
    assert stored(gateway, incident).state is State.ACKNOWLEDGED
    report(gateway)
    assert is_reopened(gateway, incident) == reopens


def test_never_by_a_report_where_that_is_configured(gateway: Gateway, clock: Clock) -> None:
    gateway = configured(gateway, reopen_after_minutes=0)
    incident = acknowledged(gateway)
    clock.wind(days=400)
    report(gateway)
    assert not is_reopened(gateway, incident)


def test_an_acknowledgement_with_minutes_ends_then(
    gateway: Gateway, clock: Clock, provider: RecordingProvider
) -> None:
    incident = acknowledged(gateway, minutes=30)
    assert incident.acknowledged_until == clock.now + timedelta(minutes=30)
    clock.wind(minutes=29, seconds=59)
    work(gateway)
    assert not is_reopened(gateway, incident)
    clock.wind(seconds=1)
    work(gateway)
    assert is_reopened(gateway, incident)
    clock.wind(minutes=3)
    work(gateway)
    assert provider.told() == [("firing", incident.id)]


@pytest.mark.parametrize("again", [60.0, None])
def test_a_later_end_prolongs_an_acknowledgement_and_an_earlier_one_changes_nothing(
    gateway: Gateway, clock: Clock, again: float | None
) -> None:
    incident = acknowledged(gateway, minutes=30)
    assert actions.acknowledge(gateway, incident.id, "sam", 20) == incident
    longer = actions.acknowledge(gateway, incident.id, "sam", again)
    assert longer.acknowledged_by == "sam"
    assert longer.acknowledged_until == (None if again is None else clock.now + timedelta(hours=1))


def test_taking_the_acknowledgement_back_reopens_at_once(gateway: Gateway, clock: Clock) -> None:
    incident = acknowledged(gateway)
    clock.wind(minutes=10)
    assert actions.unacknowledge(gateway, incident.id, "dana").state is State.PENDING
    assert is_reopened(gateway, incident)
    again = actions.unacknowledge(gateway, incident.id, "dana")
    assert again == stored(gateway, incident)
    actions.resolve(gateway, incident.id, "dana")
    with pytest.raises(InvalidTransition):
        actions.unacknowledge(gateway, incident.id, "dana")


def test_what_nobody_asked_to_page_for_is_open_again_and_pages_nobody(
    gateway: Gateway, clock: Clock, provider: RecordingProvider
) -> None:
    incident = report(gateway, oncall_enable=False)
    actions.acknowledge(gateway, incident.id, "dana", 30)
    clock.wind(minutes=30)
    work(gateway)
    assert (stored(gateway, incident).state, stored(gateway, incident).due_at) == (State.OPEN, None)
    clock.wind(days=2)
    work(gateway)
    assert provider.told() == []


# -- the successor --------------------------------------------------------------------------------------------


def paged(gateway: Gateway, clock: Clock, **options: Any) -> Incident:
    """One whose page went out."""
    incident = report(gateway, **options)
    clock.wind(minutes=3)
    work(gateway)
    return stored(gateway, incident)


def test_one_that_was_paged_is_continued_under_another_key(
    gateway: Gateway, clock: Clock, provider: RecordingProvider
) -> None:
    old = paged(gateway, clock, alert_source="infra")
    actions.acknowledge(gateway, old.id, "dana")
    new = report(gateway, group({"b": "high"}, "critical"))
    assert (new.previous_id, stored(gateway, old).next_id) == (old.id, new.id)
    assert (new.identity, list(new.pagers), new.title) == ("group", [INFRA], old.title)
    assert is_reopened(gateway, new)
    assert stored(gateway, old).state is State.ACKNOWLEDGED
    assert gateway.store.incidents.payload(new.id) == {"members": 1}
    # From now on it stands for the problem.
    assert report(gateway).id == new.id
    clock.wind(minutes=3)
    work(gateway)
    assert provider.told() == [("firing", old.id), ("firing", new.id)]


@pytest.mark.parametrize("how", ["sender", "person", "person by the old one"])
def test_the_old_alert_is_resolved_when_its_successor_is(
    gateway: Gateway, clock: Clock, provider: RecordingProvider, how: str
) -> None:
    chain = [paged(gateway, clock)]
    for _ in range(2):
        actions.acknowledge(gateway, chain[-1].id, "dana")
        chain.append(actions.unacknowledge(gateway, chain[-1].id, "dana"))
        clock.wind(minutes=3)
        work(gateway)
    ids = [one.id for one in chain]
    assert len(set(ids)) == 3
    assert provider.told() == [("firing", one) for one in ids]
    assert gateway.store.incidents.payload(ids[2]) == {"members": 1}
    if how == "sender":
        assert report(gateway, group(effect=Effect.RESOLVED)).id == ids[2]
    else:
        actions.resolve(gateway, ids[2 if how == "person" else 0], "dana")
    for _ in range(4):
        clock.wind(seconds=15)
        work(gateway)
    assert states(gateway) == [State.RESOLVED] * 3
    assert sorted(provider.told()[3:]) == sorted(("resolved", one) for one in ids)
    assert all(stored(gateway, one).is_over for one in chain)
    assert report(gateway).id not in ids


def test_the_end_of_the_old_one_leaves_a_new_problem_of_the_same_identity_alone(
    gateway: Gateway, clock: Clock
) -> None:
    old = paged(gateway, clock)
    actions.acknowledge(gateway, old.id, "dana")
    actions.unacknowledge(gateway, old.id, "dana")
    report(gateway, group(effect=Effect.RESOLVED))
    another = report(gateway)
    work(gateway)
    assert stored(gateway, old).state is State.RESOLVED
    assert report(gateway).id == another.id


def test_one_that_may_be_out_is_continued_as_well(
    gateway: Gateway, clock: Clock, provider: RecordingProvider
) -> None:
    provider.outcomes = [NO_ANSWER]
    old = paged(gateway, clock)
    actions.acknowledge(gateway, old.id, "dana")
    assert actions.unacknowledge(gateway, old.id, "dana").previous_id == old.id


def test_what_is_done_to_the_old_one_is_done_to_its_successor(
    gateway: Gateway, clock: Clock, provider: RecordingProvider
) -> None:
    old = paged(gateway, clock)
    actions.acknowledge(gateway, old.id, "dana", 5)
    clock.wind(minutes=5)
    work(gateway)
    [new_id] = {stored(gateway, old).next_id}
    assert new_id is not None
    assert actions.acknowledge(gateway, old.id, "sam").id == new_id
    clock.wind(minutes=30)
    work(gateway)
    assert provider.told() == [("firing", old.id)]


@pytest.mark.parametrize("is_acknowledged", [False, True])
def test_one_that_is_still_reported_a_day_after_its_page_pages_again(
    gateway: Gateway, clock: Clock, provider: RecordingProvider, is_acknowledged: bool
) -> None:
    old = paged(gateway, clock)
    if is_acknowledged:
        actions.acknowledge(gateway, old.id, "dana")
    clock.wind(days=1)
    assert report(gateway).id == old.id
    clock.wind(seconds=1)
    new = report(gateway)
    assert new.previous_id == old.id
    assert stored(gateway, old).state is (State.ACKNOWLEDGED if is_acknowledged else State.ESCALATED)
    clock.wind(minutes=3)
    work(gateway)
    assert provider.told() == [("firing", old.id), ("firing", new.id)]


def test_a_successor_is_made_once(gateway: Gateway, clock: Clock) -> None:
    old = paged(gateway, clock)
    actions.acknowledge(gateway, old.id, "dana", 1)
    clock.wind(minutes=1)
    # The end of its time, its sender, and two people, all at once.
    message, barrier, seen = group({"b": "high"}), Barrier(4), set()

    def at_once(number: int) -> None:
        barrier.wait()
        if number == 0:
            page.deliver(gateway, old.id)
        elif number == 1:
            seen.add(report(gateway, message).id)
        else:
            seen.add(actions.unacknowledge(gateway, old.id, "dana").id)

    threads = [Thread(target=at_once, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {stored(gateway, old).next_id}
    assert states(gateway) == [State.PENDING, State.ACKNOWLEDGED]


def test_a_successor_that_is_there_already_is_paged_all_the_same(
    gateway: Gateway, clock: Clock, provider: RecordingProvider
) -> None:
    """As after a record that was lost and written again."""
    old = paged(gateway, clock)
    acked = actions.acknowledge(gateway, old.id, "dana")
    new = actions.unacknowledge(gateway, old.id, "dana")
    gateway.update(lambda unit: unit.save(acked), ids=[old.id])
    assert actions.unacknowledge(gateway, old.id, "sam").id == new.id
    clock.wind(minutes=3)
    work(gateway)
    assert provider.told() == [("firing", old.id), ("firing", new.id)]


def configured(gateway: Gateway, **oncall: object) -> Gateway:
    config: Config = gateway.config
    changed = config.oncall.model_copy(update=oncall)
    return dataclasses.replace(gateway, config=config.model_copy(update={"oncall": changed}))
