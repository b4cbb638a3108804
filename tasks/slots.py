"""How many deliveries a worker makes at a time beside Celery's: each destination has a few slots of its own.

One that hangs keeps no other waiting, and channels never take the slots of pagers.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor

from app.telemetry import log


class Slots:
    """Threads for the deliveries of one kind of destination: `each` for a destination, `most` in all."""

    def __init__(self, name: str, *, each: int, most: int) -> None:
        self._threads = ThreadPoolExecutor(most, thread_name_prefix=name)
        self._most = threading.BoundedSemaphore(most)
        self._each: defaultdict[Hashable, threading.Semaphore] = defaultdict(
            lambda: threading.BoundedSemaphore(each)
        )

    def acquire(self, destination: Hashable) -> bool:
        """Reserve a slot, to be used by `run` or given back by `release`; False if none is free."""
        if not self._each[destination].acquire(blocking=False):
            return False
        if self._most.acquire(blocking=False):
            return True
        self._each[destination].release()
        return False

    def release(self, destination: Hashable) -> None:
        """Give a slot back."""
        self._most.release()
        self._each[destination].release()

    def run(self, destination: Hashable, work: Callable[[], None], then: Callable[[], object]) -> None:
        """Work in a slot that was reserved; `then` is called when it is free again."""

        def ended(delivery: Future[None]) -> None:
            self.release(destination)
            if error := delivery.exception():
                log.error("delivery_failed", destination=str(destination), error=repr(error))
            then()

        self._threads.submit(work).add_done_callback(ended)
