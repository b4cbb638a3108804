"""Claim, send, record: what leaves, when, and what follows from each outcome."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
import redis

from app import actions
from app.bootstrap import Services
from app.delivery.page_job import ATTEMPT_SECONDS, LEASE
from app.delivery.pages import deliver
from app.destinations.base import PagerEvent, RateLimit
from app.destinations.http import WHOLE_SECONDS
from app.domain.alert import SEVERITIES, Alert, Severity
from app.domain.delivery import Outcome, Step
from app.domain.incident import Incident
from app.domain.state import State
from app.ingest.service import Options, ReceivedAlert, receive
from app.store import Store
from app.store.delivery_queue import DUE, FAILING, NEXT_CHECK, PAGERS, QUEUE, member_of
from local.embedded import EmbeddedRedis
from tests.fakes import INFRA, PAGER, Clock, RecordingProvider
from tests.relay import Relay
from tests.store.damage import damage

TRY_AGAIN = Outcome("try_again", "500", reason="server_error")
UNCERTAIN = Outcome("try_again", "no answer", reason="timeout", uncertain=True)
MISCONFIGURED = Outcome("misconfigured", "404", reason="not_found")


def received(services: Services, **options: float | str) -> str:
    alert = Alert(title="Disk full", source="generic", severity="high")
    [one] = receive(services, [ReceivedAlert(alert, "{}")], Options(**options))  # type: ignore[arg-type]
    assert one.incident is not None
    return one.incident.id


def read(services: Services, incident_id: str) -> Incident:
    return services.store.incidents.require(incident_id)


def step_of(services: Services, incident_id: str) -> Step | None:
    """What its one pager is to be sent next."""
    return read(services, incident_id).next_step(PAGER)


def event_of(services: Services, incident_id: str) -> str | None:
    step = step_of(services, incident_id)
    return None if step is None else step.event


@pytest.fixture
def due(services: Services, clock: Clock) -> str:
    """The ID of an incident that is due now."""
    incident_id = received(services, wait_minutes=3)
    clock.wind(minutes=3)
    return incident_id


def test_a_message_that_comes_early_changes_nothing(
    services: Services, clock: Clock, provider: RecordingProvider
) -> None:
    incident_id = received(services, wait_minutes=3)
    clock.wind(minutes=2.99)
    deliver(services, incident_id)
    assert provider.events == []
    assert read(services, incident_id).state is State.PENDING


def test_nobody_acknowledges_and_one_event_leaves(
    services: Services, provider: RecordingProvider, due: str
) -> None:
    deliver(services, due)
    deliver(services, due)
    assert provider.notified() == [("firing", due)]
    incident = read(services, due)
    assert (incident.state, incident.attempts, list(incident.steps())) == (State.ESCALATED, 1, [])


@pytest.mark.parametrize("severity", SEVERITIES)
def test_a_record_that_cannot_be_read_pages_whatever_its_severity_was(
    services: Services, provider: RecordingProvider, clock: Clock, redis_url: str, severity: Severity
) -> None:
    alert = Alert(title="Disk full", source="generic", severity=severity)
    [one] = receive(services, [ReceivedAlert(alert, "{}")], Options(wait_minutes=3))
    assert one.incident is not None
    damage(redis.Redis.from_url(redis_url), "no JSON", one.incident.id)
    clock.wind(minutes=3)
    deliver(services, one.incident.id)
    assert provider.notified() == [("firing", one.incident.id)]


def test_an_acknowledged_incident_never_pages(
    services: Services, provider: RecordingProvider, due: str
) -> None:
    actions.acknowledge(services, due, "ops")
    deliver(services, due)
    assert provider.events == []


def test_an_incident_that_is_acknowledged_just_before_its_claim_never_pages(
    services: Services, clock: Clock, provider: RecordingProvider, due: str
) -> None:
    def somebody_is_faster() -> datetime:
        if services.store.delivery_queue.acquired():
            actions.acknowledge(services, due, "ops")
        return clock()

    deliver(dataclasses.replace(services, clock=somebody_is_faster), due)
    assert provider.events == []
    assert read(services, due).state is State.ACKNOWLEDGED


def test_the_attempt_is_on_the_timeline_before_it_is_made(
    services: Services, provider: RecordingProvider, due: str
) -> None:
    seen: list[str] = []
    provider.meanwhile = lambda event: seen.append(read(services, due).timeline[-1].event)
    deliver(services, due)
    assert seen == ["attempt"]


def test_two_workers_at_once_send_one_event(
    services: Services, provider: RecordingProvider, due: str
) -> None:
    provider.meanwhile = lambda event: deliver(services, due)
    deliver(services, due)
    assert len(provider.events) == 1


def test_acknowledged_while_it_is_sent_is_both(
    services: Services, provider: RecordingProvider, due: str
) -> None:
    provider.meanwhile = lambda event: actions.acknowledge(services, due, "ops")
    deliver(services, due)
    incident = read(services, due)
    assert incident.state is State.ACKNOWLEDGED
    assert incident.escalated_at is not None
    assert list(incident.steps()) == []


def test_resolved_while_it_is_sent_gets_its_resolve_event(
    services: Services, clock: Clock, provider: RecordingProvider, due: str
) -> None:
    provider.meanwhile = lambda event: event.kind == "firing" and actions.resolve(services, due, "ops")
    deliver(services, due)
    deliver(services, due)
    assert provider.notified() == [("firing", due), ("resolved", due)]
    assert read(services, due).state is State.RESOLVED


def test_a_worker_that_dies_leaves_a_lease_that_runs_out(
    services: Services, clock: Clock, provider: RecordingProvider, due: str
) -> None:
    def die(event: PagerEvent) -> None:
        provider.meanwhile = lambda event: None
        raise KeyboardInterrupt

    provider.meanwhile = die
    with pytest.raises(KeyboardInterrupt):
        deliver(services, due)
    deliver(services, due)
    assert len(provider.events) == 1
    # What ARCHITECTURE.md says, whatever the constant is.
    clock.wind(seconds=15)
    deliver(services, due)
    assert provider.notified() == [("firing", due)] * 2
    assert read(services, due).state is State.ESCALATED


def test_an_attempt_that_takes_as_long_as_it_may_is_not_made_twice(
    services: Services, clock: Clock, provider: RecordingProvider, due: str
) -> None:
    def dawdle(event: PagerEvent) -> None:
        clock.wind(seconds=ATTEMPT_SECONDS)
        deliver(services, due)

    provider.meanwhile = dawdle
    deliver(services, due)
    assert provider.notified() == [("firing", due)]
    assert read(services, due).state is State.ESCALATED


@pytest.fixture
def slow(server: EmbeddedRedis) -> Iterator[Relay]:
    """The way to a Redis that takes its time."""
    relay = Relay(server.port)
    yield relay
    relay.stop()


def test_an_attempt_has_the_time_that_incident_io_may_take(
    services: Services, provider: RecordingProvider, due: str
) -> None:
    deliver(services, due)
    [seconds_left] = provider.seconds_left
    assert seconds_left > WHOLE_SECONDS


def test_the_time_that_the_claim_takes_is_not_left_for_the_attempt(
    services: Services, provider: RecordingProvider, due: str, slow: Relay
) -> None:
    far = dataclasses.replace(services, store=Store(f"redis://127.0.0.1:{slow.port}/0"))
    slow.latency = 0.2
    deliver(far, due)
    [seconds_left] = provider.seconds_left
    # The lease began with the claim, which was on its way to Redis and back.
    assert seconds_left <= ATTEMPT_SECONDS - 2 * slow.latency


def test_a_worker_that_sleeps_through_its_lease_does_not_leave_an_alert_open(
    services: Services, clock: Clock, provider: RecordingProvider, due: str
) -> None:
    def sleep(event: PagerEvent) -> None:
        provider.meanwhile = lambda event: None
        clock.wind(seconds=LEASE.total_seconds())
        deliver(services, due)
        actions.resolve(services, due, "ops")
        deliver(services, due)

    provider.meanwhile = sleep
    deliver(services, due)
    clock.wind(seconds=1)
    deliver(services, due)
    # The sleeper's page came last as far as anybody knows; a second resolve event closes it.
    assert [kind for kind, _ in provider.notified()] == ["firing", "firing", "resolved", "resolved"]


def test_pauses_grow_to_a_minute_with_jitter(
    services: Services, clock: Clock, provider: RecordingProvider, due: str
) -> None:
    provider.outcomes = [TRY_AGAIN] * 9
    pauses = []
    for _ in range(9):
        deliver(services, due)
        step = step_of(services, due)
        assert step is not None
        pauses.append((step.at - clock.now).total_seconds())
        clock.now = step.at
    for pause, growing in zip(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60], strict=True):
        assert 0.75 * growing <= pause <= 1.25 * growing
    deliver(services, due)
    incident = read(services, due)
    assert (incident.state, incident.attempts, incident.last_error) == (State.ESCALATED, 10, None)


def test_after_a_day_it_gives_up_loudly(
    services: Services, clock: Clock, provider: RecordingProvider, due: str
) -> None:
    provider.outcomes = [TRY_AGAIN] * 3
    deliver(services, due)
    clock.wind(hours=23, minutes=58)
    deliver(services, due)
    assert event_of(services, due) == "firing"
    clock.wind(minutes=2)
    deliver(services, due)
    incident = read(services, due)
    assert (incident.state, list(incident.steps()), incident.last_error) == (State.FAILED, [], "500")


def test_what_was_due_while_no_worker_lived_is_tried_for_a_day_all_the_same(
    services: Services, clock: Clock, provider: RecordingProvider, due: str
) -> None:
    clock.wind(hours=60)
    provider.outcomes = [TRY_AGAIN]
    deliver(services, due)
    clock.wind(minutes=1)
    deliver(services, due)
    assert read(services, due).state is State.ESCALATED


def test_a_configuration_that_was_fixed_has_a_day_for_what_comes_then(
    services: Services, clock: Clock, provider: RecordingProvider, due: str
) -> None:
    provider.outcomes = [TRY_AGAIN, MISCONFIGURED, TRY_AGAIN, TRY_AGAIN, TRY_AGAIN]
    for hours in (0, 20, 20, 20):
        clock.wind(hours=hours)
        deliver(services, due)
        assert event_of(services, due) == "firing"
    clock.wind(hours=5)
    deliver(services, due)
    assert event_of(services, due) is None


@pytest.mark.parametrize("outcome", [TRY_AGAIN, Outcome("delivered", "202")])
def test_an_attempt_that_ends_long_after_its_incident_was_removed_makes_no_new_one(
    services: Services, clock: Clock, provider: RecordingProvider, due: str, outcome: Outcome
) -> None:
    def elsewhere(_: PagerEvent) -> None:
        provider.meanwhile = lambda _: None
        clock.wind(seconds=20)
        deliver(services, due)
        actions.resolve(services, due, "ops")
        deliver(services, due)
        clock.wind(hours=2)
        services.store.retention.forget(clock.now, timedelta(hours=1), most=100)
        provider.outcomes = [outcome]

    provider.meanwhile = elsewhere
    deliver(services, due)
    clock.wind(minutes=2)
    deliver(services, due)
    assert services.store.incidents.get(due) is None
    assert provider.notified() == [("firing", due), ("firing", due), ("resolved", due)]


def test_a_wrong_configuration_is_tried_again_every_five_minutes_however_old(
    services: Services, clock: Clock, provider: RecordingProvider, due: str
) -> None:
    provider.outcomes = [MISCONFIGURED, MISCONFIGURED]
    deliver(services, due)
    step = step_of(services, due)
    assert step is not None
    assert (read(services, due).state, step.at) == (State.FAILED, clock.now + timedelta(minutes=5))
    clock.wind(hours=30)
    deliver(services, due)
    clock.wind(minutes=5)
    deliver(services, due)
    assert read(services, due).state is State.ESCALATED


def test_retry_after_is_respected_and_holds_back_the_whole_alert_source(
    services: Services, clock: Clock, provider: RecordingProvider, due: str
) -> None:
    other = received(services, wait_minutes=0)
    provider.outcomes = [Outcome("try_again", "429", reason="rate_limited", not_before=30, back_off_all=True)]
    deliver(services, due)
    deliver(services, other)
    assert len(provider.events) == 1
    clock.wind(seconds=29)
    deliver(services, due)
    deliver(services, other)
    assert len(provider.events) == 1
    clock.wind(seconds=2)
    deliver(services, other)
    deliver(services, due)
    assert {incident_id for _, incident_id in provider.notified()} == {due, other}


def test_over_budget_is_deferred_and_its_turn_comes(
    services: Services, clock: Clock, provider: RecordingProvider
) -> None:
    provider.limits = [RateLimit("source:default", 2)]
    ids = [received(services, wait_minutes=0) for _ in range(3)]
    for incident_id in ids:
        deliver(services, incident_id)
    assert len(provider.events) == 2
    clock.wind(seconds=61)
    [turn] = services.store.delivery_queue.turns({PAGER: [("source:default", 2)]}, clock.now, 500)
    deliver(services, turn.incident_id)
    assert {incident_id for _, incident_id in provider.notified()} == set(ids)


@pytest.mark.parametrize(
    ("outcome", "kinds"),
    [
        (TRY_AGAIN, ["firing"]),
        (MISCONFIGURED, ["firing"]),
        (UNCERTAIN, ["firing", "resolved"]),
    ],
)
def test_resolved_after_a_failed_attempt_sends_a_resolve_event_only_if_the_page_may_be_out(
    services: Services,
    clock: Clock,
    provider: RecordingProvider,
    due: str,
    outcome: Outcome,
    kinds: list[str],
) -> None:
    provider.outcomes = [outcome]
    deliver(services, due)
    actions.resolve(services, due, "ops")
    clock.wind(minutes=10)
    deliver(services, due)
    assert [kind for kind, _ in provider.notified()] == kinds


def test_the_resolve_event_is_retried_like_the_page(
    services: Services, clock: Clock, provider: RecordingProvider, due: str
) -> None:
    deliver(services, due)
    actions.resolve(services, due, "ops")
    provider.outcomes = [TRY_AGAIN, MISCONFIGURED]
    for _ in range(3):
        deliver(services, due)
        clock.wind(minutes=5)
    assert [kind for kind, _ in provider.notified()] == ["firing", "resolved", "resolved", "resolved"]
    incident = read(services, due)
    assert (incident.state, list(incident.steps())) == (State.RESOLVED, [])


def test_a_message_without_a_record_pages(services: Services, provider: RecordingProvider) -> None:
    deliver(services, "gone", [INFRA], "Disk full")
    assert provider.notified() == [("firing", "gone")]
    incident = read(services, "gone")
    assert (incident.title, incident.alert_source, incident.state) == ("Disk full", "infra", State.ESCALATED)


def test_two_workers_at_once_without_a_record_send_one_event(
    services: Services, clock: Clock, provider: RecordingProvider
) -> None:
    def the_other_is_faster() -> datetime:
        if not provider.events:
            deliver(services, "gone")
            actions.acknowledge(services, "gone", "ops")
        return clock()

    # It looked for the record before the other had made it anew.
    deliver(dataclasses.replace(services, clock=the_other_is_faster), "gone")
    assert provider.notified() == [("firing", "gone")]
    assert read(services, "gone").state is State.ACKNOWLEDGED


def test_a_record_that_is_gone_is_made_anew_for_the_alert_source_that_was_to_be_paged(
    services: Services, clock: Clock, provider: RecordingProvider, redis_url: str
) -> None:
    due = received(services, wait_minutes=0, alert_source="infra")
    redis.Redis.from_url(redis_url).delete(f"versus:incident:{due}")
    provider.outcomes = [TRY_AGAIN]
    # A message without pagers knows only the ID; the due list knows the pager.
    deliver(services, due)
    clock.wind(minutes=1)
    assert [
        entry.incident_id for entry in services.store.delivery_queue.turns({INFRA: []}, clock.now, 500)
    ] == [due]
    deliver(services, due, [INFRA])
    assert services.store.delivery_queue.turns({INFRA: []}, clock.now, 500) == []
    incident = read(services, due)
    assert (incident.state, list(incident.pagers)) == (State.ESCALATED, [INFRA])
    assert {event.alert_source for event in provider.events} == {"infra"}


def test_an_alert_source_that_only_a_message_knows_is_paged(
    services: Services, clock: Clock, provider: RecordingProvider
) -> None:
    # The record is of an old backup, or was made anew for another message.
    due = received(services, wait_minutes=0)
    deliver(services, due, [INFRA])
    deliver(services, due, [PAGER])
    incident = read(services, due)
    assert (incident.state, list(incident.pagers)) == (State.ESCALATED, [PAGER, INFRA])
    assert [event.alert_source for event in provider.events] == ["infra", "default"]
    assert services.store.delivery_queue.pending() == 0


@pytest.mark.parametrize("severity", SEVERITIES)
def test_one_that_can_not_be_read_is_paged_whatever_its_severity_was(
    services: Services, provider: RecordingProvider, redis_url: str, severity: Severity
) -> None:
    alert = Alert(title="Disk full", source="generic", severity=severity)
    [one] = receive(services, [ReceivedAlert(alert, "{}")], Options(wait_minutes=0))
    assert one.incident is not None
    damage(redis.Redis.from_url(redis_url), "no JSON", one.incident.id)
    deliver(services, one.incident.id, [PAGER])
    deliver(services, one.incident.id, [PAGER])
    assert provider.notified() == [("firing", one.incident.id)]


@pytest.mark.parametrize("end", [actions.resolve, actions.acknowledge])
def test_an_alert_source_that_only_the_queue_knows_leaves_nothing_behind_once_it_is_over(
    services: Services,
    clock: Clock,
    provider: RecordingProvider,
    redis_url: str,
    end: Callable[[Services, str, str], object],
) -> None:
    due = received(services, wait_minutes=0)
    client = redis.Redis.from_url(redis_url)
    for key in (DUE, NEXT_CHECK, FAILING, QUEUE + INFRA):
        client.zadd(key, {member_of(due, INFRA): 0})
    client.sadd(PAGERS, INFRA)
    end(services, due, "Ann")
    delivery_queue = services.store.delivery_queue
    assert [entry.incident_id for entry in delivery_queue.turns({INFRA: []}, clock.now, 500)] == [due]
    deliver(services, due, [INFRA])
    assert provider.events == []
    assert delivery_queue.turns({INFRA: []}, clock.now, 500) == []
    assert INFRA not in delivery_queue.pagers(clock.now)
    assert delivery_queue.oldest_due() is None


def test_a_record_that_is_lost_while_it_is_sent_is_written_again(
    services: Services, provider: RecordingProvider, due: str, redis_url: str
) -> None:
    provider.outcomes = [TRY_AGAIN]
    provider.meanwhile = lambda event: redis.Redis.from_url(redis_url).flushall()
    deliver(services, due)
    incident = read(services, due)
    assert (incident.title, event_of(services, due)) == ("Disk full", "firing")


def test_the_event_links_to_the_page_of_the_incident(
    services: Services, provider: RecordingProvider, due: str
) -> None:
    deliver(services, due)
    url = provider.events[0].page_url
    assert url is not None
    assert url.startswith(f"{services.config.public_base}/api/ack/{due}?exp=")
