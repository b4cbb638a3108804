"""Each worker's ear: when the bell rings it hands out the notices whose time has come, one message each."""

from __future__ import annotations

import threading
from collections import defaultdict

from celery import Celery

from app import wakeup
from app.gateway import Gateway
from app.notice import Notice, channel_of
from app.tell import tell

# A channel that hangs may keep so many threads of a worker, all together so many: pages need the rest.
HANDS_EACH = 3
HANDS = 20

# Handed out for each target at a time; whoever is done with one rings for more.
AT_ONCE = 2 * HANDS_EACH

# Without a bell, retries and what a dead worker left are found this soon, seconds.
LISTENS = 1.0


def register(celery: Celery, gateway: Gateway) -> None:
    """Make the worker deliver notices."""
    each: defaultdict[str, threading.Semaphore] = defaultdict(lambda: threading.Semaphore(HANDS_EACH))
    together = threading.Semaphore(HANDS)

    @celery.task(name=wakeup.TELL)
    def deliver(target: str, member: str) -> None:
        # All addresses of a channel are one service. Whom no hand is free for is handed out again.
        own = each[channel_of(target)]
        if not own.acquire(blocking=False):
            return
        try:
            if together.acquire(blocking=False):
                try:
                    tell(gateway, Notice.of(target, member))
                finally:
                    together.release()
        finally:
            own.release()


class Ear:
    """Listens for the bell. Its one thread waits for Redis alone, never for a channel."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def listen(self) -> None:
        """Wait for the bell, or a second, and hand out what is due. Raises `Unavailable`."""
        notices = self._gateway.store.notices
        notices.wait(LISTENS)
        now = self._gateway.clock()
        for target in notices.targets():
            for notice in notices.due(target, now, AT_ONCE):
                self._gateway.wakeup.tell(notice)
