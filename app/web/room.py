"""How much of a web process people may take: when Redis hangs, its threads are still there for webhooks."""

from __future__ import annotations

import threading
from contextlib import ExitStack

from flask import Blueprint, g, request

from app.gateway import Gateway

PAGES = 24
"""Pages of people that may be in the making at a time, in threads of their own (`app/web/server.py`)."""
LARGEST_FORM = 16_384
"""Bytes; a form of ours has a few hundred."""
PATIENCE = 1.0
"""Seconds that a page waits for Redis."""


class NoRoom(Exception):
    """As many pages as may be are being made at this moment."""


places = threading.BoundedSemaphore(PAGES)


def in_room(blueprint: Blueprint, gateway: Gateway) -> None:
    """Let no more requests of these blueprints be under way than have room; none waits for Redis for long.

    What finds no room is refused: a webhook that waits behind it would be a page that is late.
    """

    @blueprint.before_request
    def enter() -> None:
        # Whole before a place is taken: who sends it slowly would hold the place.
        request.max_content_length = LARGEST_FORM
        request.get_data()
        if not places.acquire(blocking=False):
            raise NoRoom("Too many pages are being asked for at once: try again in a moment.")
        g.place = ExitStack()
        g.place.callback(places.release)
        g.place.enter_context(gateway.store.patience(PATIENCE))

    @blueprint.teardown_request
    def leave(_: BaseException | None) -> None:
        if (place := g.pop("place", None)) is not None:
            place.close()
