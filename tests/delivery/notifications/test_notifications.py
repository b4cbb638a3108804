"""Notifications: who is notified of what, once; what fails is tried again; no change is lost."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from itertools import pairwise

import pytest
import redis

from app import actions
from app.bootstrap import Services
from app.delivery.notifications import notify
from app.delivery.pages import deliver
from app.destinations.channels import Channels, UnknownChannel
from app.domain.delivery import Outcome
from app.store.keys import INCIDENT
from tests.delivery.notifying import (
    OPS,
    REFUSED,
    WRONG_KEY,
    acknowledge,
    after_reading,
    create,
    due,
    notify_all,
    page,
    resolve,
    settings,
    timeline,
)
from tests.fakes import Clock, RecordingChannel, RecordingProvider

# -- who is notified of what ------------------------------------------------------------------------------


def test_the_default_channels_are_notified_of_a_new_incident_with_its_link(
    services: Services, ops: RecordingChannel, mail: RecordingChannel
) -> None:
    incident = create(services)
    notify_all(services)
    [(message, address)] = ops.messages
    assert (message.event, message.incident.id, address) == ("created", incident.id, None)
    assert message.ack_url is not None
    assert incident.id in message.ack_url
    assert mail.messages == []
    assert timeline(services, incident, "notified") == ["ops of the new incident"]
    assert due(services) == []


def test_a_whole_life_is_notified_step_by_step(
    services: Services, ops: RecordingChannel, clock: Clock
) -> None:
    incident = create(services)
    notify_all(services)
    clock.wind(minutes=4)
    for happens in (page, acknowledge, resolve):
        happens(services, incident)
        notify_all(services)
        clock.wind(seconds=1)
    assert [event for event, _ in ops.notified()] == ["created", "escalated", "acknowledged", "resolved"]
    assert ops.messages[-1][0].ack_url is None
    assert timeline(services, incident, "notified") == [
        "ops of the new incident",
        "ops that the page went out",
        "ops of the acknowledgement",
        "ops that it is resolved",
    ]


def test_a_channel_that_was_away_gets_one_message_that_is_up_to_date(
    services: Services, ops: RecordingChannel, clock: Clock
) -> None:
    incident = create(services)
    ops.answers = [REFUSED]
    notify_all(services)
    clock.wind(minutes=4)
    page(services, incident)
    acknowledge(services, incident)
    ops.messages.clear()
    notify_all(services)
    [(message, _)] = ops.messages
    assert (message.event, message.incident.acknowledged_by) == ("acknowledged", "somebody")
    assert message.incident.escalated_at == clock.now
    clock.wind(minutes=10)
    notify_all(services)
    assert len(ops.messages) == 1
    assert timeline(services, incident, "notified") == ["ops of the acknowledgement"]


def test_a_repeat_is_notified_only_when_it_is_more_severe(
    services: Services, ops: RecordingChannel, clock: Clock
) -> None:
    create(services, "k", "low")
    notify_all(services)
    for severity in ("low", "info", "critical", "critical"):
        create(services, "k", severity)
        clock.wind(seconds=1)
        notify_all(services)
    assert [event for event, _ in ops.notified()] == ["created", "severity_raised"]


def test_every_channel_is_notified_of_a_page_that_failed(
    services: Services,
    provider: RecordingProvider,
    ops: RecordingChannel,
    mail: RecordingChannel,
    clock: Clock,
) -> None:
    incident = create(services)
    notify_all(services)
    clock.wind(minutes=4)
    provider.outcomes = [WRONG_KEY] * 2
    deliver(services, incident.id)
    notify_all(services)
    assert [event for event, _ in mail.notified()] == ["failed"]
    assert [event for event, _ in ops.notified()] == ["created", "failed"]
    clock.wind(minutes=6)
    deliver(services, incident.id)
    notify_all(services)
    assert len(mail.messages) == 1


def test_a_channel_is_notified_of_what_it_asked_for(services: Services, ops: RecordingChannel) -> None:
    channels = Channels([settings("ops", events=("resolved",), min_severity="high")], {"ops": ops})
    services = dataclasses.replace(services, channels=channels)
    for severity in ("low", "high", "critical"):
        resolve(services, create(services, severity=severity))
    notify_all(services)
    assert [(m.event, m.incident.severity) for m, _ in ops.messages] == [
        ("resolved", "high"),
        ("resolved", "critical"),
    ]


def test_what_becomes_severe_enough_is_notified_and_what_a_channel_wants_stays_as_it_was(
    services: Services, ops: RecordingChannel
) -> None:
    strict = Channels([settings("ops", min_severity="high")], {"ops": ops})
    incident = create(dataclasses.replace(services, channels=strict), "k", "low")
    notify_all(services)
    assert ops.messages == []
    create(services, "k", "high")
    notify_all(services)
    assert ops.notified() == [("severity_raised", incident.id)]


def test_an_acknowledgement_of_what_becomes_severe_enough_later_is_notified_then(
    services: Services, ops: RecordingChannel
) -> None:
    only = settings("ops", events=("acknowledged",), min_severity="high")
    services = dataclasses.replace(services, channels=Channels([only], {"ops": ops}))
    incident = create(services, "k", "low")
    acknowledge(services, incident)
    notify_all(services)
    assert ops.messages == []
    create(services, "k", "high")
    notify_all(services)
    create(services, "k", "critical")
    notify_all(services)
    assert ops.notified() == [("acknowledged", incident.id)]


def test_a_request_names_its_channels_and_their_addresses(
    services: Services, ops: RecordingChannel, mail: RecordingChannel
) -> None:
    incident = create(services, channels=("mail/night@example.com",))
    notify_all(services)
    assert ops.messages == []
    [(_, address)] = mail.messages
    assert address == "night@example.com"
    assert timeline(services, incident, "notified") == ["mail/night@example.com of the new incident"]


def test_a_channel_that_does_not_exist_is_refused_with_the_names(services: Services) -> None:
    assert services.channels.asked(["Ops", " mail", "ops"]) == ("ops", "mail")
    with pytest.raises(UnknownChannel, match=r"no channel 'slack': the names are ops, mail\."):
        services.channels.asked(["slack"])


def test_without_channels_nothing_is_stored_for_them(services: Services, redis_url: str) -> None:
    incident = create(dataclasses.replace(services, channels=Channels([], {})))
    client = redis.Redis.from_url(redis_url)
    assert not client.exists("versus:channels", "versus:wakeups")
    assert services.store.incidents.require(incident.id).changes == ()


# -- once, and nobody is forgotten ------------------------------------------------------------------------


def test_a_change_is_notified_once_however_often_it_is_handed_out(
    services: Services, ops: RecordingChannel
) -> None:
    incident = create(services)
    ops.meanwhile = lambda: notify(services, OPS, incident.id)
    notify(services, OPS, incident.id)
    notify(services, OPS, incident.id)
    assert len(ops.messages) == 1


def test_of_two_workers_that_read_the_same_one_notifies(
    services: Services, ops: RecordingChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    incident = create(services)
    after_reading(services, monkeypatch, lambda: notify(services, OPS, incident.id))
    notify(services, OPS, incident.id)
    assert len(ops.messages) == 1


def test_a_channel_that_refuses_is_tried_again_for_an_hour(
    services: Services, ops: RecordingChannel, clock: Clock
) -> None:
    incident = create(services)
    start, tried = clock.now, []
    ops.answers = [REFUSED] * 100
    while clock.now < start + timedelta(hours=3):
        before = len(ops.messages)
        notify_all(services)
        tried += [clock.now] if len(ops.messages) > before else []
        clock.wind(seconds=1)
    pauses = [(b - a).total_seconds() for a, b in pairwise(tried)]
    assert 3 <= pauses[0] <= 8
    assert max(pauses) <= 376
    assert timedelta(hours=1) <= tried[-1] - start <= timedelta(hours=1, minutes=7)
    assert timeline(services, incident, "not_notified") == [
        "ops of the new incident: connection refused, will try again",
        "ops of the new incident: connection refused, given up",
    ]
    assert timeline(services, incident, "notified") == []
    has = services.store.incidents.deliveries(incident.id)[OPS]
    assert (has.attempts, has.last_error) == (len(ops.messages), "connection refused")


def test_a_change_is_tried_for_an_hour_of_its_own_after_an_older_one_was_given_up(
    services: Services, ops: RecordingChannel, clock: Clock
) -> None:
    incident = create(services)
    ops.answers = [REFUSED] * 1_000
    _try_for(services, clock, timedelta(minutes=50))
    acknowledge(services, incident)
    acknowledged_at, before = clock.now, len(ops.messages)
    _try_for(services, clock, timedelta(minutes=50))
    assert {event for event, _ in ops.notified()[before:]} == {"acknowledged"}
    # An attempt may be due just now, as pauses are of random length.
    notify_all(services)
    assert due(services) == []
    ops.answers = []
    while clock.now < acknowledged_at + timedelta(minutes=59):
        clock.wind(seconds=20)
        notify_all(services)
    assert timeline(services, incident, "notified") == ["ops of the acknowledgement"]


def _try_for(services: Services, clock: Clock, long: timedelta) -> None:
    until = clock.now + long
    while clock.now < until:
        notify_all(services)
        clock.wind(seconds=20)


def test_what_a_dead_worker_was_sending_is_sent_by_another(
    services: Services, ops: RecordingChannel, clock: Clock
) -> None:
    class Killed(BaseException):
        pass

    def die() -> None:
        raise Killed

    create(services)
    ops.meanwhile = die
    with pytest.raises(Killed):
        notify_all(services)
    ops.meanwhile = lambda: None
    clock.wind(seconds=19)
    notify_all(services)
    assert len(ops.messages) == 1
    clock.wind(seconds=4)
    notify_all(services)
    assert len(ops.messages) == 2
    clock.wind(minutes=10)
    assert due(services) == []


def test_one_channel_that_fails_keeps_no_other_from_being_notified(
    services: Services, ops: RecordingChannel, mail: RecordingChannel
) -> None:
    ops.answers = [REFUSED]
    create(services, channels=("ops", "mail"))
    notify_all(services)
    assert len(mail.messages) == 1


def test_the_pause_that_a_channel_asks_for_is_kept(
    services: Services, ops: RecordingChannel, clock: Clock
) -> None:
    create(services)
    ops.answers = [dataclasses.replace(REFUSED, not_before=90.0)]
    notify_all(services)
    clock.wind(seconds=89)
    notify_all(services)
    assert len(ops.messages) == 1
    clock.wind(seconds=2)
    notify_all(services)
    assert len(ops.messages) == 2


def elsewhere(services: Services) -> Services:
    """A worker with a configuration that has none of these channels."""
    return dataclasses.replace(services, channels=Channels([settings("new")], {"new": RecordingChannel()}))


def test_a_channel_that_is_configured_no_more_is_given_up_after_an_hour(
    services: Services, ops: RecordingChannel, clock: Clock
) -> None:
    incident = create(services)
    for _ in range(70):
        notify_all(elsewhere(services))
        clock.wind(minutes=1)
    first, last = timeline(services, incident, "not_notified")
    assert first == "ops of the new incident: no such channel is configured here, will try again"
    assert last == "ops of the new incident: no such channel is configured here, given up"
    notify_all(services)
    assert (ops.messages, due(services)) == ([], [])


def test_a_worker_that_does_not_know_a_channel_yet_leaves_it_to_those_who_do(
    services: Services, ops: RecordingChannel, clock: Clock
) -> None:
    incidents = [create(services) for _ in range(25)]
    notify_all(elsewhere(services))
    clock.wind(seconds=11)
    notify_all(elsewhere(services))
    assert [timeline(services, one, "notified") for one in incidents] == [[]] * 25
    for _ in range(4):
        clock.wind(minutes=1)
        notify_all(services)
    assert [len(timeline(services, one, "notified")) for one in incidents] == [1] * 25


def test_people_are_notified_of_what_is_old_before_it_is_removed(
    services: Services, ops: RecordingChannel, clock: Clock
) -> None:
    incident = create(services)
    resolve(services, incident)
    # No worker lived for two hours, and incidents are kept for one.
    clock.wind(hours=2)

    def forget() -> None:
        services.store.retention.forget(clock.now, timedelta(hours=1), most=100)

    forget()
    notify_all(services)
    assert ops.notified() == [("resolved", incident.id)]
    clock.wind(hours=2)
    forget()
    assert services.store.incidents.get(incident.id) is None


def test_an_incident_that_is_gone_is_taken_out_of_the_queue(
    services: Services, ops: RecordingChannel, redis_url: str, clock: Clock
) -> None:
    incident = create(services)
    redis.Redis.from_url(redis_url).delete(INCIDENT + incident.id)
    notify_all(services)
    clock.wind(minutes=1)
    assert (ops.messages, due(services), services.store.notifications.channels()) == ([], [], [])


def test_of_an_incident_that_goes_while_it_is_claimed_nothing_is_sent(
    services: Services, ops: RecordingChannel, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    incident = create(services)
    key = INCIDENT + incident.id
    after_reading(services, monkeypatch, lambda: redis.Redis.from_url(redis_url).delete(key))
    notify(services, OPS, incident.id)
    assert ops.messages == []


def test_later_messages_know_what_the_first_was_called(services: Services, ops: RecordingChannel) -> None:
    ops.answers = [Outcome("delivered", reference="C1:17.4")]
    incident = create(services)
    notify_all(services)
    acknowledge(services, incident)
    notify_all(services)
    assert [message.reference for message, _ in ops.messages] == [None, "C1:17.4"]


def test_a_second_acknowledgement_after_a_escalate_now_is_notified_again(
    services: Services, ops: RecordingChannel
) -> None:
    incident = create(services)
    notify_all(services)
    for person in ("one", "two", "three"):
        actions.acknowledge(services, incident.id, person)
        notify_all(services)
        actions.escalate_now(services, incident.id, person)
    by = [m.incident.acknowledged_by for m, _ in ops.messages if m.event == "acknowledged"]
    assert by == ["one", "two", "three"]
    assert [c.sequence for c in services.store.incidents.require(incident.id).changes] == [1, 2, 3, 4]


def test_the_same_change_again_while_a_message_is_in_flight_is_notified_again(
    services: Services, ops: RecordingChannel
) -> None:
    incident = create(services)
    actions.acknowledge(services, incident.id, "one")
    notify_all(services)

    def page_and_acknowledge() -> None:
        ops.meanwhile = lambda: None
        actions.escalate_now(services, incident.id, "two")
        actions.acknowledge(services, incident.id, "two")

    actions.escalate_now(services, incident.id, "one")
    actions.acknowledge(services, incident.id, "three")
    ops.meanwhile = page_and_acknowledge
    notify_all(services)
    notify_all(services)
    by = [m.incident.acknowledged_by for m, _ in ops.messages if m.event == "acknowledged"]
    assert by == ["one", "three", "two"]
