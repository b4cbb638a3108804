"""Breaks what stands underneath the service, as `underneath` plans it."""

from __future__ import annotations

import contextlib
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis

from tests.chaos.platform import Kept, Platform
from tests.store.damage import damage
from tests.stories.refusals import REFUSALS

STARTS = 5
About = dict[str, Any]
"""What is known of a fault that was played, beyond its plan: fields of `Fault`."""


class Underneath:
    """These faults; several at once, but of those that touch Redis itself one after the other."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._healed = threading.Event()
        self._redis = threading.Lock()
        self._losing = threading.Lock()
        self._rotating = threading.Lock()

    def _last(self, seconds: float) -> None:
        self._healed.wait(seconds)

    def _start_redis(self) -> None:
        for _ in range(STARTS):
            # Somebody's connection may have its port for a moment.
            with contextlib.suppress(RuntimeError):
                self._platform.redis.start()
                return
        raise RuntimeError("Redis could not be started again.")

    @contextmanager
    def _client(self) -> Iterator[Any]:
        client = redis.Redis.from_url(self._platform.redis.url)
        try:
            yield client
        finally:
            client.close()

    # -- what Redis answers and knows --------------------------------------------------------------------

    def _redis_refuses_writes(self, seconds: float, refusal: str) -> About:
        folder, began = self._platform.redis_folder, time.time()
        # One that has to wait for others is left out: after all of them Redis would hardly work at all.
        if self._redis.acquire(blocking=False):
            try:
                with self._client() as client:
                    REFUSALS[refusal].begin(client, folder)
                    self._last(seconds)
                    REFUSALS[refusal].end(client, folder)
            finally:
                self._redis.release()
        return {"began_at": began}

    def _redis_emptied(self, seconds: float, by: str) -> About:
        with self._losing, self._redis:
            began = time.time()
            if by == "FLUSHALL":
                with self._client() as client:
                    client.flushall()
            else:
                self._platform.redis.kill()
                shutil.rmtree(self._platform.redis_folder)
                self._start_redis()
        return {"began_at": began, "since": 0.0}

    def _redis_old_backup(self, seconds: float) -> About:
        folder = self._platform.redis_folder
        backup = folder.with_name("backup")
        with self._losing:
            with self._redis:
                # Every command is in the file before it is answered.
                since = time.time()
                shutil.copytree(folder, backup)
            self._last(seconds)
            began = time.time()
            if self._healed.is_set():
                # Too late for everybody to see to it.
                shutil.rmtree(backup)
                return {"began_at": began}
            with self._redis:
                began = time.time()
                self._platform.redis.kill()
                shutil.rmtree(folder)
                backup.rename(folder)
                self._start_redis()
        return {"began_at": began, "since": since}

    def _redis_clock_steps(self, seconds: float, by: int) -> About:
        clock = self._platform.clock
        clock.step_to(clock.ahead + by)
        return {}

    def _record_damaged(self, seconds: float, how: str, newest: int) -> About:
        exchanges = list(self._platform.history.exchanges)
        seen = [one.id for e in reversed(exchanges) if e.status in (200, 201) for one in e.incidents]
        newest_ids = list(dict.fromkeys(seen))[: newest + 1]
        if not newest_ids:
            return {}
        with self._redis, self._client() as client:
            began = time.time()
            # One that is gone, or was damaged before, can't be damaged in every way.
            with contextlib.suppress(AttributeError, ValueError, redis.ResponseError):
                if client.exists(f"versus:incident:{newest_ids[-1]}"):
                    damage(client, how, newest_ids[-1])
        return {"began_at": began, "incident": newest_ids[-1]}

    # -- processes ---------------------------------------------------------------------------------------

    @property
    def _processes(self) -> tuple[Kept, ...]:
        return (*self._platform.webs, *self._platform.workers)

    def _log_unread(self, seconds: float, process: int) -> None:
        pipe = self._processes[process].pipe
        pipe.leave_unread()
        self._last(seconds)
        pipe.read()

    def _secret_rotated(self, seconds: float) -> About:
        """As people do it: one process after the other is started anew, and links are good all the time."""
        with self._rotating:
            began, secret = time.time(), self._platform.rotate()
            for kept in self._processes:
                while kept.secret != secret:
                    kept.end(signal.SIGTERM, 0, self._last)
        return {"began_at": began}
