"""A page that a provider took is followed: asked on time, once, by any worker, and as a sample in a storm."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app import actions
from app.bootstrap import Services
from app.delivery.pages import deliver
from app.delivery.traces import trace
from app.domain.delivery import Destination, Outcome
from app.domain.trace import Trace
from app.ops.health import heartbeat_due, read_snapshot, readiness
from app.store.traces import AGAIN_SECONDS, MOST_PER_MINUTE
from tests.delivery.test_pages import read, received
from tests.fakes import INFRA, PAGER, Clock, RecordingProvider

TAKEN = Outcome("delivered", "202", traceable=True)
NO_ALERT = Trace("no_alert", "incident.io has no such alert")


@pytest.fixture
def paged(services: Services, provider: RecordingProvider) -> str:
    """The ID of an incident that a provider took now, and that can be asked of."""
    provider.outcomes = [TAKEN]
    incident_id = received(services, wait_minutes=0)
    deliver(services, incident_id)
    return incident_id


def handed_out(services: Services, most: int = 10) -> list[tuple[str, Destination]]:
    return services.store.traces.next(services.clock(), most)


def test_each_check_is_handed_out_on_time_and_again_if_its_worker_died(
    services: Services, clock: Clock, provider: RecordingProvider, paged: str
) -> None:
    clock.wind(seconds=4.9)
    assert handed_out(services) == []
    clock.wind(seconds=0.2)
    assert handed_out(services) == [(paged, PAGER)]
    # That worker died.
    assert handed_out(services) == []
    clock.wind(seconds=AGAIN_SECONDS + 1)
    assert handed_out(services) == [(paged, PAGER)]
    provider.traces = [Trace("notified", "incident.io notified Ada")]
    trace(services, paged, PAGER)
    assert provider.traced == [(paged, "default")]
    assert read(services, paged).timeline[-1].event == "confirmed"
    clock.wind(minutes=5)
    assert handed_out(services) == []


def test_of_two_workers_that_ask_one_records_the_answer(
    services: Services, clock: Clock, provider: RecordingProvider, paged: str
) -> None:
    clock.wind(seconds=45)
    provider.traces = [NO_ALERT, NO_ALERT]
    trace(services, paged, PAGER)
    trace(services, paged, PAGER)
    assert [entry.event for entry in read(services, paged).timeline].count("late") == 1
    assert len(provider.traced) == 1


def test_nobody_is_asked_of_what_was_acknowledged(
    services: Services, clock: Clock, provider: RecordingProvider, paged: str
) -> None:
    actions.acknowledge(services, paged, "Ada")
    clock.wind(seconds=45)
    assert handed_out(services) == []
    trace(services, paged, PAGER)
    assert provider.traced == []


def test_a_check_that_nobody_makes_is_no_reason_for_alarm(
    services: Services, clock: Clock, paged: str
) -> None:
    clock.wind(minutes=10)
    services.store.delivery_queue.worker_lives("one", clock())
    assert set(readiness(services).values()) == {"ok"}


def test_a_page_that_got_lost_is_overdue_until_somebody_looks_after_it(
    services: Services, clock: Clock, provider: RecordingProvider, paged: str
) -> None:
    services.store.delivery_queue.worker_lives("one", clock())
    clock.wind(seconds=45)
    provider.traces = [NO_ALERT]
    assert readiness(services)["overdue"] == "ok"
    trace(services, paged, PAGER)
    services.store.delivery_queue.worker_lives("one", clock())
    said = f"an incident is overdue by 45 s: {PAGER} took the page of {paged} and has no such alert"
    assert readiness(services) == {"redis": "ok", "workers": "ok", "overdue": said}
    assert not heartbeat_due(services)
    snapshot = read_snapshot(services)
    assert (snapshot.overdue, snapshot.pending) == (1, 0)
    actions.acknowledge(services, paged, "Ada")
    assert readiness(services)["overdue"] == "ok"


def test_a_page_that_got_lost_and_that_the_fallback_has_is_not_overdue(
    services: Services, clock: Clock, provider: RecordingProvider
) -> None:
    oncall = services.config.oncall.model_copy(update={"fallback": (INFRA,)})
    services = replace(services, config=services.config.model_copy(update={"oncall": oncall}))
    services.store.delivery_queue.worker_lives("one", clock())
    provider.outcomes = [TAKEN, replace(TAKEN, traceable=False)]
    incident_id = received(services, wait_minutes=0)
    deliver(services, incident_id)
    clock.wind(seconds=45)
    provider.traces = [NO_ALERT]
    trace(services, incident_id, PAGER)
    assert PAGER in readiness(services)["overdue"]
    deliver(services, incident_id, [INFRA])
    assert read(services, incident_id).state == "escalated"
    assert readiness(services)["overdue"] == "ok"


def test_a_page_that_got_lost_and_is_sent_again_is_not_overdue(
    services: Services, clock: Clock, provider: RecordingProvider, paged: str
) -> None:
    clock.wind(seconds=45)
    provider.traces = [NO_ALERT]
    trace(services, paged, PAGER)
    actions.escalate_now(services, paged, "Ada")
    provider.outcomes = [TAKEN]
    deliver(services, paged)
    assert readiness(services)["overdue"] == "ok"


def test_without_a_key_nothing_is_followed(
    services: Services, clock: Clock, provider: RecordingProvider
) -> None:
    provider.outcomes = [replace(TAKEN, traceable=False)]
    deliver(services, received(services, wait_minutes=0))
    clock.wind(minutes=1)
    assert handed_out(services) == []


def test_in_a_storm_a_sample_is_followed(
    services: Services, clock: Clock, provider: RecordingProvider
) -> None:
    count = MOST_PER_MINUTE + 5
    provider.outcomes = [TAKEN] * count
    for _ in range(count):
        deliver(services, received(services, wait_minutes=0))
    clock.wind(seconds=50)
    assert len(handed_out(services, count)) == MOST_PER_MINUTE


def test_an_acknowledgement_that_fails_is_no_reason_for_alarm(
    services: Services, clock: Clock, provider: RecordingProvider, paged: str
) -> None:
    actions.acknowledge(services, paged, "Ada")
    for _ in range(6):
        provider.outcomes = [Outcome("try_again", "503", "server_error")]
        deliver(services, paged)
        clock.wind(minutes=2)
    services.store.delivery_queue.worker_lives("one", clock())
    assert provider.notified()[-1] == ("acknowledged", paged)
    assert services.store.delivery_queue.failed_in_a_row() == 0
    deliver(services, paged)
    assert set(readiness(services).values()) == {"ok"}
