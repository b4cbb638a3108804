"""Each worker's sweeper: it hands out what is due and has no worker, and says that this worker lives."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from celery import bootsteps

from app.bootstrap import Services
from app.delivery import pages
from app.delivery.notifications import notify
from app.delivery.page_job import ATTEMPT_SECONDS
from app.delivery.traces import trace
from app.domain.delivery import Destination
from app.ingest.refused import resolve_over
from app.ops import watch
from app.ops.agreement import fingerprint
from app.ops.health import heartbeat_due
from app.silences import settle
from app.store import CHECK_AGAIN_SECONDS, StoreRefusesWrites, StoreUnavailable
from app.telemetry import log, take_dropped
from tasks.held import Held
from tasks.read_only import ReadOnly
from tasks.slots import Slots

SWEEP_SECONDS = 1.0
# While a provider's limit is observed: it may be one of a second.
SHORT_TICK = 0.1
# So often a worker publishes what its settings are.
FINGERPRINT_TICKS = 10
# Of each minute, for what is old; the rest comes in the next.
FORGETS_SECONDS = 10.0
BATCH = 500
# Of one alert source at a time: what is handed out far behind the most urgent is only refused.
MOST_READY = 200

# Celery's consumer may hang, or many incidents of one alert source wait before one of another. So each alert
# source has this many slots of the sweeper's own, for the most urgent of what is late.
PAGE_SLOTS = 2
MOST_PAGE_SLOTS = 32

# A channel that hangs may keep so many threads of a worker, and all channels together so many.
CHANNEL_SLOTS = 3
MOST_CHANNEL_SLOTS = 20

# Of checks of what became of pages: as few as keep up with the sample that is followed.
TRACE_SLOTS = 4

# More than this many taken since the last sweep: workers are busy. What is late only waits in their queue,
# and to enqueue it again would make that longer.
BUSY = 50


class Sweeper:
    """Finds what is due and has no worker: pages that no message led to, and all notifications.

    `pages` and `notifications`: where it delivers them; without, in threads of its own.
    """

    def __init__(
        self, services: Services, *, pages: Slots | None = None, notifications: Slots | None = None
    ) -> None:
        self._services = services
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._pages = pages or Slots("pages", each=PAGE_SLOTS, most=MOST_PAGE_SLOTS)
        self._notifications = notifications or Slots(
            "notifications", each=CHANNEL_SLOTS, most=MOST_CHANNEL_SLOTS
        )
        self._traces = Slots("traces", each=TRACE_SLOTS, most=TRACE_SLOTS)
        self._read_only = ReadOnly(services, self._name)
        self._background = ThreadPoolExecutor(2, thread_name_prefix="background")
        self._next_check = float("-inf")
        self._ticks = 0
        self._acquired = sys.maxsize
        self._more: set[str] = set()
        """Channels for which more may be due than slots were free."""

    def run(self) -> None:
        """Wait until a channel is to be notified, or a second; raises `StoreUnavailable`.

        Where Redis only refuses writes, what is due is paged nevertheless.
        """
        try:
            self._run()
        except StoreRefusesWrites:
            self._read_only.page()
            raise

    def _run(self) -> None:
        self._services.store.schema.require()
        wait = self._next_check - time.monotonic()
        if wait > 0:
            # Less than a few milliseconds would be none, which Redis takes for ever.
            self._services.store.notifications.wait(max(wait, 0.01))
        self.notify()
        if time.monotonic() >= self._next_check:
            began = time.monotonic()
            self._next_check = began + SWEEP_SECONDS
            if self.check_pages():
                self._next_check = began + SHORT_TICK

    def check_pages(self) -> bool:
        """One check of all pages; whether the next must come soon. Raises `StoreUnavailable`."""
        now = self._services.clock()
        delivery_queue = self._services.store.delivery_queue
        delivery_queue.worker_lives(self._name, now)
        self._services.store.count_lost(log_lines=take_dropped())
        if self._ticks % FINGERPRINT_TICKS == 0:
            self._services.store.fingerprints.publish(self._name, fingerprint(self._services.config))
        self._ticks += 1
        # Before anything is handed out: else what was sent without a claim would be sent again.
        self._services.backlog.write()
        acquired, before = delivery_queue.acquired(), self._acquired
        self._acquired = acquired
        busy = acquired - before > BUSY
        half_an_interval = time.monotonic() + SWEEP_SECONDS / 2
        pagers = delivery_queue.pagers(now)
        self._hand_out(pagers, now, busy=busy)
        while self._enqueue(now, busy=busy) == BATCH and time.monotonic() < half_an_interval:
            pass
        if heartbeat_due(self._services):
            # Not in this thread: the answer may take ten seconds.
            self._background.submit(send_heartbeat, self._services)
        if self._services.store.retention.acquire_slot(now):
            self._background.submit(forget_old, self._services)
        self._trace(now)
        resolve_over(self._services)
        if self._services.store.silences.unsettled(now):
            self._background.submit(settle, self._services)
        self._read_only.end()
        return delivery_queue.observes_limits(pagers)

    def notify(self) -> None:
        """Hand out what channels are to be notified of, as far as slots are free.

        Raises `StoreUnavailable`.
        """
        store = self._services.store.notifications
        for channel in store.channels():
            # All addresses of a channel are one service.
            name, free = channel.name, 0
            while self._notifications.acquire(name):
                free += 1
            due: list[str] = []
            try:
                due = store.next(channel, self._services.clock(), free) if free else []
            finally:
                # Also when Redis is away: a slot that is not given back is lost for good.
                for _ in range(free - len(due)):
                    self._notifications.release(name)
            (self._more.add if len(due) == free else self._more.discard)(name)
            for incident_id in due:
                work = partial(notify, self._services, channel, incident_id)
                self._notifications.run(name, work, then=partial(self._wake, name))

    def _wake(self, name: str) -> None:
        if name in self._more:
            with suppress(StoreUnavailable):
                self._services.store.notifications.wake()

    def _trace(self, now: datetime) -> None:
        """Ask what became of pages, after all that is to be sent; nobody is asked without an account key."""
        services = self._services
        if services.config.oncall.incident_io.account_api_key is None:
            return
        for incident_id, pager in services.store.traces.next(now, TRACE_SLOTS):
            # One for which there is no slot is handed out again.
            if self._traces.acquire(trace):
                work = partial(trace, services, incident_id, pager)
                self._traces.run(trace, work, then=lambda: None)
        if services.store.traces.acquire_on_call(now):
            self._background.submit(ask_on_call, services)

    def _hand_out(self, pagers: Sequence[Destination], now: datetime, *, busy: bool) -> None:
        limits = {pager: self._services.limits(pager) for pager in pagers}
        for entry in self._services.store.delivery_queue.turns(limits, now, MOST_READY, _again(busy=busy)):
            if not self._deliver_here(entry.pager, entry.incident_id) and (entry.deferred or not busy):
                self._services.task_queue.enqueue(
                    entry.incident_id, entry.due_at - now.timestamp(), [entry.pager]
                )

    def _enqueue(self, now: datetime, *, busy: bool) -> int:
        entries = self._services.store.delivery_queue.next_checks(now, BATCH, _again(busy=busy))
        for entry in entries:
            wait = entry.due_at - now.timestamp()
            if wait >= 0 or not busy:
                self._services.task_queue.enqueue(entry.incident_id, wait, [entry.pager])
        return len(entries)

    def _deliver_here(self, pager: Destination, incident_id: str) -> bool:
        if not self._pages.acquire(pager):
            return False
        log.info("delivered_by_sweeper", incident=incident_id, pager=pager)
        work = partial(pages.deliver, self._services, incident_id, [pager])
        self._pages.run(pager, work, then=lambda: None)
        return True


def _again(*, busy: bool) -> float:
    """Seconds until the next check at the latest: soon, where the last one led to nothing."""
    return 2 * SWEEP_SECONDS if busy else CHECK_AGAIN_SECONDS


def send_heartbeat(services: Services) -> None:
    """Report to the provider's dead man's switch that all is well, if there is one."""
    outcome = services.providers["incident_io"].ping(deadline=time.monotonic() + ATTEMPT_SECONDS)
    if outcome is None:
        return
    if outcome.verdict != "delivered":
        log.error("heartbeat_failed", reason=outcome.reason, detail=outcome.detail)
        return
    try:
        services.store.delivery_queue.heartbeat_accepted(services.clock())
    except StoreUnavailable as error:
        log.warning("heartbeat_not_noted", reason=str(error))


def ask_on_call(services: Services) -> None:
    """Ask incident.io who is on call, and keep what it says for the dashboard."""
    people = services.providers["incident_io"].on_call(deadline=time.monotonic() + ATTEMPT_SECONDS)
    with suppress(StoreUnavailable):
        services.store.traces.save_on_call(people)


def forget_old(services: Services) -> None:
    """Remove resolved incidents that are older, or more, than are kept; for some seconds at a time."""
    kept = services.config.retention
    keep, until = timedelta(days=kept.days), time.monotonic() + FORGETS_SECONDS
    try:
        while (
            services.store.retention.forget(services.clock(), keep, kept.incidents)
            and time.monotonic() < until
        ):
            pass
    except Exception:
        log.exception("retention_failed")


class Periodic(threading.Thread):
    """Runs its work again and again until it is stopped, whatever the work meets: no error may end it.

    The work itself waits when there is nothing to do; after an error there is a pause.
    """

    def __init__(self, work: Callable[[], None], pause: float = SWEEP_SECONDS) -> None:
        super().__init__(name="sweeper", daemon=True)
        self._work = work
        self._pause = pause
        self._stopped = threading.Event()

    def run(self) -> None:
        # At once: pages may have been due while no worker lived.
        while not self._stopped.is_set():
            try:
                self._work()
                continue
            except StoreUnavailable as error:
                log.warning("sweep_waits", reason=str(error))
            except Exception:
                log.exception("sweep_failed")
            self._stopped.wait(self._pause)

    def stop(self) -> None:
        """End after the work under way."""
        self._stopped.set()


def step(services: Services, held: Held) -> type[bootsteps.StartStopStep]:
    """The part of a Celery worker that owns its sweeper.

    It lives outside the consumer, whose connection to the broker may come and go.
    """

    class SweepStep(bootsteps.StartStopStep):
        def __init__(self, worker: Any, **kwargs: Any) -> None:
            super().__init__(worker, **kwargs)
            self._sweeper = Periodic(Sweeper(services).run)

        def start(self, worker: Any) -> None:
            self._sweeper.start()
            watch.start(services, "worker", partial(held.publish, services.task_queue))

        def stop(self, worker: Any) -> None:
            self._sweeper.stop()

    return SweepStep
