"""Each worker's second hand: once a second it looks for what is late, and says that this worker lives."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from celery import bootsteps

from app.deliver import ATTEMPT_SECONDS, deliver
from app.gateway import Gateway
from app.health import heartbeat_due
from app.store import LOOK_AGAIN, Unavailable
from app.telemetry import log
from tasks.tell import Ear

TICK = 1.0
# Of each minute, for what is old; the rest comes in the next.
FORGETS_SECONDS = 10.0
BATCH = 500
# Of one alert source at a time: what is handed out far behind the most urgent is only refused.
TURNS = 200

# Celery's consumer may hang, or a crowd of one alert source lie before an incident of another. So each alert
# source has this many hands of the sweep's own, for the most urgent of what is late.
OWN_HANDS = 2
MOST_HANDS = 32

# More than this many taken since the last tick: workers have their hands full. What is late only waits in
# their queue, and to announce it again would make that longer.
BUSY = 50


class Sweep:
    """Announces what is late, what is soon due without a message, and what waited for the budget."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._hands = ThreadPoolExecutor(MOST_HANDS, thread_name_prefix="sweep")
        self._free: defaultdict[str, threading.Semaphore] = defaultdict(
            lambda: threading.BoundedSemaphore(OWN_HANDS)
        )
        self._taken = sys.maxsize

    def tick(self) -> None:
        """One look at everything. Raises `Unavailable`."""
        now = self._gateway.clock()
        agenda = self._gateway.store.agenda
        agenda.worker_lives(self._name, now)
        taken, before = agenda.taken(), self._taken
        self._taken = taken
        busy = taken - before > BUSY
        half_a_tick = time.monotonic() + TICK / 2
        for source in agenda.sources(now):
            self._announce_turns(source, now, busy=busy)
        while self._announce(now, busy=busy) == BATCH and time.monotonic() < half_a_tick:
            pass
        if heartbeat_due(self._gateway):
            # Not in this thread: the answer may take ten seconds.
            self._hands.submit(send_heartbeat, self._gateway)
        if self._gateway.store.retention.turn():
            self._hands.submit(forget_old, self._gateway)

    def _announce_turns(self, source: str, now: datetime, *, busy: bool) -> None:
        limits, again = self._gateway.limits(source), _again(busy=busy)
        for look in self._gateway.store.agenda.turn(source, limits, now, TURNS, again):
            if not self._deliver_here(source, look.incident_id) and (look.parked or not busy):
                self._gateway.wakeup.knock(look.incident_id, look.due_at - now.timestamp(), source)

    def _announce(self, now: datetime, *, busy: bool) -> int:
        looks = self._gateway.store.agenda.looks(now, BATCH, _again(busy=busy))
        for look in looks:
            wait = look.due_at - now.timestamp()
            if wait >= 0 or not busy:
                self._gateway.wakeup.knock(look.incident_id, wait)
        return len(looks)

    def _deliver_here(self, source: str, incident_id: str) -> bool:
        free = self._free[source]
        if not free.acquire(blocking=False):
            return False

        log.info("taken_over", incident=incident_id, alert_source=source)

        def ended(delivery: Future[None]) -> None:
            free.release()
            if error := delivery.exception():
                log.error("own_hands_failed", error=repr(error))

        self._hands.submit(deliver, self._gateway, incident_id, source).add_done_callback(ended)
        return True


def _again(*, busy: bool) -> float:
    """Seconds until the next look at the latest: soon, where the last one led to nothing."""
    return 2 * TICK if busy else LOOK_AGAIN


def send_heartbeat(gateway: Gateway) -> None:
    """Tell the provider's dead man's switch that all is well, if there is one."""
    outcome = gateway.provider.ping(deadline=time.monotonic() + ATTEMPT_SECONDS)
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
    """Remove resolved incidents that are older, or more, than shall be kept; for some seconds at a time."""
    kept = gateway.config.retention
    keep, until = timedelta(days=kept.days), time.monotonic() + FORGETS_SECONDS
    try:
        while (
            gateway.store.retention.forget(gateway.clock(), keep, kept.incidents) and time.monotonic() < until
        ):
            pass
    except Exception:
        log.exception("retention_failed")


class SecondHand(threading.Thread):
    """Ticks until told to stop, whatever a tick meets: no error may end it.

    `pause`: seconds between two ticks, for one that does not wait by itself.
    """

    def __init__(self, tick: Callable[[], None], pause: float = TICK) -> None:
        super().__init__(name="second-hand", daemon=True)
        self._tick = tick
        self._pause = pause
        self._stopped = threading.Event()

    def run(self) -> None:
        # The first tick comes at once: pages may have been due while no worker lived.
        while not self._stopped.is_set():
            pause = TICK
            try:
                self._tick()
                pause = self._pause
            except Unavailable as error:
                log.warning("sweep_waits", reason=str(error))
            except Exception:
                log.exception("sweep_failed")
            self._stopped.wait(pause)

    def stop(self) -> None:
        """End after the tick under way."""
        self._stopped.set()


def step(gateway: Gateway) -> type[bootsteps.StartStopStep]:
    """The part of a Celery worker that owns its second hand, and its ear for notices.

    It lives outside the consumer, whose connection to the broker may come and go.
    """

    class SweepStep(bootsteps.StartStopStep):
        def __init__(self, worker: Any, **kwargs: Any) -> None:
            super().__init__(worker, **kwargs)
            self._hands = [SecondHand(Sweep(gateway).tick), SecondHand(Ear(gateway).listen, pause=0)]

        def start(self, worker: Any) -> None:
            for hand in self._hands:
                hand.start()

        def stop(self, worker: Any) -> None:
            for hand in self._hands:
                hand.stop()

    return SweepStep
