"""The sweeper: what it enqueues and when, what it delivers itself, and that nothing ends it."""

from __future__ import annotations

import dataclasses
import io
import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import redis

from app import actions
from app.bootstrap import Services
from app.delivery.pages import deliver
from app.destinations.base import PagerEvent, RateLimit
from app.domain.alert import Alert, Severity
from app.domain.delivery import Destination
from app.domain.state import State
from app.ingest.service import Options, ReceivedAlert, receive
from app.ops.health import read_snapshot
from app.store import Search, StoreUnavailable
from app.store.delivery_queue import GRACE, HEARTBEAT
from app.store.retention import BATCH as AT_ONCE
from app.task_queue import MOST_AT_ONCE, TaskQueue
from tasks.slots import Slots
from tasks.sweep import BATCH, BUSY, PAGE_SLOTS, Periodic, Sweeper, forget_old
from tests.fakes import PAGER, Clock, RecordingProvider
from tests.stories.stack import wait_until


class RecordingTaskQueue(TaskQueue):
    """Remembers messages as (incident ID, seconds to wait) instead of publishing them."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, float]] = []
        self.pagers: list[Sequence[Destination]] = []

    def enqueue(
        self, incident_id: str, wait: float, pagers: Sequence[Destination] = (), title: str | None = None
    ) -> bool:
        self.messages.append((incident_id, wait))
        self.pagers.append(pagers)
        return True

    def enqueued(self) -> list[str]:
        """The incidents with a message since it was asked last."""
        messages, self.messages = self.messages, []
        return [incident_id for incident_id, _ in messages]


@pytest.fixture
def task_queue() -> RecordingTaskQueue:
    return RecordingTaskQueue()


@pytest.fixture
def quiet(services: Services, task_queue: RecordingTaskQueue) -> Services:
    """The services, with no worker that takes its messages."""
    return dataclasses.replace(services, task_queue=task_queue)


class NoSlots(Slots):
    """Leaves all the work to messages."""

    def __init__(self) -> None:
        super().__init__("none", each=1, most=1)

    def acquire(self, destination: Hashable) -> bool:
        return False


@pytest.fixture
def sweep(quiet: Services) -> Sweeper:
    return Sweeper(quiet, pages=NoSlots())


@pytest.fixture
def with_slots(quiet: Services) -> Sweeper:
    return Sweeper(quiet)


def received(
    services: Services,
    wait_minutes: float,
    *,
    alike: int = 1,
    alert_source: str | None = None,
    severity: Severity | None = None,
) -> list[str]:
    """The IDs of so many new incidents, sent in one request."""
    alert = Alert(title="Disk full", source="test", severity=severity)
    messages = [ReceivedAlert(alert, "{}")] * alike
    options = Options(wait_minutes=wait_minutes, alert_source=alert_source)
    incidents = [one.incident for one in receive(services, messages, options)]
    return [incident.id for incident in incidents if incident is not None]


def test_an_incident_with_a_message_is_left_to_it_until_it_is_late(
    quiet: Services, sweep: Sweeper, task_queue: RecordingTaskQueue, clock: Clock
) -> None:
    [incident_id] = received(quiet, 3)
    assert task_queue.enqueued() == [incident_id]
    clock.wind(seconds=180.4)
    sweep.check_pages()
    assert task_queue.enqueued() == []
    clock.wind(seconds=0.1)
    sweep.check_pages()
    assert task_queue.messages == [(incident_id, -0.5)]
    assert task_queue.pagers[-1] == [PAGER]


def test_looks_at_what_stays_late_grow_apart(
    quiet: Services, sweep: Sweeper, task_queue: RecordingTaskQueue, clock: Clock
) -> None:
    received(quiet, 0)
    task_queue.enqueued()
    at = []
    for second in range(1, 40):
        clock.wind(seconds=1)
        sweep.check_pages()
        if task_queue.enqueued():
            at.append(second)
    assert at == [1, 3, 6, 12, 22, 32]


def test_what_is_late_is_not_enqueued_again_while_workers_are_busy(
    quiet: Services, sweep: Sweeper, task_queue: RecordingTaskQueue, clock: Clock
) -> None:
    crowd = received(quiet, 0, alike=BUSY + 2)
    [late] = received(quiet, 0)
    clock.wind(seconds=0.1)
    sweep.check_pages()
    for incident_id in crowd[:-1]:
        deliver(quiet, incident_id)
    task_queue.enqueued()
    clock.wind(seconds=3)
    sweep.check_pages()
    assert task_queue.enqueued() == []
    # Nobody takes anything any more: a worker may have died with the messages.
    clock.wind(seconds=3)
    sweep.check_pages()
    assert sorted(task_queue.enqueued()) == sorted([crowd[-1], late])


@pytest.mark.parametrize(("wait_minutes", "alike"), [(120, 1), (3, MOST_AT_ONCE + 1)])
def test_what_got_no_message_is_enqueued_ten_seconds_ahead(
    quiet: Services,
    sweep: Sweeper,
    task_queue: RecordingTaskQueue,
    clock: Clock,
    wait_minutes: float,
    alike: int,
) -> None:
    ids = received(quiet, wait_minutes, alike=alike)
    clock.wind(seconds=wait_minutes * 60 - 10.1)
    sweep.check_pages()
    assert task_queue.enqueued() == []
    clock.wind(seconds=0.2)
    sweep.check_pages()
    assert sorted(incident_id for incident_id, _ in task_queue.messages) == sorted(ids)
    assert all(9.8 < wait < 10 for _, wait in task_queue.messages)
    clock.wind(seconds=1)
    task_queue.enqueued()
    sweep.check_pages()
    assert task_queue.enqueued() == []


def test_what_was_acknowledged_is_not_enqueued(
    quiet: Services, sweep: Sweeper, task_queue: RecordingTaskQueue, clock: Clock
) -> None:
    [incident_id] = received(quiet, 3)
    task_queue.enqueued()
    actions.acknowledge(quiet, incident_id, "somebody")
    clock.wind(hours=1)
    sweep.check_pages()
    assert task_queue.enqueued() == []


def test_more_than_a_batch_is_enqueued_in_one_tick(
    quiet: Services, sweep: Sweeper, task_queue: RecordingTaskQueue, clock: Clock
) -> None:
    ids = received(quiet, 3, alike=BATCH + 20)
    clock.wind(minutes=3)
    sweep.check_pages()
    assert sorted(task_queue.enqueued()) == sorted(ids)


def test_two_workers_share_what_is_late(
    quiet: Services, task_queue: RecordingTaskQueue, clock: Clock
) -> None:
    ids = received(quiet, 0, alike=MOST_AT_ONCE + 1)
    clock.wind(seconds=2)
    for sweep in (Sweeper(quiet, pages=NoSlots()), Sweeper(quiet, pages=NoSlots())):
        sweep.check_pages()
    assert sorted(task_queue.enqueued()) == sorted(ids)


def test_what_waits_for_the_budget_is_enqueued_when_its_turn_comes(
    quiet: Services, sweep: Sweeper, task_queue: RecordingTaskQueue, clock: Clock, provider: RecordingProvider
) -> None:
    provider.limits = [RateLimit("source:default", 2)]
    ids = received(quiet, 0, alike=4)
    clock.wind(seconds=1)
    for incident_id in ids:
        deliver(quiet, incident_id)
    assert [incident_id for _, incident_id in provider.notified()] == ids[:2]
    task_queue.enqueued()
    clock.wind(seconds=60)
    sweep.check_pages()
    assert task_queue.enqueued() == []
    clock.wind(seconds=2)
    sweep.check_pages()
    assert sorted(task_queue.enqueued()) == sorted(ids[2:])


def test_a_tick_says_that_this_worker_lives(quiet: Services, sweep: Sweeper, clock: Clock) -> None:
    second = clock().resolution
    assert quiet.store.delivery_queue.workers(clock(), second) == []
    sweep.check_pages()
    assert len(quiet.store.delivery_queue.workers(clock(), second)) == 1


# -- its own slots ------------------------------------------------------------------------------------------


def test_what_is_late_is_delivered_without_a_message(
    quiet: Services,
    with_slots: Sweeper,
    task_queue: RecordingTaskQueue,
    clock: Clock,
    provider: RecordingProvider,
) -> None:
    [incident_id] = received(quiet, 0)
    task_queue.enqueued()
    sent = threading.Event()
    provider.meanwhile = lambda event: sent.set()
    clock.now += GRACE
    with_slots.check_pages()
    assert sent.wait(60)
    wait_until(lambda: quiet.store.incidents.require(incident_id).state is State.ESCALATED, "it is paged")
    assert provider.notified() == [("firing", incident_id)]
    assert task_queue.enqueued() == []


def test_slots_that_are_full_leave_the_rest_to_messages_and_other_pagers_to_other_slots(
    quiet: Services,
    with_slots: Sweeper,
    task_queue: RecordingTaskQueue,
    clock: Clock,
    provider: RecordingProvider,
) -> None:
    busy, go_on = threading.Barrier(PAGE_SLOTS + 2), threading.Event()

    def hang(event: PagerEvent) -> None:
        busy.wait(60)
        go_on.wait(60)

    provider.meanwhile = hang
    ids = received(quiet, 0, alike=PAGE_SLOTS + 3)
    [other] = received(quiet, 0, alert_source="infra")
    task_queue.enqueued()
    clock.wind(seconds=1)
    try:
        # It comes back at once, though every slot hangs.
        with_slots.check_pages()
        busy.wait(60)
        in_slots = {incident_id for _, incident_id in provider.notified()}
        assert len(in_slots) == PAGE_SLOTS + 1
        assert other in in_slots
        assert sorted(task_queue.enqueued()) == sorted(set(ids) - in_slots)
    finally:
        go_on.set()
    wait_until(
        lambda: all(quiet.store.incidents.require(i).state is State.ESCALATED for i in in_slots),
        "all are paged",
    )


def test_slots_are_free_again_after_an_error(
    quiet: Services, with_slots: Sweeper, clock: Clock, provider: RecordingProvider
) -> None:
    failed = threading.Semaphore(0)

    def fail(event: PagerEvent) -> None:
        failed.release()
        raise RuntimeError("a bug")

    provider.meanwhile = fail
    received(quiet, 0, alike=PAGE_SLOTS)
    clock.wind(seconds=1)
    with_slots.check_pages()
    assert all(failed.acquire(timeout=60) for _ in range(PAGE_SLOTS))
    provider.meanwhile = lambda event: None
    wait_until(lambda: _tick_later(with_slots, clock) and len(_escalated(quiet)) == PAGE_SLOTS, "all leave")


def test_an_error_in_a_slot_is_logged(
    quiet: Services, with_slots: Sweeper, clock: Clock, provider: RecordingProvider, log: io.StringIO
) -> None:
    def fail(event: PagerEvent) -> None:
        raise RuntimeError("a bug")

    provider.meanwhile = fail
    received(quiet, 0)
    clock.wind(seconds=1)
    with_slots.check_pages()
    wait_until(lambda: "delivery_failed" in log.getvalue(), "an error that nobody sees is never fixed")
    assert "RuntimeError" in log.getvalue()
    assert "a bug" in log.getvalue()


def _tick_later(sweep: Sweeper, clock: Clock) -> bool:
    clock.wind(seconds=20)
    sweep.check_pages()
    return True


def _escalated(services: Services) -> list[str]:
    page = services.store.incidents.page(Search(states=frozenset({State.ESCALATED})), 100, None)
    return [incident.id for incident in page.incidents]


class InThisThread(ThreadPoolExecutor):
    """Does what it is given at once."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(work(*args, **options))
        return done


def test_a_tick_sends_the_heartbeat_while_all_is_well(
    quiet: Services,
    clock: Clock,
    provider: RecordingProvider,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What is done in the background is done when the tick is over.
    monkeypatch.setattr("tasks.sweep.ThreadPoolExecutor", InThisThread)
    sweep = Sweeper(quiet, pages=NoSlots())
    sweep.check_pages()
    assert read_snapshot(quiet).last_heartbeat == clock().timestamp()
    received(quiet, 0)
    clock.wind(seconds=31)
    redis.Redis.from_url(redis_url).delete(HEARTBEAT)
    sweep.check_pages()
    assert provider.pings == 1


# -- what is old ------------------------------------------------------------------------------------------


def old(services: Services, clock: Clock, count: int) -> Callable[[], int]:
    """So many incidents that were resolved long ago; tells how many of them are left."""
    clock.now -= timedelta(days=60)
    ids = received(services, 5, alike=count)
    for incident_id in ids:
        actions.resolve(services, incident_id, "test")
    clock.now += timedelta(days=60)
    return lambda: sum(services.store.incidents.get(i) is not None for i in ids)


def test_a_tick_removes_all_that_is_old(quiet: Services, sweep: Sweeper, clock: Clock) -> None:
    left = old(quiet, clock, 2 * AT_ONCE + 1)
    sweep.check_pages()
    wait_until(lambda: left() == 0, "what is old is gone")


def test_what_takes_too_long_to_remove_comes_in_the_next_minute(
    quiet: Services, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = old(quiet, clock, 2 * AT_ONCE + 1)
    monkeypatch.setattr("tasks.sweep.FORGETS_SECONDS", 0.0)
    forget_old(quiet)
    assert left() == AT_ONCE + 1
    forget_old(quiet)
    assert left() == 1


def test_an_error_while_old_ones_are_removed_is_logged(
    quiet: Services, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    def fail(*_: object) -> bool:
        raise StoreUnavailable("Redis can't be reached.")

    monkeypatch.setattr(quiet.store.retention, "forget", fail)
    forget_old(quiet)
    assert "retention_failed" in log.getvalue()


# -- the thread that sweeps -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "logged"),
    [
        (StoreUnavailable("Redis can't be reached."), "event=sweep_waits"),
        (KeyError("a bug"), "KeyError: 'a bug'"),
    ],
)
def test_no_error_ends_the_sweeper(error: Exception, logged: str, log: io.StringIO) -> None:
    ticked_again = threading.Event()
    errors = [error]

    def check_pages() -> None:
        if errors:
            raise errors.pop()
        ticked_again.set()

    sweeper = Periodic(check_pages)
    sweeper.start()
    try:
        assert ticked_again.wait(60)
    finally:
        sweeper.stop()
    sweeper.join(60)
    assert not sweeper.is_alive()
    assert logged in log.getvalue()


def test_a_tick_without_redis_says_so(quiet: Services, clock: Clock, redis_url: str) -> None:
    with quiet.store.deadline(0.0):
        client = redis.Redis.from_url(redis_url)
        client.config_set("requirepass", "changed")
        try:
            client.client_kill_filter(skipme=True, _type="normal")
            with pytest.raises(StoreUnavailable):
                Sweeper(quiet).check_pages()
        finally:
            client.config_set("requirepass", "")


# -- several alert sources with one API key ---------------------------------------------------------------


class SharedKey(RecordingProvider):
    """Every alert source may send as much as all of them together."""

    def rate_limits(self, alert_source: str) -> list[RateLimit]:
        return [RateLimit(f"source:{alert_source}", 60), RateLimit("key", 60)]


class AtOnce(Slots):
    """Delivers in the thread of the sweep, whatever is handed out."""

    def __init__(self) -> None:
        super().__init__("at once", each=1, most=1)

    def run(self, destination: Hashable, work: Callable[[], None], then: Callable[[], object]) -> None:
        work()
        self.release(destination)
        then()


def test_in_a_crowd_of_one_alert_source_the_most_urgent_of_another_leaves_first(
    quiet: Services, clock: Clock
) -> None:
    provider = SharedKey()
    services = dataclasses.replace(quiet, providers={provider.name: provider})
    sweep = Sweeper(services, pages=AtOnce())
    received(services, 0, alike=300, severity="info")
    for _ in range(30):
        clock.wind(seconds=1)
        sweep.check_pages()
    [urgent] = received(services, 0, alert_source="infra", severity="critical")
    sent = len(provider.events)
    for _ in range(65):
        clock.wind(seconds=1)
        sweep.check_pages()
    assert provider.notified()[sent] == ("firing", urgent)
