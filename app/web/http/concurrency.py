"""How much of a web process people may take: when Redis hangs, its threads are still there for webhooks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from flask import Blueprint, g, request

from app.bootstrap import Services

PAGES = 24
"""Pages that may be rendered at a time, in threads of their own (`app/web/gunicorn_conf.py`)."""
LARGEST_FORM = 65_536
"""Bytes; the IDs of 1,000 selected incidents take 40,000."""
STORE_SECONDS = 1.0
"""Seconds that a page waits for Redis."""


LARGE = 65_536
"""Bytes of a body from which on it is taken alone: one of 5,000 incidents needs some 60 MiB meanwhile."""
LARGE_WAITING = 8
"""Large bodies that may wait for that, of a process."""
LARGE_SECONDS = 20.0
"""For which one waits."""


class ServerBusy(Exception):
    """As many pages or large webhooks as may be are being made at this moment."""


slots = threading.BoundedSemaphore(PAGES)
_large = threading.Lock()
_large_waiting = threading.BoundedSemaphore(LARGE_WAITING)


@contextmanager
def alone(size: int) -> Iterator[None]:
    """Let one large body of this process be taken at a time. Raises `ServerBusy`."""
    if size < LARGE:
        yield
        return
    _wait_for_large()
    try:
        yield
    finally:
        _large.release()


def _wait_for_large() -> None:
    if _large_waiting.acquire(blocking=False):
        try:
            if _large.acquire(timeout=LARGE_SECONDS):
                return
        finally:
            _large_waiting.release()
    raise ServerBusy(
        "Too many large webhooks came at once: send it again in a moment, or fewer alerts at a time."
    )


def limit_concurrency(blueprint: Blueprint, services: Services) -> None:
    """Let no more requests of these blueprints be under way than have room; none waits for Redis for long.

    What finds no room is refused: a webhook that waits behind it would be a page that is late.
    """

    @blueprint.before_request
    def enter() -> None:
        # Whole before a place is taken: who sends it slowly would hold the place.
        request.max_content_length = LARGEST_FORM
        request.get_data()
        if not slots.acquire(blocking=False):
            raise ServerBusy("Too many pages are being asked for at once: try again in a moment.")
        g.place = ExitStack()
        g.place.callback(slots.release)
        g.place.enter_context(services.store.deadline(STORE_SECONDS))

    @blueprint.teardown_request
    def leave(_: BaseException | None) -> None:
        if (place := g.pop("place", None)) is not None:
            place.close()
