"""Writes that Redis did not take: kept in memory, and made once it takes writes again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor

from app.store import StoreUnavailable
from app.telemetry import log

MOST = 20_000
MOST_BYTES = 16 * 2**20
"""Of what the writes hold. Beyond either, the oldest is forgotten, and the log says so."""
PAUSE = 0.5
"""Seconds between two tries."""
FINISH_SECONDS = 15.0
"""That the end of a process waits for the last writes. Platforms leave it 30 s, requests included."""
WRITERS = 3
"""At a time, no more than a web process has connections: a slow Redis must not make the end too late."""

Write = Callable[[], object]


class Backlog:
    """What this process has done and could not store.

    A process that ends in order stores it first, if Redis lets it in time; one that is killed forgets it.

    A thread tries as long as there is something; a worker also does before it looks for what is due.
    """

    def __init__(self) -> None:
        self._writes: dict[Hashable, tuple[Write, int]] = {}
        self._bytes = 0
        self._changing = threading.Lock()
        self._writing = threading.Lock()
        self._thread: threading.Thread | None = None
        self._finished = False

    def __len__(self) -> int:
        return len(self._writes)

    def add(self, key: Hashable, write: Write, size: int) -> None:
        """Make this write later, in place of one with the same key; `size`: bytes that it holds.

        It must be safe to run twice, and may raise `StoreUnavailable`.
        """
        with self._changing:
            self._remove(key)
            self._writes[key] = write, size
            self._bytes += size
            while len(self._writes) > 1 and (len(self._writes) > MOST or self._bytes > MOST_BYTES):
                oldest = next(iter(self._writes))
                self._remove(oldest)
                log.error("unstored_forgotten", of=str(oldest))
            if self._thread is None:
                self._thread = threading.Thread(target=self._try_on, name="backlog", daemon=True)
                self._thread.start()

    def write(self) -> None:
        """Make every write. Raises `StoreUnavailable`: then the rest is tried again later."""
        with self._writing:
            writes, failed = list(self._writes.items()), threading.Event()
            if not writes:
                return

            def one(key: Hashable, write: Write) -> None:
                if failed.is_set():
                    return
                try:
                    self._write(key, write)
                except StoreUnavailable:
                    failed.set()
                    raise

            with ThreadPoolExecutor(WRITERS) as writers:
                for made in [writers.submit(one, key, write) for key, (write, _) in writes]:
                    made.result()

    def _write(self, key: Hashable, write: Write) -> None:
        try:
            write()
        except StoreUnavailable:
            raise
        except Exception:
            # One that can't be made must not hold up the others.
            log.exception("unstored_given_up", of=str(key))
        with self._changing:
            if self._writes.get(key, (None,))[0] is write:
                self._remove(key)

    def finish(self) -> None:
        """At the end of the process: return once all is written, or after `FINISH_SECONDS`."""
        thread = self._thread
        if thread is not None:
            thread.join(FINISH_SECONDS)
        self._finished = True
        if self._writes:
            log.error("unstored_forgotten", count=len(self._writes))

    def _remove(self, key: Hashable) -> None:
        self._bytes -= self._writes.pop(key, (None, 0))[1]

    def _try_on(self) -> None:
        while not self._finished:
            try:
                self.write()
            except StoreUnavailable:
                time.sleep(PAUSE)
            except RuntimeError:
                # Python is ending and starts no thread any more; `finish` says what is left.
                return
            with self._changing:
                if not self._writes:
                    self._thread = None
                    return
