"""Pages of which a part changes, and how an open one learns of it (docs/decisions/0007).

The script of an open page (`static/live.js`) asks for the page again, with `X-Live` and the tag of what it
has. It gets the part that changes as soon as it has changed, or 304 after some seconds in which it has not.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from flask import Response, g, render_template, request

from app import __version__
from app.gateway import Gateway
from app.store import Unavailable
from app.telemetry import log
from app.web import session
from app.web.lights import Standing, stand
from app.web.pages import page
from app.web.room import HOLD

LOOK_EVERY = 0.25
"""Seconds between two looks at what is stored, for all open pages of this process together."""
PAGES_KEPT = 64
"""So many different pages are kept as they were rendered, for all who have them open."""

Parts = Callable[[Standing], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at what is stored found; another tag, if anything has changed."""

    tag: str
    standing: Standing
    today: date
    """UTC."""


class Watch:
    """Looks at what is stored, for all who wait for news; while nobody waits, it does nothing."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._news = threading.Condition()
        self._seen: Seen | None = None
        self._waiting = 0
        self._watches = False

    def look(self) -> Seen:
        """What is stored now. Raises `Unavailable`."""
        # Before the incidents are read: when one changes meanwhile, the tag is the older one, and they are
        # read again after the next look.
        version = self._gateway.store.incidents.version()
        standing = stand(self._gateway)
        today = self._gateway.clock().date()
        text = json.dumps([version, asdict(standing), str(today)])
        return Seen(f'"{hashlib.sha256(text.encode()).hexdigest()[:20]}"', standing, today)

    def wait(self, tag: str) -> Seen:
        """What is stored as soon as its tag is another one, or else after `HOLD`. Raises `Unavailable`."""
        until = time.monotonic() + HOLD
        with self._news:
            if not self._watches:
                self._seen = None
                threading.Thread(target=self._watch, name="watch", daemon=True).start()
                self._watches = True
            self._waiting += 1
            while (self._seen is None or self._seen.tag == tag) and time.monotonic() < until:
                self._news.wait(until - time.monotonic())
            self._waiting -= 1
            seen = self._seen
        if seen is None:
            raise Unavailable("Redis gave no answer for some seconds.")
        return seen

    def _watch(self) -> None:
        while True:
            try:
                with self._gateway.store.patience(LOOK_EVERY):
                    seen = self.look()
            except Unavailable:
                # Those who wait find out when they ask who is logged in.
                seen = None
            except Exception:
                log.exception("watch_failed")
                seen = None
            with self._news:
                if not self._waiting:
                    self._watches = False
                    return
                if seen is not None and seen != self._seen:
                    self._seen = seen
                    self._news.notify_all()
            time.sleep(LOOK_EVERY)


@dataclass(frozen=True, slots=True)
class _Rendered:
    tag: str
    html: str


class Live:
    """Answers those who ask for such a page; each is rendered once for all who have it open."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._watch = Watch(gateway)
        self._lock = threading.Lock()
        self._rendered: dict[str, _Rendered] = {}

    def answer(self, template: str, parts: Parts, **context: Any) -> Response:
        """The whole page, the part that changes, or 304 when that is what the browser has already.

        `parts` gives what the part that changes shows; it follows from the incidents and from the standing.
        Nothing in it is different from one person to the next.
        """
        tag = request.headers.get("If-None-Match", "").removeprefix("W/")
        live = request.headers.get("X-Live")
        if live == "wait" and g.may_wait:
            seen = self._watch.wait(tag)
            session.need(self._gateway)
        else:
            seen = self._watch.look()
        if live is not None and seen.tag == tag:
            response = Response(status=304)
        elif live is not None:
            response = Response(self._part(seen, template, parts), content_type="text/html; charset=utf-8")
        else:
            response = page(
                "live.html",
                200,
                live=True,
                part=self._part(seen, template, parts),
                kind=template,
                tag=seen.tag,
                csrf=session.csrf_token(),
                person=g.person,
                here=f"{request.script_root}{request.full_path}".rstrip("?"),
                version=__version__,
                **context,
            )
        response.headers["ETag"] = seen.tag
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Now"] = str(int(self._gateway.clock().timestamp() * 1000))
        return response

    def _part(self, seen: Seen, template: str, parts: Parts) -> str:
        # One at a time: the others of fifty want the same, and then it is there.
        with self._lock:
            key = request.full_path
            rendered = self._rendered.get(key)
            if rendered is None or rendered.tag != seen.tag:
                shown = parts(seen.standing)
                html = render_template(template, standing=seen.standing, today=seen.today, **shown)
                if len(self._rendered) >= PAGES_KEPT:
                    self._rendered.clear()
                rendered = self._rendered[key] = _Rendered(seen.tag, html)
            return rendered.html
