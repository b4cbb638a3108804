"""Breaks what the plan says, for as long as it says, and heals everything at the end."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import psutil
import redis

from tests.chaos.faults_underneath import About, Underneath
from tests.chaos.history import Fault
from tests.chaos.planned import PlannedFault
from tests.chaos.platform import Kept, OnCallProvider, Platform
from tests.relay import Relay

# What Celery keeps at the broker, with our prefix.
QUEUE = ("versus:broker:versus", "versus:broker:unacked", "versus:broker:unacked_index")


BUSY_LATENCY = 0.3
# Seconds until somebody is paged, when all goes well: most of the time something is due.
ATTEMPT_WITHIN = 5.0


def method_of(kind: str) -> str:
    """The method of `Breaker` that plays a fault; those of one provider are those of every other."""
    return f"_{kind}".replace("_incidentio_", "_provider_").replace("_pagerduty_", "_provider_")


class Breaker(Underneath):
    """Plays the faults of a plan against a platform; several at once, if the plan says so."""

    def __init__(self, platform: Platform) -> None:
        super().__init__(platform)
        self._threads: list[threading.Thread] = []

    def begin(self, fault: PlannedFault) -> None:
        """Break something; returns at once."""
        thread = threading.Thread(target=self._play, args=(fault,), name=fault.kind, daemon=True)
        self._threads.append(thread)
        thread.start()

    def heal(self) -> None:
        """End what is broken, now; returns once everything runs."""
        self._healed.set()
        for thread in self._threads:
            thread.join()
        for provider in self._platform.providers.values():
            provider.stand_in.clear()
        for kept in (*self._platform.webs, *self._platform.workers):
            kept.wake()

    def _play(self, fault: PlannedFault) -> None:
        began = time.time()
        about: About = self._how(fault.kind)(fault.seconds, **fault.parameters) or {}
        detail = " ".join(f"{name}={value}" for name, value in fault.parameters.items())
        played = Fault(kind=fault.kind, began_at=began, ended_at=time.time(), detail=detail)
        self._platform.history.faults.append(replace(played, **about))

    def _how(self, kind: str) -> Callable[..., About | None]:
        how: Callable[..., About | None] = getattr(self, method_of(kind))
        provider = self._platform.providers.get(kind.partition("_")[0])
        return how if provider is None else partial(how, provider)

    # -- processes ---------------------------------------------------------------------------------------

    def _kill_web(self, seconds: float, web: int, child: int, busy: bool) -> None:
        with self._at_work(busy):
            self._platform.webs[web].end(signal.SIGKILL, seconds, self._last)

    def _terminate_web(self, seconds: float, web: int, child: int, busy: bool) -> None:
        with self._at_work(busy):
            self._platform.webs[web].end(signal.SIGTERM, seconds, self._last)

    def _kill_web_child(self, seconds: float, web: int, child: int, busy: bool) -> None:
        with self._at_work(busy):
            self._platform.webs[web].signal_one(signal.SIGKILL, child)

    def _terminate_web_child(self, seconds: float, web: int, child: int, busy: bool) -> None:
        with self._at_work(busy):
            self._platform.webs[web].signal_one(signal.SIGTERM, child)

    @contextlib.contextmanager
    def _at_work(self, busy: bool) -> Iterator[None]:
        """With Redis so slow that the process has several requests half done."""
        if busy:
            self._platform.to_redis.latency = BUSY_LATENCY
            self._last(2 * BUSY_LATENCY)
        yield
        if busy:
            self._platform.to_redis.latency = 0.0

    def _stop_web_child(self, seconds: float, web: int, child: int) -> None:
        self._pause(self._platform.webs[web], seconds, child)

    def _kill_worker(self, seconds: float, worker: int) -> None:
        self._platform.workers[worker].end(signal.SIGKILL, seconds, self._last)

    def _terminate_worker(self, seconds: float, worker: int) -> None:
        self._platform.workers[worker].end(signal.SIGTERM, seconds, self._last)

    def _kill_while_sending(
        self, seconds: float, spared: int | None, taken: bool, provider: str = "incidentio"
    ) -> None:
        self._wait_for_an_attempt(provider, taken)
        self._together(lambda worker: worker.end(signal.SIGKILL, seconds, self._last), spared)

    def _stop_while_sending(
        self, seconds: float, spared: int | None, taken: bool, provider: str = "incidentio"
    ) -> None:
        self._wait_for_an_attempt(provider, taken)
        self._together(lambda worker: self._pause(worker, seconds, None), spared)

    def _wait_for_an_attempt(self, provider: str, taken: bool) -> None:
        """Until the provider has an event that it does not answer, `taken` or not."""
        simulator = self._platform.providers[provider].stand_in
        simulator.answer_next(504, mode="hang", taken=taken)
        seen = len(simulator.requests)
        simulator.wait_for(lambda: len(simulator.requests) > seen or self._healed.is_set(), ATTEMPT_WITHIN)

    def _together(self, harm: Callable[[Kept], None], spared: int | None) -> None:
        """Harm all workers at once but the one that is spared: one of them is sending."""
        harmed = [worker for number, worker in enumerate(self._platform.workers) if number != spared]
        threads = [threading.Thread(target=harm, args=(worker,), daemon=True) for worker in harmed]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _stop_worker(self, seconds: float, worker: int) -> None:
        self._pause(self._platform.workers[worker], seconds, None)

    def _pause(self, kept: Kept, seconds: float, child: int | None) -> None:
        stopped = kept.signal_one(signal.SIGSTOP, child)
        self._last(seconds)
        if stopped is not None:
            with contextlib.suppress(psutil.Error):
                stopped.send_signal(signal.SIGCONT)

    # -- Redis -------------------------------------------------------------------------------------------

    def _kill_redis(self, seconds: float) -> None:
        with self._redis:
            self._platform.redis.kill()
            self._last(seconds)
            self._start_redis()

    def _stop_redis(self, seconds: float) -> None:
        # Not while it is being started again.
        with self._redis:
            process = self._platform.redis.process
            assert process is not None
            process.send_signal(signal.SIGSTOP)
            self._last(seconds)
            process.send_signal(signal.SIGCONT)

    def _flush_queue(self, seconds: float) -> None:
        client = redis.Redis.from_url(self._platform.redis.url, socket_timeout=1)
        with contextlib.suppress(redis.RedisError):
            client.delete(*QUEUE)
        client.close()

    def _redis_cut(self, seconds: float) -> None:
        self._platform.to_redis.cut()

    def _redis_freeze(self, seconds: float) -> None:
        self._platform.to_redis.freeze()

    def _redis_delay(self, seconds: float, latency: float) -> None:
        self._slow(self._platform.to_redis, seconds, latency)

    def _redis_refuse(self, seconds: float) -> None:
        self._refuse(self._platform.to_redis, seconds)

    # -- providers ---------------------------------------------------------------------------------------

    def _provider_cut(self, provider: OnCallProvider, seconds: float) -> None:
        provider.relay.cut()

    def _provider_freeze(self, provider: OnCallProvider, seconds: float) -> None:
        provider.relay.freeze()

    def _provider_delay(self, provider: OnCallProvider, seconds: float, latency: float) -> None:
        self._slow(provider.relay, seconds, latency)

    def _provider_refuse(self, provider: OnCallProvider, seconds: float) -> None:
        self._refuse(provider.relay, seconds)

    def _provider_answers(
        self, provider: OnCallProvider, seconds: float, reply: dict[str, Any], count: int | None
    ) -> None:
        if count is not None:
            return provider.stand_in.answer_next(**reply, count=count)
        provider.stand_in.answer_with(**reply)
        self._last(seconds)
        return provider.stand_in.clear()

    def _provider_outage(self, provider: OnCallProvider, seconds: float, sources: Sequence[str]) -> None:
        # The fallback of the one is at the other.
        every = [one.stand_in.out for one in self._platform.providers.values()]
        for out in every:
            out.update(sources)
        self._last(seconds)
        for out in every:
            out.difference_update(sources)

    def _slow(self, relay: Relay, seconds: float, latency: float) -> None:
        relay.latency = latency
        self._last(seconds)
        relay.latency = 0.0

    def _refuse(self, relay: Relay, seconds: float) -> None:
        relay.refuse(True)
        self._last(seconds)
        # What exists was made before; a connection must not be the last one for ever.
        relay.refuse(False)
