"""Silences over a real Redis: what they hold, what ends them, and who is first in a race."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest
import redis

from app import actions, silences
from app.bootstrap import Services
from app.delivery import pages
from app.delivery.notifications import notify
from app.destinations.channels import Channels
from app.domain.alert import Alert, Effect
from app.domain.delivery import Outcome
from app.domain.incident import Incident
from app.domain.silence import Silence
from app.domain.state import State
from app.ingest.service import Options, ReceivedAlert, receive
from app.store import Search, Store, StoreUnavailable
from tasks.read_only import ReadOnly
from tests.delivery.notifying import OPS, settings
from tests.factories import receive_one
from tests.fakes import Clock, RecordingChannel, RecordingProvider
from tests.refusing import refusing_writes
from tests.stories.stack import wait_until
from tests.tasks.test_read_only import AtOnce


@pytest.fixture
def ops() -> RecordingChannel:
    return RecordingChannel()


@pytest.fixture
def services(services: Services, ops: RecordingChannel) -> Services:
    return dataclasses.replace(services, channels=Channels([settings("ops")], {"ops": ops}))


@pytest.fixture
def other(services: Services, redis_url: str) -> Services:
    """Another process, which has read the list of silences at another time."""
    return dataclasses.replace(services, store=Store(redis_url))


def silence(services: Services, minutes: float = 60, **match: Any) -> Silence:
    match = match or {"service": "checkout"}
    return silences.make(services, match, minutes=minutes, until=None, comment="deployment", by="Dana")


def problem(services: Services, **about: Any) -> Incident:
    return receive_one(services, **{"wait": 3, "service": "checkout", "identity": "disk", **about})


def stored(services: Services, incident: Incident) -> Incident:
    return services.store.incidents.require(incident.id)


def work(services: Services, incident: Incident) -> None:
    """What workers do about it now."""
    silences.settle(services)
    pages.deliver(services, incident.id)
    notify(services, OPS, incident.id)


def test_it_holds_and_does_not_drop(
    services: Services, clock: Clock, provider: RecordingProvider, ops: RecordingChannel
) -> None:
    made = silence(services)
    incident = problem(services)
    assert (incident.silence_id, incident.silenced_until) == (made.id, made.until)
    assert incident.due_at == made.until + timedelta(minutes=3)
    clock.wind(minutes=59)
    work(services, incident)
    assert (provider.events, ops.messages) == ([], [])
    clock.wind(minutes=1)
    work(services, incident)
    assert ops.notified() == [("created", incident.id)]
    assert stored(services, incident).due_at == clock.now + timedelta(minutes=3)
    clock.wind(minutes=3)
    work(services, incident)
    assert provider.notified() == [("firing", incident.id)]
    events = [entry.event for entry in stored(services, incident).timeline]
    assert events[:4] == ["received", "waiting", "silenced", "silence_ended"]


def test_what_it_holds_is_notified_and_paged_though_nobody_ever_settles_it(
    services: Services, clock: Clock, provider: RecordingProvider, ops: RecordingChannel
) -> None:
    silence(services)
    incident = problem(services)
    clock.wind(minutes=60)
    notify(services, OPS, incident.id)
    assert ops.notified() == [("created", incident.id)]
    clock.wind(minutes=3)
    pages.deliver(services, incident.id)
    assert provider.notified() == [("firing", incident.id)]


def test_of_many_that_it_held_one_summary_comes_at_once(
    services: Services, clock: Clock, ops: RecordingChannel
) -> None:
    made = silence(services)
    incidents = [problem(services, identity=str(n)) for n in range(25)]
    clock.now = made.until
    # A worker sees the storm before it settles the silence: such a summary waits for some seconds.
    for _ in range(2):
        for incident_id in services.store.notifications.next(OPS, clock.now, 100):
            notify(services, OPS, incident_id)
    assert (len(ops.messages), ops.summaries) == (20, [])
    silences.settle(services)
    for incident_id in services.store.notifications.next(OPS, clock.now, 100):
        notify(services, OPS, incident_id)
    [summary] = ops.summaries
    assert (len(ops.messages), summary.total) == (20, len(incidents) - 20)


def test_what_was_in_a_summary_before_is_not_heard_of_again(
    services: Services, clock: Clock, ops: RecordingChannel
) -> None:
    incidents = [problem(services, identity=str(n)) for n in range(21)]
    for one in incidents:
        actions.acknowledge(services, one.id, "Dana")

    def notify_all() -> None:
        for incident_id in services.store.notifications.next(OPS, clock.now, 100):
            notify(services, OPS, incident_id)

    for _ in range(2):
        notify_all()
        clock.wind(seconds=11)
    assert (len(ops.messages), [one.total for one in ops.summaries]) == (20, [1])
    made = silence(services)
    clock.wind(minutes=10)
    silences.end(services, made.id, "Dana")
    notify_all()
    assert (len(ops.messages), len(ops.summaries)) == (20, 1)
    # Nor does a silence keep it from hearing of the end, once it is over.
    silence(services)
    actions.resolve(services, incidents[-1].id, "Dana")
    clock.wind(minutes=60)
    notify_all()
    assert (ops.notified()[20:], len(ops.summaries)) == ([("resolved", incidents[-1].id)], 1)


def test_ending_it_begins_the_wait_in_full(
    services: Services, clock: Clock, provider: RecordingProvider, ops: RecordingChannel
) -> None:
    made = silence(services)
    incident = problem(services)
    clock.wind(minutes=10)
    silences.end(services, made.id, "Dana")
    after = stored(services, incident)
    assert (after.silenced_until, after.due_at) == (None, clock.now + timedelta(minutes=3))
    work(services, incident)
    assert ops.notified() == [("created", incident.id)]
    assert provider.events == []


def test_what_was_pending_is_held_and_heard_of_again(
    services: Services, clock: Clock, provider: RecordingProvider, ops: RecordingChannel
) -> None:
    incident = problem(services)
    notify(services, OPS, incident.id)
    clock.wind(minutes=1)
    made = silence(services)
    assert services.store.silences.counts([made.id]) == {made.id: 1}
    clock.wind(minutes=30)
    work(services, incident)
    silences.end(services, made.id, "Dana")
    work(services, incident)
    assert ops.notified() == [("created", incident.id), ("reopened", incident.id)]
    assert provider.events == []
    clock.wind(minutes=3)
    work(services, incident)
    assert provider.notified() == [("firing", incident.id)]


def test_what_was_paged_is_not_taken_back_and_its_end_goes_out(
    services: Services, clock: Clock, provider: RecordingProvider, ops: RecordingChannel
) -> None:
    incident = problem(services, wait=0)
    work(services, incident)
    silence(services)
    assert stored(services, incident).state is State.ESCALATED
    resolved = ReceivedAlert(
        Alert(title="Disk full", source="grafana", identity="disk", effect=Effect.RESOLVED), "{}"
    )
    receive(services, [resolved], Options())
    work(services, incident)
    assert provider.notified() == [("firing", incident.id), ("resolved", incident.id)]
    assert ops.notified()[-1][0] != "resolved"
    clock.wind(minutes=60)
    work(services, incident)
    assert ops.notified()[-1] == ("resolved", incident.id)


def test_what_is_over_before_the_silence_is_heard_of_by_nobody(
    services: Services, clock: Clock, provider: RecordingProvider, ops: RecordingChannel
) -> None:
    made = silence(services)
    incident = problem(services)
    actions.resolve(services, incident.id, "Dana")
    assert services.store.silences.counts([made.id]) == {made.id: 0}
    clock.wind(minutes=70)
    work(services, incident)
    assert (provider.events, ops.messages) == ([], [])


def test_somebody_may_acknowledge_it_or_page_at_once(services: Services, provider: RecordingProvider) -> None:
    silence(services)
    first, second = problem(services), problem(services, identity="other")
    assert actions.acknowledge(services, first.id, "Dana").state is State.ACKNOWLEDGED
    actions.escalate_now(services, second.id, "Dana")
    work(services, second)
    assert provider.notified() == [("firing", second.id)]


def test_it_holds_no_longer_what_it_does_not_match_any_more(
    services: Services, clock: Clock, ops: RecordingChannel
) -> None:
    silence(services, service="checkout", severity="low")
    incident = problem(services, severity="low")
    clock.wind(minutes=1)
    assert problem(services, severity="critical").silenced_until is None
    after = stored(services, incident)
    assert after.due_at == clock.now + timedelta(minutes=3)
    notify(services, OPS, incident.id)
    assert ops.notified()


def test_of_two_the_longer_one_holds_and_each_takes_over_from_the_other(services: Services) -> None:
    short = silence(services, 60)
    incident = problem(services)
    long = silence(services, 120)
    assert stored(services, incident).silence_id == long.id
    silences.end(services, long.id, "Dana")
    after = stored(services, incident)
    assert (after.silence_id, after.due_at) == (short.id, short.until + timedelta(minutes=3))
    silences.end(services, short.id, "Dana")
    assert stored(services, incident).silence_id is None


def test_our_own_incidents_are_never_silenced(services: Services) -> None:
    silence(services, title="*full")
    assert problem(services, source="versus").silenced_until is None
    assert problem(services, source="grafana", identity="other").silenced_until is not None


def test_a_process_that_has_not_seen_the_list_stores_by_it(services: Services, other: Services) -> None:
    made = silence(services)
    assert other.store.silences.known.all == ()
    assert problem(other).silence_id == made.id


# -- races -----------------------------------------------------------------------------------------------


def test_a_page_that_is_due_is_held_by_a_silence_that_its_worker_has_not_seen(
    services: Services, other: Services, provider: RecordingProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    incident = problem(services, wait=0)
    monkeypatch.setattr(silences, "settle", lambda *_: None)
    silence(services)
    assert stored(services, incident).silence_id is None
    for _ in range(2):
        pages.deliver(other, incident.id)
        notify(other, OPS, incident.id)
    assert provider.events == []
    assert stored(services, incident).silence_id is not None


def test_a_silence_and_a_claim_are_one_after_the_other(
    services: Services, provider: RecordingProvider, ops: RecordingChannel, other: Services
) -> None:
    incident = problem(services, wait=0)
    update = type(services).update
    made: list[Silence] = []

    def first(self: Services, *args: Any, **more: Any) -> Any:
        if self is other and not made:
            made.append(silence(services))
        return update(self, *args, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(services), "update", first)
        pages.deliver(other, incident.id)
    assert made
    assert provider.events == []
    notify(other, OPS, incident.id)
    assert ops.messages == []


def test_a_page_that_is_on_its_way_when_the_silence_begins_is_recorded(
    services: Services, clock: Clock, provider: RecordingProvider
) -> None:
    incident = problem(services, wait=0)
    provider.meanwhile = lambda _: silence(services)
    provider.outcomes = [Outcome("try_again", "500", "server_error")]
    pages.deliver(services, incident.id)
    clock.wind(minutes=10)
    work(services, incident)
    assert len(provider.events) == 1
    clock.wind(minutes=50)
    work(services, incident)
    assert len(provider.events) == 2


def test_what_was_left_over_when_a_process_died_is_released_by_the_next(
    services: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = silence(services, 600)
    incidents = [problem(services, identity=str(n)) for n in range(5)]
    monkeypatch.setattr(silences, "BATCH", 2)
    bring = silences._bring_in_line
    left = [1]

    def dies(*args: Any) -> int:
        if not left:
            raise StoreUnavailable("killed")
        left.pop()
        return bring(*args)

    with monkeypatch.context() as patch:
        patch.setattr(silences, "_bring_in_line", dies)
        silences.end(services, made.id, "Dana")
    assert sum(stored(services, one).silence_id is None for one in incidents) == 2
    services.store.silences.release()
    silences.settle(services)
    assert all(stored(services, one).silence_id is None for one in incidents)
    assert services.store.silences.unsettled(clock.now + timedelta(days=40)) == []


# -- Redis -----------------------------------------------------------------------------------------------


def test_while_redis_refuses_writes_what_is_silenced_is_not_paged_and_not_lost(
    services: Services, clock: Clock, provider: RecordingProvider, redis_url: str
) -> None:
    quick = dataclasses.replace(services, store=Store(redis_url, retry_seconds=0.1))
    pending = problem(quick, wait=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(silences, "settle", lambda *_: None)
        silence(services)
    clock.wind(milliseconds=1)
    quick.store.delivery_queue.worker_lives("a", clock.now)
    worker = ReadOnly(quick, "a", AtOnce())
    with refusing_writes(redis_url):
        worker.page()
        with pytest.raises(StoreUnavailable):
            problem(quick, identity="new")
        assert provider.events == []
    wait_until(lambda: len(quick.backlog) == 0, "all is stored")
    found = quick.store.incidents.page(Search(), 10, None).incidents
    assert {one.identity: one.silence_id is not None for one in found} == {"disk": False, "new": True}
    pages.deliver(quick, pending.id)
    assert provider.events == []


def test_a_redis_that_lost_its_silences_pages(
    services: Services, provider: RecordingProvider, redis_url: str
) -> None:
    silence(services)
    redis.Redis.from_url(redis_url).flushall()
    incident = problem(services, wait=0)
    assert incident.silence_id is None
    pages.deliver(services, incident.id)
    assert provider.notified() == [("firing", incident.id)]


def test_a_worker_that_has_not_seen_the_end_of_a_silence_pages_in_time(
    services: Services, other: Services, clock: Clock, provider: RecordingProvider
) -> None:
    made = silence(services)
    assert other.store.silences.read().all
    silences.end(services, made.id, "Dana")
    incident = problem(services, wait=0)
    pages.deliver(other, incident.id)
    assert provider.notified() == [("firing", incident.id)]
