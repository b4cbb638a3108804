"""Notifications: who is notified of what, once; what fails is tried again; no change is lost."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from itertools import pairwise

import pytest
import redis

from app import actions
from app.channels import Channels, UnknownChannel
from app.delivery import Outcome
from app.gateway import Gateway
from app.notify import notify
from app.page import deliver
from app.store.record import INCIDENT
from tests.fakes import Clock, RecordingChannel, RecordingProvider
from tests.notifying import (
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

# -- who is notified of what ------------------------------------------------------------------------------


def test_the_default_channels_are_notified_of_a_new_incident_with_its_link(
    gateway: Gateway, ops: RecordingChannel, mail: RecordingChannel
) -> None:
    incident = create(gateway)
    notify_all(gateway)
    [(message, address)] = ops.messages
    assert (message.news, message.incident.id, address) == ("created", incident.id, None)
    assert message.ack_url is not None
    assert incident.id in message.ack_url
    assert mail.messages == []
    assert timeline(gateway, incident, "notified") == ["ops of the new incident"]
    assert due(gateway) == []


def test_a_whole_life_is_notified_step_by_step(gateway: Gateway, ops: RecordingChannel, clock: Clock) -> None:
    incident = create(gateway)
    notify_all(gateway)
    clock.wind(minutes=4)
    for happens in (page, acknowledge, resolve):
        happens(gateway, incident)
        notify_all(gateway)
        clock.wind(seconds=1)
    assert [news for news, _ in ops.told()] == ["created", "escalated", "acknowledged", "resolved"]
    assert ops.messages[-1][0].ack_url is None
    assert timeline(gateway, incident, "notified") == [
        "ops of the new incident",
        "ops that the page went out",
        "ops of the acknowledgement",
        "ops that it is resolved",
    ]


def test_a_channel_that_was_away_gets_one_message_that_is_up_to_date(
    gateway: Gateway, ops: RecordingChannel, clock: Clock
) -> None:
    incident = create(gateway)
    ops.answers = [REFUSED]
    notify_all(gateway)
    clock.wind(minutes=4)
    page(gateway, incident)
    acknowledge(gateway, incident)
    ops.messages.clear()
    notify_all(gateway)
    [(message, _)] = ops.messages
    assert (message.news, message.incident.acknowledged_by) == ("acknowledged", "somebody")
    assert message.incident.escalated_at == clock.now
    clock.wind(minutes=10)
    notify_all(gateway)
    assert len(ops.messages) == 1
    assert timeline(gateway, incident, "notified") == ["ops of the acknowledgement"]


def test_a_repeat_is_notified_only_when_it_is_more_severe(
    gateway: Gateway, ops: RecordingChannel, clock: Clock
) -> None:
    create(gateway, "k", "low")
    notify_all(gateway)
    for severity in ("low", "info", "critical", "critical"):
        create(gateway, "k", severity)
        clock.wind(seconds=1)
        notify_all(gateway)
    assert [news for news, _ in ops.told()] == ["created", "severity_raised"]


def test_every_channel_is_notified_of_a_page_that_failed(
    gateway: Gateway,
    provider: RecordingProvider,
    ops: RecordingChannel,
    mail: RecordingChannel,
    clock: Clock,
) -> None:
    incident = create(gateway)
    notify_all(gateway)
    clock.wind(minutes=4)
    provider.outcomes = [WRONG_KEY] * 2
    deliver(gateway, incident.id)
    notify_all(gateway)
    assert [news for news, _ in mail.told()] == ["failed"]
    assert [news for news, _ in ops.told()] == ["created", "failed"]
    clock.wind(minutes=6)
    deliver(gateway, incident.id)
    notify_all(gateway)
    assert len(mail.messages) == 1


def test_a_channel_is_notified_of_what_it_asked_for(gateway: Gateway, ops: RecordingChannel) -> None:
    channels = Channels([settings("ops", events=("resolved",), min_severity="high")], {"ops": ops})
    gateway = dataclasses.replace(gateway, channels=channels)
    for severity in ("low", "high", "critical"):
        resolve(gateway, create(gateway, severity=severity))
    notify_all(gateway)
    assert [(m.news, m.incident.severity) for m, _ in ops.messages] == [
        ("resolved", "high"),
        ("resolved", "critical"),
    ]


def test_what_becomes_severe_enough_is_notified_and_what_a_channel_wants_stays_as_it_was(
    gateway: Gateway, ops: RecordingChannel
) -> None:
    strict = Channels([settings("ops", min_severity="high")], {"ops": ops})
    incident = create(dataclasses.replace(gateway, channels=strict), "k", "low")
    notify_all(gateway)
    assert ops.messages == []
    create(gateway, "k", "high")
    notify_all(gateway)
    assert ops.told() == [("severity_raised", incident.id)]


def test_an_acknowledgement_of_what_becomes_severe_enough_later_is_notified_then(
    gateway: Gateway, ops: RecordingChannel
) -> None:
    only = settings("ops", events=("acknowledged",), min_severity="high")
    gateway = dataclasses.replace(gateway, channels=Channels([only], {"ops": ops}))
    incident = create(gateway, "k", "low")
    acknowledge(gateway, incident)
    notify_all(gateway)
    assert ops.messages == []
    create(gateway, "k", "high")
    notify_all(gateway)
    create(gateway, "k", "critical")
    notify_all(gateway)
    assert ops.told() == [("acknowledged", incident.id)]


def test_a_request_names_its_channels_and_their_addresses(
    gateway: Gateway, ops: RecordingChannel, mail: RecordingChannel
) -> None:
    incident = create(gateway, channels=("mail/night@example.com",))
    notify_all(gateway)
    assert ops.messages == []
    [(_, address)] = mail.messages
    assert address == "night@example.com"
    assert timeline(gateway, incident, "notified") == ["mail/night@example.com of the new incident"]


def test_a_channel_that_does_not_exist_is_refused_with_the_names(gateway: Gateway) -> None:
    assert gateway.channels.asked(["Ops", " mail", "ops"]) == ("ops", "mail")
    with pytest.raises(UnknownChannel, match=r"no channel 'slack': the names are ops, mail\."):
        gateway.channels.asked(["slack"])


def test_without_channels_nothing_is_stored_for_them(gateway: Gateway, redis_url: str) -> None:
    incident = create(dataclasses.replace(gateway, channels=Channels([], {})))
    client = redis.Redis.from_url(redis_url)
    assert not client.exists("versus:channels", "versus:wakeups")
    assert gateway.store.incidents.need(incident.id).changes == ()


# -- once, and nobody is forgotten ------------------------------------------------------------------------


def test_a_change_is_notified_once_however_often_it_is_handed_out(
    gateway: Gateway, ops: RecordingChannel
) -> None:
    incident = create(gateway)
    ops.meanwhile = lambda: notify(gateway, OPS, incident.id)
    notify(gateway, OPS, incident.id)
    notify(gateway, OPS, incident.id)
    assert len(ops.messages) == 1


def test_of_two_workers_that_read_the_same_one_notifies(
    gateway: Gateway, ops: RecordingChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    incident = create(gateway)
    after_reading(gateway, monkeypatch, lambda: notify(gateway, OPS, incident.id))
    notify(gateway, OPS, incident.id)
    assert len(ops.messages) == 1


def test_a_channel_that_refuses_is_tried_again_for_an_hour(
    gateway: Gateway, ops: RecordingChannel, clock: Clock
) -> None:
    incident = create(gateway)
    start, tried = clock.now, []
    ops.answers = [REFUSED] * 100
    while clock.now < start + timedelta(hours=3):
        before = len(ops.messages)
        notify_all(gateway)
        tried += [clock.now] if len(ops.messages) > before else []
        clock.wind(seconds=1)
    pauses = [(b - a).total_seconds() for a, b in pairwise(tried)]
    assert 3 <= pauses[0] <= 8
    assert max(pauses) <= 376
    assert timedelta(hours=1) <= tried[-1] - start <= timedelta(hours=1, minutes=7)
    assert timeline(gateway, incident, "not_notified") == [
        "ops of the new incident: connection refused, will try again",
        "ops of the new incident: connection refused, given up",
    ]
    assert timeline(gateway, incident, "notified") == []
    has = gateway.store.incidents.deliveries(incident.id)[OPS]
    assert (has.attempts, has.last_error) == (len(ops.messages), "connection refused")


def test_news_is_tried_for_an_hour_of_its_own_after_older_news_was_given_up(
    gateway: Gateway, ops: RecordingChannel, clock: Clock
) -> None:
    incident = create(gateway)
    ops.answers = [REFUSED] * 1_000
    _try_for(gateway, clock, timedelta(minutes=50))
    acknowledge(gateway, incident)
    acknowledged_at, before = clock.now, len(ops.messages)
    _try_for(gateway, clock, timedelta(minutes=50))
    assert {news for news, _ in ops.told()[before:]} == {"acknowledged"}
    assert due(gateway) == []
    ops.answers = []
    while clock.now < acknowledged_at + timedelta(minutes=59):
        clock.wind(seconds=20)
        notify_all(gateway)
    assert timeline(gateway, incident, "notified") == ["ops of the acknowledgement"]


def _try_for(gateway: Gateway, clock: Clock, long: timedelta) -> None:
    until = clock.now + long
    while clock.now < until:
        notify_all(gateway)
        clock.wind(seconds=20)


def test_what_a_dead_worker_was_sending_is_sent_by_another(
    gateway: Gateway, ops: RecordingChannel, clock: Clock
) -> None:
    class Killed(BaseException):
        pass

    def die() -> None:
        raise Killed

    create(gateway)
    ops.meanwhile = die
    with pytest.raises(Killed):
        notify_all(gateway)
    ops.meanwhile = lambda: None
    clock.wind(seconds=19)
    notify_all(gateway)
    assert len(ops.messages) == 1
    clock.wind(seconds=4)
    notify_all(gateway)
    assert len(ops.messages) == 2
    clock.wind(minutes=10)
    assert due(gateway) == []


def test_one_channel_that_fails_keeps_no_other_from_being_notified(
    gateway: Gateway, ops: RecordingChannel, mail: RecordingChannel
) -> None:
    ops.answers = [REFUSED]
    create(gateway, channels=("ops", "mail"))
    notify_all(gateway)
    assert len(mail.messages) == 1


def test_the_pause_that_a_channel_asks_for_is_kept(
    gateway: Gateway, ops: RecordingChannel, clock: Clock
) -> None:
    create(gateway)
    ops.answers = [dataclasses.replace(REFUSED, not_before=90.0)]
    notify_all(gateway)
    clock.wind(seconds=89)
    notify_all(gateway)
    assert len(ops.messages) == 1
    clock.wind(seconds=2)
    notify_all(gateway)
    assert len(ops.messages) == 2


def elsewhere(gateway: Gateway) -> Gateway:
    """A worker with a configuration that has none of these channels."""
    return dataclasses.replace(gateway, channels=Channels([settings("new")], {"new": RecordingChannel()}))


def test_a_channel_that_is_configured_no_more_is_given_up_after_an_hour(
    gateway: Gateway, ops: RecordingChannel, clock: Clock
) -> None:
    incident = create(gateway)
    for _ in range(70):
        notify_all(elsewhere(gateway))
        clock.wind(minutes=1)
    first, last = timeline(gateway, incident, "not_notified")
    assert first == "ops of the new incident: no such channel is configured here, will try again"
    assert last == "ops of the new incident: no such channel is configured here, given up"
    notify_all(gateway)
    assert (ops.messages, due(gateway)) == ([], [])


def test_a_worker_that_does_not_know_a_channel_yet_leaves_it_to_those_who_do(
    gateway: Gateway, ops: RecordingChannel, clock: Clock
) -> None:
    incidents = [create(gateway) for _ in range(25)]
    notify_all(elsewhere(gateway))
    clock.wind(seconds=11)
    notify_all(elsewhere(gateway))
    assert [timeline(gateway, one, "notified") for one in incidents] == [[]] * 25
    for _ in range(4):
        clock.wind(minutes=1)
        notify_all(gateway)
    assert [len(timeline(gateway, one, "notified")) for one in incidents] == [1] * 25


def test_people_are_notified_of_what_is_old_before_it_is_removed(
    gateway: Gateway, ops: RecordingChannel, clock: Clock
) -> None:
    incident = create(gateway)
    resolve(gateway, incident)
    # No worker lived for two hours, and incidents are kept for one.
    clock.wind(hours=2)

    def forget() -> None:
        gateway.store.retention.forget(clock.now, timedelta(hours=1), most=100)

    forget()
    notify_all(gateway)
    assert ops.told() == [("resolved", incident.id)]
    clock.wind(hours=2)
    forget()
    assert gateway.store.incidents.get(incident.id) is None


def test_an_incident_that_is_gone_is_taken_out_of_the_queue(
    gateway: Gateway, ops: RecordingChannel, redis_url: str, clock: Clock
) -> None:
    incident = create(gateway)
    redis.Redis.from_url(redis_url).delete(INCIDENT + incident.id)
    notify_all(gateway)
    clock.wind(minutes=1)
    assert (ops.messages, due(gateway), gateway.store.notifications.channels()) == ([], [], [])


def test_of_an_incident_that_goes_while_it_is_claimed_nothing_is_sent(
    gateway: Gateway, ops: RecordingChannel, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    incident = create(gateway)
    key = INCIDENT + incident.id
    after_reading(gateway, monkeypatch, lambda: redis.Redis.from_url(redis_url).delete(key))
    notify(gateway, OPS, incident.id)
    assert ops.messages == []


def test_later_messages_know_what_the_first_was_called(gateway: Gateway, ops: RecordingChannel) -> None:
    ops.answers = [Outcome("delivered", reference="C1:17.4")]
    incident = create(gateway)
    notify_all(gateway)
    acknowledge(gateway, incident)
    notify_all(gateway)
    assert [message.reference for message, _ in ops.messages] == [None, "C1:17.4"]


def test_a_second_acknowledgement_after_a_page_now_is_notified_again(
    gateway: Gateway, ops: RecordingChannel
) -> None:
    incident = create(gateway)
    notify_all(gateway)
    for person in ("one", "two", "three"):
        actions.acknowledge(gateway, incident.id, person)
        notify_all(gateway)
        actions.page_now(gateway, incident.id, person)
    by = [m.incident.acknowledged_by for m, _ in ops.messages if m.news == "acknowledged"]
    assert by == ["one", "two", "three"]
    assert [c.sequence for c in gateway.store.incidents.need(incident.id).changes] == [1, 2, 3, 4]


def test_the_same_change_again_while_a_message_is_in_flight_is_notified_again(
    gateway: Gateway, ops: RecordingChannel
) -> None:
    incident = create(gateway)
    actions.acknowledge(gateway, incident.id, "one")
    notify_all(gateway)

    def page_and_acknowledge() -> None:
        ops.meanwhile = lambda: None
        actions.page_now(gateway, incident.id, "two")
        actions.acknowledge(gateway, incident.id, "two")

    actions.page_now(gateway, incident.id, "one")
    actions.acknowledge(gateway, incident.id, "three")
    ops.meanwhile = page_and_acknowledge
    notify_all(gateway)
    notify_all(gateway)
    by = [m.incident.acknowledged_by for m, _ in ops.messages if m.news == "acknowledged"]
    assert by == ["one", "three", "two"]
