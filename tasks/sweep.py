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

from app import page, watch
from app.agreement import fingerprint
from app.delivery import Destination
from app.gateway import Gateway
from app.health import heartbeat_due
from app.notify import notify
from app.refused import resolve_over
from app.store import LOOK_AGAIN, Refused, Unavailable
from app.telemetry import log, take_dropped
from tasks.held import Held
from tasks.read_only import ReadOnly
from tasks.slots import Slots

TICK = 1.0
# While a provider's limit is observed: it may be one of a second.
SHORT_TICK = 0.1
# So often a worker publishes what its settings are.
FINGERPRINT_TICKS = 10
# Of each minute, for what is old; the rest comes in the next.
FORGETS_SECONDS = 10.0
BATCH = 500
# Of one alert source at a time: what is handed out far behind the most urgent is only refused.
TURNS = 200

# Celery's consumer may hang, or a crowd of one alert source lie before an incident of another. So each alert
# source has this many slots of the sweeper's own, for the most urgent of what is late.
PAGE_SLOTS = 2
MOST_PAGE_SLOTS = 32

# A channel that hangs may keep so many threads of a worker, and all channels together so many.
CHANNEL_SLOTS = 3
MOST_CHANNEL_SLOTS = 20

# More than this many taken since the last tick: workers are busy. What is late only waits in their queue, and
# to enqueue it again would make that longer.
BUSY = 50


class Sweep:
    """Finds what is due and has no worker: pages that no message led to, and all notifications.

    `pages` and `notifications`: where it delivers them; without, in threads of its own.
    """

    def __init__(
        self, gateway: Gateway, *, pages: Slots | None = None, notifications: Slots | None = None
    ) -> None:
        self._gateway = gateway
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._pages = pages or Slots("pages", each=PAGE_SLOTS, most=MOST_PAGE_SLOTS)
        self._notifications = notifications or Slots(
            "notifications", each=CHANNEL_SLOTS, most=MOST_CHANNEL_SLOTS
        )
        self._read_only = ReadOnly(gateway, self._name)
        self._background = ThreadPoolExecutor(2, thread_name_prefix="background")
        self._next_tick = float("-inf")
        self._ticks = 0
        self._taken = sys.maxsize
        self._more: set[str] = set()
        """Channels for which more may be due than slots were free."""

    def run(self) -> None:
        """Wait until a channel is to be notified, or a second; raises `Unavailable`.

        Where Redis only refuses writes, what is due is paged nevertheless.
        """
        try:
            self._run()
        except Refused:
            self._read_only.page()
            raise

    def _run(self) -> None:
        wait = self._next_tick - time.monotonic()
        if wait > 0:
            # Less than a few milliseconds would be none, which Redis takes for ever.
            self._gateway.store.notifications.wait(max(wait, 0.01))
        self.notify()
        if time.monotonic() >= self._next_tick:
            began = time.monotonic()
            self._next_tick = began + TICK
            if self.tick():
                self._next_tick = began + SHORT_TICK

    def tick(self) -> bool:
        """One look at all pages; whether the next must come soon. Raises `Unavailable`."""
        now = self._gateway.clock()
        agenda = self._gateway.store.agenda
        agenda.worker_lives(self._name, now)
        self._gateway.store.count_dropped(take_dropped())
        if self._ticks % FINGERPRINT_TICKS == 0:
            self._gateway.store.fingerprints.publish(self._name, fingerprint(self._gateway.config))
        self._ticks += 1
        # Before anything is handed out: else what was sent without a claim would be sent again.
        self._gateway.backlog.write()
        taken, before = agenda.taken(), self._taken
        self._taken = taken
        busy = taken - before > BUSY
        half_a_tick = time.monotonic() + TICK / 2
        pagers = agenda.pagers(now)
        self._hand_out(pagers, now, busy=busy)
        while self._enqueue(now, busy=busy) == BATCH and time.monotonic() < half_a_tick:
            pass
        if heartbeat_due(self._gateway):
            # Not in this thread: the answer may take ten seconds.
            self._background.submit(send_heartbeat, self._gateway)
        if self._gateway.store.retention.turn(now):
            self._background.submit(forget_old, self._gateway)
        resolve_over(self._gateway)
        self._read_only.end()
        return agenda.observes_limits(pagers)

    def notify(self) -> None:
        """Hand out what channels are to be notified of, as far as slots are free. Raises `Unavailable`."""
        store = self._gateway.store.notifications
        for channel in store.channels():
            # All addresses of a channel are one service.
            name, free = channel.name, 0
            while self._notifications.acquire(name):
                free += 1
            due: list[str] = []
            try:
                due = store.next(channel, self._gateway.clock(), free) if free else []
            finally:
                # Also when Redis is away: a slot that is not given back is lost for good.
                for _ in range(free - len(due)):
                    self._notifications.release(name)
            (self._more.add if len(due) == free else self._more.discard)(name)
            for incident_id in due:
                work = partial(notify, self._gateway, channel, incident_id)
                self._notifications.run(name, work, then=partial(self._wake, name))

    def _wake(self, name: str) -> None:
        if name in self._more:
            with suppress(Unavailable):
                self._gateway.store.notifications.wake()

    def _hand_out(self, pagers: Sequence[Destination], now: datetime, *, busy: bool) -> None:
        limits = {pager: self._gateway.limits(pager) for pager in pagers}
        for look in self._gateway.store.agenda.turns(limits, now, TURNS, _again(busy=busy)):
            if not self._deliver_here(look.pager, look.incident_id) and (look.deferred or not busy):
                self._gateway.wakeup.enqueue(look.incident_id, look.due_at - now.timestamp(), [look.pager])

    def _enqueue(self, now: datetime, *, busy: bool) -> int:
        looks = self._gateway.store.agenda.looks(now, BATCH, _again(busy=busy))
        for look in looks:
            wait = look.due_at - now.timestamp()
            if wait >= 0 or not busy:
                self._gateway.wakeup.enqueue(look.incident_id, wait, [look.pager])
        return len(looks)

    def _deliver_here(self, pager: Destination, incident_id: str) -> bool:
        if not self._pages.acquire(pager):
            return False
        log.info("taken_over", incident=incident_id, pager=pager)
        work = partial(page.deliver, self._gateway, incident_id, [pager])
        self._pages.run(pager, work, then=lambda: None)
        return True


def _again(*, busy: bool) -> float:
    """Seconds until the next look at the latest: soon, where the last one led to nothing."""
    return 2 * TICK if busy else LOOK_AGAIN


def send_heartbeat(gateway: Gateway) -> None:
    """Tell the provider's dead man's switch that all is well, if there is one."""
    outcome = gateway.providers["incident_io"].ping(deadline=time.monotonic() + page.ATTEMPT_SECONDS)
    if outcome is None:
        return
    if outcome.verdict != "delivered":
        log.error("heartbeat_failed", reason=outcome.reason, detail=outcome.detail)
        return
    try:
        gateway.store.agenda.heartbeat_accepted(gateway.clock())
    except Unavailable as error:
        log.warning("heartbeat_not_noted", reason=str(error))


def forget_old(gateway: Gateway) -> None:
    """Remove resolved incidents that are older, or more, than are kept; for some seconds at a time."""
    kept = gateway.config.retention
    keep, until = timedelta(days=kept.days), time.monotonic() + FORGETS_SECONDS
    try:
        while (
            gateway.store.retention.forget(gateway.clock(), keep, kept.incidents) and time.monotonic() < until
        ):
            pass
    except Exception:
        log.exception("retention_failed")


class Periodic(threading.Thread):
    """Runs its work again and again until it is stopped, whatever the work meets: no error may end it.

    The work itself waits when there is nothing to do; after an error there is a pause.
    """

    def __init__(self, work: Callable[[], None], pause: float = TICK) -> None:
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
            except Unavailable as error:
                log.warning("sweep_waits", reason=str(error))
            except Exception:
                log.exception("sweep_failed")
            self._stopped.wait(self._pause)

    def stop(self) -> None:
        """End after the work under way."""
        self._stopped.set()


def step(gateway: Gateway, held: Held) -> type[bootsteps.StartStopStep]:
    """The part of a Celery worker that owns its sweeper.

    It lives outside the consumer, whose connection to the broker may come and go.
    """

    class SweepStep(bootsteps.StartStopStep):
        def __init__(self, worker: Any, **kwargs: Any) -> None:
            super().__init__(worker, **kwargs)
            self._sweeper = Periodic(Sweep(gateway).run)

        def start(self, worker: Any) -> None:
            self._sweeper.start()
            watch.start(gateway, partial(held.publish, gateway.wakeup))

        def stop(self, worker: Any) -> None:
            self._sweeper.stop()

    return SweepStep
