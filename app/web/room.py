"""How much of a web process people may take: when Redis hangs, most threads are still there for webhooks."""

from __future__ import annotations

import threading
from contextlib import ExitStack

from flask import Blueprint, g

from app.gateway import Gateway

PLACES = 6
"""Of a process's 16 threads (`app/web/server.py`), for all pages of people together."""
PATIENCE = 1.0
"""Seconds that a page waits for Redis."""


class NoRoom(Exception):
    """As many pages as may be are being made at this moment."""


_places = threading.BoundedSemaphore(PLACES)


def in_room(blueprint: Blueprint, gateway: Gateway) -> None:
    """Let no more than `PLACES` requests of these blueprints be under way, none of them for long.

    What finds no place is refused at once: open dashboards ask again by themselves, and a webhook that waits
    behind them would be a page that is late.
    """

    @blueprint.before_request
    def enter() -> None:
        if not _places.acquire(blocking=False):
            raise NoRoom("Too many pages are being asked for at once: try again in a moment.")
        g.place = ExitStack()
        g.place.callback(_places.release)
        g.place.enter_context(gateway.store.patience(PATIENCE))

    @blueprint.teardown_request
    def leave(_: BaseException | None) -> None:
        if (place := g.pop("place", None)) is not None:
            place.close()
