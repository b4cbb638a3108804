"""Pages of which a part changes: an open one asks for itself every two seconds (docs/decisions/0010).

Its script (`static/live.js`) sends `X-Live` and the tag of what it has. It gets the part that changes if
that has another tag by now, else 304.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flask import Response, g, render_template, request

from app import __version__
from app.gateway import Gateway
from app.web import session
from app.web.lights import Standing, stand
from app.web.pages import page
from app.web.room import PATIENCE, NoRoom

READ_EVERY = 0.3
"""Seconds; for so long what was read serves every open page of this process."""
PAGES_KEPT = 64
"""Different pages that are kept as they were rendered, for all who have them open."""

Parts = Callable[[Standing], dict[str, Any]]


class Live:
    """Answers those who ask for such a page; each is rendered once for all who have it open."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._lock = threading.Lock()
        self._standing: Standing | None = None
        self._read_at = 0.0
        """When it was read, on the monotonic clock."""
        self._rendered: dict[str, tuple[str, str]] = {}
        """Tag and HTML of each page."""

    def answer(self, template: str, parts: Parts, **context: Any) -> Response:
        """The whole page, the part that changes, or 304 when that is what the browser has already.

        `parts` gives what the part that changes shows; it follows from the incidents and from the standing.
        Nothing in it is different from one person to the next.
        """
        live = request.headers.get("X-Live")
        with self._alone():
            standing = self._read(READ_EVERY if live == "poll" else 0.0)
            known = live is not None and request.if_none_match.contains_weak(standing.tag)
            part = "" if known else self._part(standing, template, parts)
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
                tag=standing.tag,
                csrf=session.csrf_token(),
                person=g.person,
                here=f"{request.script_root}{request.full_path}".rstrip("?"),
                version=__version__,
                **context,
            )
        response.set_etag(standing.tag)
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Now"] = str(int(self._gateway.clock().timestamp() * 1000))
        return response

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One at a time: the others of fifty want the same, and then it is there."""
        if not self._lock.acquire(timeout=PATIENCE):
            raise NoRoom("Another page takes too long to be made: try again in a moment.")
        try:
            yield
        finally:
            self._lock.release()

    def _read(self, max_age: float) -> Standing:
        """How things stand, read no longer than that ago. Raises `Unavailable`."""
        if self._standing is None or time.monotonic() - self._read_at > max_age:
            # Before the incidents are read: when one changes meanwhile, the tag is the older one.
            self._standing, self._read_at = stand(self._gateway), time.monotonic()
        return self._standing

    def _part(self, standing: Standing, template: str, parts: Parts) -> str:
        tag, html = self._rendered.get(request.full_path, ("", ""))
        if tag != standing.tag:
            html = render_template(template, standing=standing, today=standing.today, **parts(standing))
            if len(self._rendered) >= PAGES_KEPT:
                self._rendered.clear()
            self._rendered[request.full_path] = standing.tag, html
        return html
