"""Notices: who is told what, once; what fails is tried again; a storm becomes a summary."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
import redis
from pydantic import SecretStr

from app import actions
from app.alert import Alert, Severity
from app.channels import Channels, Told, UnknownChannel
from app.deliver import deliver
from app.gateway import Gateway
from app.incident import Incident
from app.notice import SUMMARY, Notice
from app.providers import Outcome
from app.receive import Message, Options, receive
from app.tell import tell
from config import ChannelSettings
from tests.fakes import Clock, RecordingChannel, RecordingProvider

REFUSED = Told(ok=False, detail="connection refused")


def settings(name: str, **about: Any) -> ChannelSettings:
    return dataclasses.replace(ChannelSettings(name, SecretStr("json://localhost")), **about)


@pytest.fixture
def ops() -> RecordingChannel:
    return RecordingChannel()


@pytest.fixture
def mail() -> RecordingChannel:
    return RecordingChannel()


@pytest.fixture
def gateway(gateway: Gateway, ops: RecordingChannel, mail: RecordingChannel) -> Gateway:
    """With two channels, of which only `ops` is told unless it is asked for."""
    channels = Channels([settings("ops"), settings("mail", default=False)], {"ops": ops, "mail": mail})
    return dataclasses.replace(gateway, channels=channels)


def create(
    gateway: Gateway, identity: str | None = None, severity: Severity | None = None, **options: Any
) -> Incident:
    # A moment apart, so that the order is known.
    if isinstance(gateway.clock, Clock):
        gateway.clock.wind(milliseconds=1)
    alert = Alert(title="Disk full", source="generic", identity=identity, severity=severity)
    [received] = receive(gateway, [Message(alert, "{}")], dataclasses.replace(Options(), **options))
    assert received.incident is not None
    return received.incident


def due(gateway: Gateway) -> list[Notice]:
    """What would be handed out now; it is not handed out again for a while."""
    notices = gateway.store.notices
    return [n for target in notices.targets() for n in notices.due(target, gateway.clock(), 10_000)]


def tell_all(gateway: Gateway) -> None:
    for notice in due(gateway):
        tell(gateway, notice)


def timeline(gateway: Gateway, incident: Incident, event: str) -> list[str]:
    return [e.detail for e in gateway.store.incidents.need(incident.id).timeline if e.event == event]


# -- who is told what -------------------------------------------------------------------------------------


def test_the_default_channels_are_told_of_a_new_incident_with_its_link(
    gateway: Gateway, ops: RecordingChannel, mail: RecordingChannel
) -> None:
    incident = create(gateway)
    tell_all(gateway)
    [(message, address)] = ops.messages
    assert (message.news, message.incident.id, address) == ("created", incident.id, None)
    assert message.ack_url is not None
    assert incident.id in message.ack_url
    assert mail.messages == []
    assert timeline(gateway, incident, "told") == ["ops of the new incident"]
    assert due(gateway) == []


def test_a_whole_life_is_told_step_by_step(gateway: Gateway, ops: RecordingChannel, clock: Clock) -> None:
    incident = create(gateway)
    clock.wind(minutes=4)
    deliver(gateway, incident.id)
    clock.wind(seconds=1)
    actions.acknowledge(gateway, incident.id, "somebody")
    clock.wind(seconds=1)
    actions.resolve(gateway, incident.id, "somebody")
    tell_all(gateway)
    assert [news for news, _ in ops.told()] == ["created", "escalated", "acknowledged", "resolved"]
    assert ops.messages[-1][0].ack_url is None


def test_a_repeat_is_told_only_when_it_is_more_severe(
    gateway: Gateway, ops: RecordingChannel, clock: Clock
) -> None:
    create(gateway, "k", "low")
    tell_all(gateway)
    for severity in ("low", "info", "critical", "critical"):
        create(gateway, "k", severity)
        clock.wind(seconds=1)
        tell_all(gateway)
    assert [news for news, _ in ops.told()] == ["created", "severity_raised"]


def test_a_page_that_failed_is_told_to_every_channel(
    gateway: Gateway,
    provider: RecordingProvider,
    ops: RecordingChannel,
    mail: RecordingChannel,
    clock: Clock,
) -> None:
    incident = create(gateway)
    clock.wind(minutes=4)
    provider.outcomes = [Outcome("misconfigured", "401", "unauthorized")] * 2
    deliver(gateway, incident.id)
    tell_all(gateway)
    assert [news for news, _ in mail.told()] == ["failed"]
    assert [news for news, _ in ops.told()] == ["created", "failed"]
    clock.wind(minutes=6)
    deliver(gateway, incident.id)
    tell_all(gateway)
    assert len(mail.messages) == 1


def test_a_channel_is_told_what_it_asked_for(gateway: Gateway, ops: RecordingChannel) -> None:
    channels = Channels([settings("ops", events=("resolved",), min_severity="high")], {"ops": ops})
    gateway = dataclasses.replace(gateway, channels=channels)
    for severity in ("low", "high", "critical"):
        incident = create(gateway, severity=severity)
        actions.resolve(gateway, incident.id, "somebody")
    tell_all(gateway)
    assert [(m.news, m.incident.severity) for m, _ in ops.messages] == [
        ("resolved", "high"),
        ("resolved", "critical"),
    ]


def test_a_request_names_its_channels_and_their_addresses(
    gateway: Gateway, ops: RecordingChannel, mail: RecordingChannel
) -> None:
    create(gateway, channels=("mail>night@example.com",))
    tell_all(gateway)
    assert ops.messages == []
    [(_, address)] = mail.messages
    assert address == "night@example.com"


def test_a_channel_that_does_not_exist_is_refused_with_the_names(gateway: Gateway) -> None:
    assert gateway.channels.asked(["Ops", " mail", "ops"]) == ("ops", "mail")
    with pytest.raises(UnknownChannel, match=r"no channel 'slack': the names are ops, mail\."):
        gateway.channels.asked(["slack"])


def test_without_channels_nothing_is_stored_for_them(gateway: Gateway, redis_url: str) -> None:
    create(dataclasses.replace(gateway, channels=Channels([], {})))
    assert not redis.Redis.from_url(redis_url).exists("versus:targets", "versus:bell")


# -- once, and nobody is forgotten ------------------------------------------------------------------------


def test_a_notice_is_told_once_however_often_it_is_handed_out(
    gateway: Gateway, ops: RecordingChannel
) -> None:
    create(gateway)
    [notice] = due(gateway)
    ops.meanwhile = lambda: tell(gateway, notice)
    tell(gateway, notice)
    tell(gateway, notice)
    assert len(ops.messages) == 1


def test_a_channel_that_refuses_is_tried_again_for_an_hour(
    gateway: Gateway, ops: RecordingChannel, clock: Clock
) -> None:
    incident = create(gateway)
    start, tried = clock.now, []
    ops.answers = [REFUSED] * 100
    while clock.now < start + timedelta(hours=3):
        before = len(ops.messages)
        tell_all(gateway)
        tried += [clock.now] if len(ops.messages) > before else []
        clock.wind(seconds=1)
    pauses = [(b - a).total_seconds() for a, b in pairwise(tried)]
    assert 3 <= pauses[0] <= 8
    assert max(pauses) <= 376
    assert timedelta(hours=1) <= tried[-1] - start <= timedelta(hours=1, minutes=7)
    assert timeline(gateway, incident, "not_told") == [
        "ops of the new incident: connection refused, will try again",
        "ops of the new incident: connection refused, given up",
    ]


def test_what_a_dead_worker_was_telling_is_told_by_another(
    gateway: Gateway, ops: RecordingChannel, clock: Clock
) -> None:
    class Killed(BaseException):
        pass

    def die() -> None:
        raise Killed

    create(gateway)
    ops.meanwhile = die
    with pytest.raises(Killed):
        tell_all(gateway)
    ops.meanwhile = lambda: None
    clock.wind(seconds=19)
    tell_all(gateway)
    assert len(ops.messages) == 1
    clock.wind(seconds=4)
    tell_all(gateway)
    assert len(ops.messages) == 2
    clock.wind(minutes=10)
    assert due(gateway) == []


def test_one_channel_that_fails_keeps_nobody_else_from_being_told(
    gateway: Gateway, ops: RecordingChannel, mail: RecordingChannel
) -> None:
    ops.answers = [REFUSED]
    create(gateway, channels=("ops", "mail"))
    tell_all(gateway)
    assert len(mail.messages) == 1


def test_the_pause_that_a_channel_asks_for_is_kept(
    gateway: Gateway, ops: RecordingChannel, clock: Clock
) -> None:
    create(gateway)
    ops.answers = [dataclasses.replace(REFUSED, not_before=90.0)]
    tell_all(gateway)
    clock.wind(seconds=89)
    tell_all(gateway)
    assert len(ops.messages) == 1
    clock.wind(seconds=2)
    tell_all(gateway)
    assert len(ops.messages) == 2


def elsewhere(gateway: Gateway) -> Gateway:
    """A worker with a configuration that has none of these channels."""
    return dataclasses.replace(gateway, channels=Channels([settings("new")], {"new": RecordingChannel()}))


def test_a_channel_that_is_configured_no_more_is_given_up_after_an_hour(
    gateway: Gateway, ops: RecordingChannel, clock: Clock
) -> None:
    incident = create(gateway)
    for _ in range(70):
        tell_all(elsewhere(gateway))
        clock.wind(minutes=1)
    first, last = timeline(gateway, incident, "not_told")
    assert first == "ops of the new incident: no such channel is configured here, will try again"
    assert last == "ops of the new incident: no such channel is configured here, given up"
    tell_all(gateway)
    assert (ops.messages, due(gateway)) == ([], [])


def test_a_worker_that_does_not_know_a_channel_yet_leaves_its_notices_to_those_who_do(
    gateway: Gateway, ops: RecordingChannel, clock: Clock
) -> None:
    incidents = [create(gateway) for _ in range(25)]
    tell_all(elsewhere(gateway))
    clock.wind(seconds=11)
    tell_all(elsewhere(gateway))
    assert [timeline(gateway, one, "told") for one in incidents] == [[]] * 25
    for _ in range(4):
        clock.wind(minutes=1)
        tell_all(gateway)
    assert [len(timeline(gateway, one, "told")) for one in incidents] == [1] * 25


def test_people_are_told_of_what_is_old_before_it_is_removed(
    gateway: Gateway, ops: RecordingChannel, clock: Clock
) -> None:
    incident = create(gateway)
    actions.resolve(gateway, incident.id, "ops")
    # No worker lived for two hours, and incidents are kept for one.
    clock.wind(hours=2)

    def forget() -> None:
        gateway.store.retention.forget(clock.now, timedelta(hours=1), most=100)

    forget()
    tell_all(gateway)
    assert [news for news, _ in ops.told()] == ["created", "resolved"]
    clock.wind(hours=2)
    forget()
    assert gateway.store.incidents.get(incident.id) is None


def test_later_messages_know_what_the_first_was_called(gateway: Gateway, ops: RecordingChannel) -> None:
    ops.answers = [Told(ok=True, reference="C1:17.4")]
    incident = create(gateway)
    tell_all(gateway)
    actions.acknowledge(gateway, incident.id, "somebody")
    tell_all(gateway)
    assert [message.reference for message, _ in ops.messages] == [None, "C1:17.4"]


def test_the_same_news_again_while_it_is_told_is_told_again(gateway: Gateway, ops: RecordingChannel) -> None:
    incident = create(gateway)
    actions.acknowledge(gateway, incident.id, "one")
    tell_all(gateway)

    def page_and_acknowledge() -> None:
        ops.meanwhile = lambda: None
        actions.page_now(gateway, incident.id, "two")
        actions.acknowledge(gateway, incident.id, "two")

    actions.page_now(gateway, incident.id, "one")
    actions.acknowledge(gateway, incident.id, "three")
    ops.meanwhile = page_and_acknowledge
    tell_all(gateway)
    tell_all(gateway)
    by = [m.incident.acknowledged_by for m, _ in ops.messages if m.news == "acknowledged"]
    assert by == ["one", "three", "two"]


# -- storms -----------------------------------------------------------------------------------------------


def test_more_than_twenty_in_a_minute_become_one_summary_a_minute(
    gateway: Gateway, ops: RecordingChannel, clock: Clock
) -> None:
    severities: tuple[Severity, ...] = ("low", "critical", "high")
    incidents = [create(gateway, severity=severities[n % 3]) for n in range(50)]
    tell_all(gateway)
    assert (len(ops.messages), len(ops.summaries)) == (20, 0)
    clock.wind(seconds=11)
    tell_all(gateway)
    [summary] = ops.summaries
    assert (summary.total, list(summary.counts)) == (30, [("created", 30)])
    assert [incident.severity for _, incident in summary.incidents] == ["critical"] * 10
    assert summary.dashboard_url.endswith("/")
    told = [timeline(gateway, incident, "told") for incident in incidents]
    assert (
        sorted(map(tuple, told))
        == [("ops of the new incident",)] * 20 + [("ops of the new incident, in a summary",)] * 30
    )
    # The storm goes on: the next summary comes a minute later.
    late = [create(gateway) for _ in range(5)]
    first = clock.now
    while len(ops.summaries) < 2 and clock.now < first + timedelta(minutes=5):
        clock.wind(seconds=1)
        tell_all(gateway)
    assert timedelta(seconds=59) <= clock.now - first <= timedelta(seconds=62)
    assert (ops.summaries[-1].total, len(ops.messages)) == (len(late), 20)


def test_a_summary_that_fails_is_tried_again_with_all_that_it_has_to_tell(
    gateway: Gateway, ops: RecordingChannel, clock: Clock
) -> None:
    for _ in range(25):
        create(gateway)
    tell_all(gateway)
    ops.answers = [REFUSED]
    clock.wind(seconds=11)
    tell_all(gateway)
    clock.wind(seconds=20)
    tell_all(gateway)
    assert [summary.total for summary in ops.summaries] == [5, 5]


def storm_of(gateway: Gateway, clock: Clock, minutes: int) -> None:
    """A storm that goes on for so long, and everything told as it becomes due."""
    for _ in range(minutes * 6):
        for _ in range(5):
            create(gateway)
        tell_all(gateway)
        clock.wind(seconds=10)


def test_a_summary_that_fails_late_in_a_long_storm_is_tried_again(
    gateway: Gateway, ops: RecordingChannel, clock: Clock
) -> None:
    seen = 0

    def one_more() -> None:
        """While a summary is under way, the storm brings something for the next one."""
        nonlocal seen
        if len(ops.summaries) > seen:
            seen = len(ops.summaries)
            create(gateway)
            for notice in due(gateway):
                tell(gateway, notice)

    ops.meanwhile = one_more
    storm_of(gateway, clock, minutes=65)
    assert len(ops.summaries) >= 60
    ops.meanwhile = lambda: None
    ops.summaries.clear()
    # The last minute is told in one; it fails once.
    ops.answers = [REFUSED] * 21
    clock.wind(seconds=70)
    tell_all(gateway)
    refused = [summary.total for summary in ops.summaries]
    clock.wind(minutes=6)
    tell_all(gateway)
    assert [summary.total for summary in ops.summaries] == refused * 2


def test_what_is_held_back_while_the_last_summary_ends_is_told_in_another(
    gateway: Gateway, ops: RecordingChannel, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(25):
        create(gateway)
    tell_all(gateway)
    notices, late = gateway.store.notices, []
    ended = notices.ended

    def after_another_worker(*args: Any, **about: Any) -> None:
        monkeypatch.setattr(notices, "ended", ended)
        late.append(create(gateway))
        [notice] = [one for one in due(gateway) if one.incident_id == late[0].id]
        tell(gateway, notice)
        ended(*args, **about)

    clock.wind(seconds=11)
    monkeypatch.setattr(notices, "ended", after_another_worker)
    tell(gateway, Notice("ops", SUMMARY))
    assert (len(ops.summaries), len(notices.held("ops"))) == (1, 1)
    clock.wind(seconds=61)
    tell_all(gateway)
    assert (len(ops.summaries), notices.held("ops")) == (2, [])
    assert timeline(gateway, late[0], "told") != []
    # And then it is over.
    clock.wind(seconds=61)
    tell_all(gateway)
    assert (len(ops.summaries), notices.targets()) == (2, [])


def test_a_summary_that_is_given_up_gives_up_what_was_held_for_an_hour_and_no_more(
    gateway: Gateway, ops: RecordingChannel, clock: Clock
) -> None:
    since = clock.now
    for _ in range(25):
        create(gateway)
    tell_all(gateway)
    ops.answers = [REFUSED] * 10_000
    while clock.now - since < timedelta(minutes=58):
        clock.wind(seconds=20)
        tell_all(gateway)
    late = [create(gateway) for _ in range(25)]
    while clock.now - since < timedelta(minutes=66):
        clock.wind(seconds=20)
        tell_all(gateway)
    ops.answers = []
    while clock.now - since < timedelta(minutes=80):
        clock.wind(seconds=20)
        tell_all(gateway)
    assert [one.id for one in late if not timeline(gateway, one, "told")] == []


def test_a_summary_that_was_given_up_holds_nothing_back_for_ever(
    gateway: Gateway, ops: RecordingChannel, clock: Clock
) -> None:
    incidents = [create(gateway) for _ in range(25)]
    tell_all(gateway)
    ops.answers = [REFUSED] * 1_000
    for _ in range(80):
        clock.wind(minutes=1)
        tell_all(gateway)
    assert gateway.store.notices.held("ops") == []
    given_up = [
        one for incident in incidents for one in timeline(gateway, incident, "not_told") if "given up" in one
    ]
    assert len(given_up) == 5
    assert due(gateway) == []


def test_a_storm_in_one_channel_is_none_in_another(
    gateway: Gateway, ops: RecordingChannel, mail: RecordingChannel
) -> None:
    for _ in range(30):
        create(gateway, channels=("ops",))
    create(gateway, channels=("mail",))
    tell_all(gateway)
    assert (len(ops.messages), len(mail.messages)) == (20, 1)
