"""Pages of which a part changes: an open one asks for itself every two seconds (docs/decisions/0010).

Its script (`static/live.js`) sends `X-Live` and the tag of what it has. It gets the part that changes if
that has another tag by now, else 304.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flask import Response, g, render_template, request

from app import __version__
from app.bootstrap import Services
from app.web.dashboard.status_bar import SystemStatus, read_status
from app.web.http import session
from app.web.http.concurrency import STORE_SECONDS, ServerBusy
from app.web.http.pages import page

READ_EVERY = 0.3
"""Seconds; for so long what was read serves every open page of this process."""
PAGES_KEPT = 64
"""Different pages that are kept as they were rendered, for all who have them open."""

PAGES = (
    ("Incidents", "/", ("incident_list.html", "incident.html")),
    ("Silences", "/silences", ("silences.html", "silence_form.html")),
    ("Rejected", "/rejected", ("rejected.html",)),
    ("Status", "/status", ("status.html",)),
    ("API", "/api/docs", ()),
)
"""The navigation: what each is called, its path, and the templates that belong to it."""

Parts = Callable[[SystemStatus], dict[str, Any]]


class Live:
    """Answers those who ask for such a page; each is rendered once for all who have it open."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._system_status: SystemStatus | None = None
        self._read_at = 0.0
        """When it was read, on the monotonic clock."""
        self._rendered: dict[str, tuple[str, str]] = {}
        """Tag and HTML of each page."""

    def answer(self, template: str, parts: Parts, *, seen: str = "", **context: Any) -> Response:
        """The whole page, the part that changes, or 304 when that is what the browser has already.

        `parts` gives what the part that changes shows; it follows from the incidents and the system status.
        Nothing in it is different from one person to the next. `seen`: what it shows besides, if anything.
        """
        live = request.headers.get("X-Live")
        with self._alone():
            system_status = self._read(READ_EVERY if live == "poll" else 0.0)
            tag = _tag(system_status, seen)
            known = live is not None and request.if_none_match.contains_weak(tag)
            part = "" if known else self._part(system_status, tag, template, parts)
        if known:
            response = Response(status=304)
        elif live is not None:
            response = Response(part)
        else:
            response = page(
                "live.html",
                200,
                live=True,
                part=part,
                kind=template,
                tag=tag,
                pages=PAGES,
                csrf=session.csrf_token(),
                person=g.person,
                now=self._services.clock(),
                here=f"{request.script_root}{request.full_path}".rstrip("?"),
                version=__version__,
                **context,
            )
        response.set_etag(tag)
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Now"] = str(int(self._services.clock().timestamp() * 1000))
        return response

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One at a time: the others of fifty want the same, and then it is there."""
        if not self._lock.acquire(timeout=STORE_SECONDS):
            raise ServerBusy("Another page takes too long to be made: try again in a moment.")
        try:
            yield
        finally:
            self._lock.release()

    def _read(self, max_age: float) -> SystemStatus:
        """How things stand, read no longer than that ago. Raises `StoreUnavailable`."""
        if self._system_status is None or time.monotonic() - self._read_at > max_age:
            # Before the incidents are read: when one changes meanwhile, the tag is the older one.
            self._system_status, self._read_at = read_status(self._services), time.monotonic()
        return self._system_status

    def _part(self, system_status: SystemStatus, tag: str, template: str, parts: Parts) -> str:
        rendered, html = self._rendered.get(request.full_path, ("", ""))
        if rendered != tag:
            html = render_template(
                template, system_status=system_status, today=system_status.today, **parts(system_status)
            )
            if len(self._rendered) >= PAGES_KEPT:
                self._rendered.clear()
            self._rendered[request.full_path] = tag, html
        return html


def _tag(system_status: SystemStatus, seen: str) -> str:
    tag = system_status.tag
    return hashlib.sha256(f"{tag}{seen}".encode()).hexdigest()[: len(tag)] if seen else tag
