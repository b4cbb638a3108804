"""Each worker's second hand: once a second it looks for what is late, and says that this worker lives."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import Any

from celery import bootsteps

from app.deliver import ATTEMPT_SECONDS, deliver
from app.gateway import Gateway
from app.health import heartbeat_due
from app.store import Unavailable
from app.telemetry import log

TICK = 1.0
BATCH = 500

# An incident this late, in seconds, was announced several times and nobody came: Celery's consumer may hang,
# or its queue be long. Then this thread's own few hands deliver it.
OWN_HANDS_AFTER = 15.0
OWN_HANDS = 4


class Sweep:
    """Announces what is late, what is soon due without a message, and what waited for the budget."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._hands = ThreadPoolExecutor(OWN_HANDS, thread_name_prefix="sweep")
        self._busy = threading.BoundedSemaphore(OWN_HANDS)

    def tick(self) -> None:
        """One look at everything. Raises `Unavailable`."""
        now = self._gateway.clock()
        self._gateway.store.agenda.worker_lives(self._name, now)
        half_a_tick = time.monotonic() + TICK / 2
        while self._announce_late(now) == BATCH and time.monotonic() < half_a_tick:
            pass
        self._announce_turns(now)
        if heartbeat_due(self._gateway):
            # Not in this thread: the answer may take ten seconds.
            self._hands.submit(send_heartbeat, self._gateway)

    def _announce_late(self, now: datetime) -> int:
        looks = self._gateway.store.agenda.looks(now, BATCH)
        for look in looks:
            wait = look.due_at - now.timestamp()
            if wait > -OWN_HANDS_AFTER or not self._deliver_here(look.incident_id):
                self._gateway.wakeup.knock(look.incident_id, wait)
        return len(looks)

    def _announce_turns(self, now: datetime) -> None:
        for source in self._gateway.store.agenda.parked_sources():
            limits = self._gateway.limits(source)
            for incident_id in self._gateway.store.agenda.turn(source, limits, now, BATCH):
                self._gateway.wakeup.knock(incident_id, 0, source)

    def _deliver_here(self, incident_id: str) -> bool:
        if not self._busy.acquire(blocking=False):
            return False
        self._hands.submit(deliver, self._gateway, incident_id).add_done_callback(self._ended)
        return True

    def _ended(self, delivery: Future[None]) -> None:
        self._busy.release()
        if error := delivery.exception():
            log.error("own_hands_failed", error=repr(error))


def send_heartbeat(gateway: Gateway) -> None:
    """Tell the provider's dead man's switch that all is well, if there is one."""
    outcome = gateway.provider.ping(deadline=time.monotonic() + ATTEMPT_SECONDS)
    if outcome is not None and outcome.verdict != "delivered":
        log.error("heartbeat_failed", reason=outcome.reason, detail=outcome.detail)


class SecondHand(threading.Thread):
    """Ticks until told to stop, whatever a tick meets: no error may end it."""

    def __init__(self, tick: Callable[[], None]) -> None:
        super().__init__(name="second-hand", daemon=True)
        self._tick = tick
        self._stopped = threading.Event()

    def run(self) -> None:
        # The first tick comes at once: pages may have been due while no worker lived.
        while not self._stopped.is_set():
            try:
                self._tick()
            except Unavailable as error:
                log.warning("sweep_waits", reason=str(error))
            except Exception:
                log.exception("sweep_failed")
            self._stopped.wait(TICK)

    def stop(self) -> None:
        """End after the tick under way."""
        self._stopped.set()


def step(gateway: Gateway) -> type[bootsteps.StartStopStep]:
    """The part of a Celery worker that owns its second hand.

    It lives outside the consumer, whose connection to the broker may come and go.
    """

    class SweepStep(bootsteps.StartStopStep):
        def __init__(self, worker: Any, **kwargs: Any) -> None:
            super().__init__(worker, **kwargs)
            self._hand = SecondHand(Sweep(gateway).tick)

        def start(self, worker: Any) -> None:
            self._hand.start()

        def stop(self, worker: Any) -> None:
            self._hand.stop()

    return SweepStep
