"""Summaries: what of a storm is sent one by one, what in one message a minute, and that nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
import redis

from app import actions, serializers
from app.bootstrap import Services
from app.delivery.notifications import notify
from app.delivery.pages import deliver
from app.domain.alert import Severity
from app.domain.delivery import Outcome
from app.domain.incident import Incident
from app.store import SUMMARY
from app.store.keys import INCIDENT, VERSION
from tests.delivery.notifying import MAIL, OPS, REFUSED, create, create_many, due, notify_all, timeline
from tests.fakes import Clock, RecordingChannel, RecordingProvider

MOST = 20
"""Incidents a minute of which a channel is notified one by one."""


# -- how many, and when -----------------------------------------------------------------------------------


def test_more_than_twenty_in_a_minute_become_one_summary_a_minute(
    services: Services, ops: RecordingChannel, clock: Clock
) -> None:
    severities: tuple[Severity, ...] = ("low", "critical", "high")
    incidents = [create(services, severity=severities[n % 3]) for n in range(50)]
    notify_all(services)
    assert (len(ops.messages), len(ops.summaries)) == (20, 0)
    clock.wind(seconds=11)
    notify_all(services)
    [summary] = ops.summaries
    assert (summary.total, list(summary.counts)) == (30, [("created", 30)])
    assert [incident.severity for _, incident in summary.incidents] == ["critical"] * 10
    assert summary.dashboard_url.endswith("/")
    lines = [timeline(services, incident, "notified") for incident in incidents]
    assert (
        sorted(map(tuple, lines))
        == [("ops of the new incident",)] * 20 + [("ops of the new incident, in a summary",)] * 30
    )
    # The storm goes on: the next summary comes a minute later.
    late = [create(services) for _ in range(30)]
    first = clock.now
    while len(ops.summaries) < 2 and clock.now < first + timedelta(minutes=5):
        clock.wind(seconds=1)
        notify_all(services)
    assert timedelta(seconds=59) <= clock.now - first <= timedelta(seconds=62)
    # Twenty of them could be sent one by one as soon as the first twenty were a minute ago.
    assert (ops.summaries[-1].total, len(ops.messages)) == (len(late) - 20, 40)


def test_for_each_destination_no_minute_has_more_than_twenty_messages_and_one_summary(
    services: Services, ops: RecordingChannel, mail: RecordingChannel, clock: Clock
) -> None:
    channels = ("ops", "mail", "mail/night@example.com")
    sent: list[tuple[float, str, str, int]] = []

    def noted(name: str, channel: RecordingChannel) -> Callable[[], None]:
        seen = [0, 0]

        def note() -> None:
            singles, summaries = len(channel.messages), len(channel.summaries)
            kind = "single" if singles > seen[0] else "summary"
            address = channel.messages[-1][1] if kind == "single" else None
            total = 1 if kind == "single" else channel.summaries[-1].total
            seen[:] = singles, summaries
            sent.append((clock.now.timestamp(), kind, f"{name}/{address}", total))

        return note

    ops.meanwhile, mail.meanwhile = noted("ops", ops), noted("mail", mail)
    count = 0
    for second in range(300):
        if second < 240:
            count += len(create_many(services, 1 + second % 3, channels=channels))
        notify_all(services)
        clock.wind(seconds=1)
    singles = {where: [at for at, kind, to, _ in sent if (kind, to) == ("single", where)] for where in WHERE}
    for times in singles.values():
        assert times
        assert max(sum(at <= other < at + 60 for other in times) for at in times) <= MOST
    summaries = [at for at, kind, to, _ in sent if (kind, to) == ("summary", "ops/None")]
    assert len(summaries) >= 4
    assert all(later - earlier >= 60 for earlier, later in pairwise(summaries))
    # The two addresses of `mail` have one each.
    assert len([1 for _, kind, to, _ in sent if (kind, to) == ("summary", "mail/None")]) >= 8
    for name, addresses in (("ops", 1), ("mail", 2)):
        assert sum(total for _, _, to, total in sent if to.startswith(name)) == count * addresses


WHERE = ("ops/None", "mail/None", "mail/night@example.com")


def test_whatever_the_change_an_incident_counts_once(
    services: Services, ops: RecordingChannel, clock: Clock
) -> None:
    incidents = [create(services) for _ in range(15)]
    notify_all(services)
    for incident in incidents:
        actions.resolve(services, incident.id, "somebody")
    for _ in range(10):
        create(services)
    notify_all(services)
    assert len(ops.messages) == 15 + 15 + 5
    clock.wind(seconds=11)
    notify_all(services)
    assert [list(one.counts) for one in ops.summaries] == [[("created", 5)]]


def test_a_page_that_failed_is_in_the_summary_of_a_storm(
    services: Services,
    ops: RecordingChannel,
    mail: RecordingChannel,
    clock: Clock,
    provider: RecordingProvider,
) -> None:
    incidents = [create(services) for _ in range(25)]
    clock.wind(minutes=4)
    provider.outcomes = [Outcome("misconfigured", "401", "unauthorized")] * 25
    for incident in incidents:
        deliver(services, incident.id)
    for _ in range(12):
        notify_all(services)
        clock.wind(seconds=1)
    assert {event for event, _ in mail.notified()} == {"failed"}
    assert [list(one.counts) for one in mail.summaries] == [[("failed", 5)]]
    assert [list(one.counts) for one in ops.summaries] == [[("failed", 5)]]


def test_a_storm_in_one_channel_is_none_in_another(
    services: Services, ops: RecordingChannel, mail: RecordingChannel
) -> None:
    for _ in range(30):
        create(services, channels=("ops",))
    create(services, channels=("mail",))
    notify_all(services)
    assert (len(ops.messages), len(mail.messages)) == (20, 1)


def test_a_storm_at_one_address_is_none_at_another(
    services: Services, mail: RecordingChannel, clock: Clock
) -> None:
    for _ in range(30):
        create(services, channels=("mail/day@example.com",))
    create(services, channels=("mail/night@example.com",))
    notify_all(services)
    assert [address for _, address in mail.messages].count("night@example.com") == 1
    assert len(mail.messages) == 21


# -- what is written --------------------------------------------------------------------------------------


def test_a_summary_of_5000_incidents_writes_nothing_to_their_records(
    services: Services, ops: RecordingChannel, clock: Clock, redis_url: str
) -> None:
    client = redis.Redis.from_url(redis_url, decode_responses=True)
    ids = [one.id for _ in range(100) for one in create_many(services, 50)] + [
        one.id for one in create_many(services, MOST)
    ]

    def records() -> list[dict[str, str]]:
        pipe = client.pipeline(transaction=False)
        for incident_id in ids:
            pipe.hgetall(INCIDENT + incident_id)
        return list(pipe.execute())

    notify_all(services)
    before = records()
    version = client.get(VERSION)
    clock.wind(seconds=11)
    notify_all(services)
    assert [one.total for one in ops.summaries] == [5_000]
    assert records() == before
    assert client.get(VERSION) == version
    clock.wind(minutes=10)
    assert due(services) == []


def test_a_timeline_says_which_summary_it_was_and_goes_on_saying_so(
    services: Services, ops: RecordingChannel, clock: Clock
) -> None:
    def lines() -> list[tuple[str, str]]:
        stored = services.store.incidents.require(incident.id)
        shown_line = serializers.with_notifications(services, stored).timeline
        return [(e.at.isoformat(), e.detail) for e in shown_line if e.event == "notified"]

    incident = [create(services) for _ in range(25)][-1]
    notify_all(services)
    assert lines() == []
    clock.wind(seconds=11)
    notify_all(services)
    first = (clock.now.isoformat(), "ops of the new incident, in a summary")
    assert lines() == [first]
    # Another summary, an hour later, is about others.
    clock.wind(hours=1)
    for _ in range(25):
        create(services)
    notify_all(services)
    clock.wind(seconds=11)
    notify_all(services)
    assert len(ops.summaries) == 2
    assert lines() == [first]
    # And then the incident has a message of its own.
    clock.wind(hours=1)
    actions.acknowledge(services, incident.id, "somebody")
    assert lines() == [first]
    notify_all(services)
    assert ops.notified()[-1] == ("acknowledged", incident.id)
    assert lines() == [first, (clock.now.isoformat(), "ops of the acknowledgement")]


def test_changes_in_several_summaries_are_each_on_the_timeline(services: Services, clock: Clock) -> None:
    incident = [create(services) for _ in range(25)][-1]
    notify_all(services)
    clock.wind(seconds=11)
    notify_all(services)
    clock.wind(seconds=1)
    actions.acknowledge(services, incident.id, "somebody")
    for _ in range(30):
        create(services)
    # The storm goes on, so that nothing is sent one by one.
    clock.wind(seconds=40)
    notify_all(services)
    clock.wind(seconds=21)
    services.store.notifications.postpone_summary(OPS, clock.now)
    notify(services, OPS, SUMMARY)
    assert timeline(services, incident, "notified") == [
        "ops of the new incident, in a summary",
        "ops of the acknowledgement, in a summary",
    ]


# -- nothing is lost --------------------------------------------------------------------------------------


def test_a_summary_that_fails_is_tried_again_with_all_that_it_has_to_tell(
    services: Services, ops: RecordingChannel, clock: Clock
) -> None:
    for _ in range(25):
        create(services)
    notify_all(services)
    ops.answers = [REFUSED]
    clock.wind(seconds=11)
    notify_all(services)
    clock.wind(seconds=20)
    notify_all(services)
    assert [summary.total for summary in ops.summaries] == [5, 5]


class Killed(BaseException):
    """What SIGKILL does to the code: nothing after it runs."""


@pytest.mark.parametrize("where", ["hold", "held", "send", "end_summary"])
def test_a_worker_killed_between_holding_and_ending_a_summary_loses_nothing(
    services: Services, ops: RecordingChannel, clock: Clock, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    incidents = [create(services) for _ in range(25)]
    notify_all(services)

    def die(*_: object) -> None:
        raise Killed

    clock.wind(seconds=11)
    with monkeypatch.context() as patch:
        owner = ops if where == "send" else services.store.notifications
        patch.setattr(owner, where, die)
        with pytest.raises(Killed):
            notify_all(services)
    late = create(services)
    seen = len(ops.summaries)
    while clock.now < incidents[0].created_at + timedelta(seconds=55):
        clock.wind(seconds=1)
        notify_all(services)
    assert [one.total for one in ops.summaries[seen:]] == [6]
    lines = [timeline(services, one, "notified") for one in (*incidents, late)]
    assert [len(one) for one in lines] == [1] * 26


def test_of_two_workers_with_the_same_summary_one_sends_it(
    services: Services, ops: RecordingChannel, clock: Clock
) -> None:
    for _ in range(25):
        create(services)
    notify_all(services)
    clock.wind(seconds=11)
    ops.meanwhile = lambda: notify(services, OPS, SUMMARY)
    notify(services, OPS, SUMMARY)
    assert len(ops.summaries) == 1


def test_a_worker_that_sleeps_through_the_lease_of_a_summary_takes_nothing_from_the_next(
    services: Services, ops: RecordingChannel, clock: Clock
) -> None:
    for _ in range(25):
        create(services)
    notify_all(services)
    late: list[Incident] = []

    def sleep() -> None:
        ops.meanwhile = lambda: None
        clock.wind(seconds=21)
        late.append(create(services))
        ops.answers = [REFUSED]
        notify(services, OPS, SUMMARY)

    clock.wind(seconds=11)
    ops.meanwhile = sleep
    notify(services, OPS, SUMMARY)
    assert services.store.notifications.held(OPS) != []
    while clock.now < late[0].created_at + timedelta(minutes=1):
        clock.wind(seconds=1)
        notify_all(services)
    assert timeline(services, late[0], "notified") != []


def test_a_change_that_comes_while_a_summary_is_sent_is_notified_afterwards(
    services: Services, ops: RecordingChannel, clock: Clock
) -> None:
    incident = [create(services) for _ in range(25)][-1]
    notify_all(services)

    def acknowledge() -> None:
        ops.meanwhile = lambda: None
        actions.acknowledge(services, incident.id, "somebody")

    clock.wind(seconds=11)
    ops.meanwhile = acknowledge
    notify_all(services)
    [summary] = ops.summaries
    assert incident.id in {one.id for _, one in summary.incidents}
    for _ in range(61):
        clock.wind(seconds=1)
        notify_all(services)
    assert ops.notified()[-1] == ("acknowledged", incident.id)


def storm_of(services: Services, clock: Clock, minutes: int) -> None:
    """A storm that goes on for so long, and everybody notified as it becomes due."""
    for _ in range(minutes * 6):
        for _ in range(5):
            create(services)
        notify_all(services)
        clock.wind(seconds=10)


def test_a_summary_that_fails_late_in_a_long_storm_is_tried_again(
    services: Services, ops: RecordingChannel, clock: Clock
) -> None:
    seen = 0

    def one_more() -> None:
        """While a summary is under way, the storm brings something for the next one."""
        nonlocal seen
        if len(ops.summaries) > seen:
            seen = len(ops.summaries)
            create(services)
            notify_all(services)

    ops.meanwhile = one_more
    storm_of(services, clock, minutes=65)
    assert seen >= 60

    def fail_once() -> None:
        if len(ops.summaries) > seen:
            ops.meanwhile = lambda: None
            ops.answers = [REFUSED]

    ops.meanwhile = fail_once
    storm_of(services, clock, minutes=2)
    refused, again = [summary.total for summary in ops.summaries[seen : seen + 2]]
    assert 0 < refused <= again


def test_what_comes_while_the_last_summary_ends_is_in_another_message(
    services: Services, ops: RecordingChannel, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(25):
        create(services)
    notify_all(services)
    queues, late = services.store.notifications, []
    end_summary = queues.end_summary

    def after_another_worker(*args: Any) -> bool:
        monkeypatch.setattr(queues, "end_summary", end_summary)
        late.append(create(services))
        notify_all(services)
        return end_summary(*args)

    clock.wind(seconds=11)
    monkeypatch.setattr(queues, "end_summary", after_another_worker)
    notify(services, OPS, SUMMARY)
    assert (len(ops.summaries), len(late)) == (1, 1)
    assert timeline(services, late[0], "notified") == []
    for _ in range(61):
        clock.wind(seconds=1)
        notify_all(services)
    assert len(timeline(services, late[0], "notified")) == 1
    assert sum(one.total for one in ops.summaries) + len(ops.messages) == 26
    # And then it is over.
    sent = len(ops.summaries)
    clock.wind(seconds=61)
    notify_all(services)
    assert (len(ops.summaries), queues.held(OPS), queues.channels()) == (sent, [], [])


# -- given up ---------------------------------------------------------------------------------------------


def test_a_summary_that_is_given_up_gives_up_what_was_held_for_an_hour_and_no_more(
    services: Services, ops: RecordingChannel, clock: Clock
) -> None:
    since = clock.now
    for _ in range(25):
        create(services)
    notify_all(services)
    ops.answers = [REFUSED] * 10_000
    while clock.now - since < timedelta(minutes=58):
        clock.wind(seconds=20)
        notify_all(services)
    late = [create(services) for _ in range(25)]
    while clock.now - since < timedelta(minutes=66):
        clock.wind(seconds=20)
        notify_all(services)
    ops.answers = []
    while clock.now - since < timedelta(minutes=80):
        clock.wind(seconds=20)
        notify_all(services)
    assert [one.id for one in late if not timeline(services, one, "notified")] == []


def test_a_summary_that_was_given_up_holds_nothing_back_for_ever(
    services: Services, ops: RecordingChannel, clock: Clock
) -> None:
    incidents = [create(services) for _ in range(25)]
    notify_all(services)
    ops.answers = [REFUSED] * 1_000
    clock.wind(seconds=11)
    for _ in range(80):
        notify_all(services)
        clock.wind(minutes=1)
    assert len(ops.summaries) > 10
    assert services.store.notifications.held(OPS) == []
    given_up = [timeline(services, incident, "not_notified") for incident in incidents[MOST:]]
    assert given_up == [["ops of the new incident, in a summary: given up"]] * 5
    assert [timeline(services, incident, "notified") for incident in incidents[MOST:]] == [[]] * 5
    assert due(services) == []


def test_an_empty_summary_is_not_sent(services: Services, ops: RecordingChannel, clock: Clock) -> None:
    incidents = [create(services) for _ in range(25)]
    notify_all(services)
    for incident in incidents:
        notify(services, OPS, incident.id)
    clock.wind(seconds=11)
    notify_all(services)
    assert (len(ops.messages), ops.summaries) == (25, [])
    assert services.store.notifications.summarized(MAIL, incidents[0].created_at) is None
    assert services.store.notifications.summarized(OPS, incidents[0].created_at) is None
