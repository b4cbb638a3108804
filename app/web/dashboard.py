"""The dashboard: what waits, an incident's own page, what was rejected, and the buttons on all of them.

A page that is open asks for itself again, many times a minute, with the header `X-Live`, and gets the part of
it that changes, or 304 when nothing has (docs/decisions/0007).
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from flask import Blueprint, Response, flash, g, redirect, render_template, request
from werkzeug.wrappers import Response as Redirect

from app import __version__, actions, explain
from app.alert import SEVERITIES
from app.gateway import Gateway
from app.incident import Incident, State
from app.store import KEPT, Search
from app.web import board, session
from app.web.guard import Unauthorized
from app.web.incidents import Intake
from app.web.lights import Standing, stand
from app.web.login import local
from app.web.pages import page
from app.web.query import search_of, single
from app.web.room import in_room

# How long one look at what is stored serves all pages that ask this process for news, seconds: however much
# happens and however many look, no page is made more often than this.
LOOK_KEPT = 0.25
# So many different pages are kept as they were rendered, for all who have them open.
PAGES_KEPT = 64

ACTIONS: dict[str, tuple[Callable[[Gateway, str, str], Incident], str]] = {
    "ack": (actions.acknowledge, "Acknowledged: {title}"),
    "resolve": (actions.resolve, "Resolved: {title}"),
    "escalate": (actions.page_now, "Paging now: {title}"),
}


class NotLoggedIn(Unauthorized):
    """Nobody is logged in; who looks for a page is led to the login."""


def blueprint(gateway: Gateway, intake: Intake) -> Blueprint:
    """Everything here needs a login."""
    dashboard = Blueprint("dashboard", __name__)
    live = Live(gateway)

    in_room(dashboard, gateway)

    @dashboard.before_request
    def check() -> None:
        name = session.person(gateway)
        if name is None:
            raise NotLoggedIn("Log in first: the dashboard needs the gateway secret.")
        g.person = name
        if request.method == "POST":
            session.check_csrf()

    @dashboard.get("/")
    def show_board() -> Response:
        search, cursor = search_of(request.args), single(request.args, "cursor")

        def parts(standing: Standing) -> dict[str, Any]:
            plain = search == Search() and cursor is None
            groups = (
                board.overview(gateway, standing.counts) if plain else board.found(gateway, search, cursor)
            )
            return {"groups": groups, "searched": not plain, "older": _older(groups)}

        return live.answer("board.html", parts, search=search, states=State, severities=SEVERITIES)

    @dashboard.get("/incidents/<incident_id>")
    def show_incident(incident_id: str) -> Response:
        def parts(_: Standing) -> dict[str, Any]:
            incident = gateway.store.incidents.need(incident_id)
            payload = gateway.store.incidents.payload(incident_id)
            return {
                "incident": incident,
                "payload": None if payload is None else json.dumps(payload, indent=2, ensure_ascii=False),
                "verdict": explain.verdict(incident, gateway.clock()),
                "next_step": explain.next_step(incident, gateway.clock()),
                "late": explain.lateness(incident),
                "happened": explain.happened,
            }

        return live.answer("incident.html", parts)

    @dashboard.post("/incidents/<incident_id>/<any(ack, resolve, escalate):action>")
    def act(incident_id: str, action: str) -> Redirect:
        do, done = ACTIONS[action]
        flash(done.format(title=do(gateway, incident_id, g.person).title))
        return _back()

    @dashboard.get("/rejected")
    def show_rejected() -> Response:
        return live.answer("rejected.html", lambda _: {"entries": gateway.store.rejected.newest(KEPT)})

    @dashboard.post("/rejected/<entry_id>/replay")
    def replay(entry_id: str) -> Redirect:
        answer, _ = intake.replay(entry_id)
        flash(f"Sent once more: {answer['status']}.")
        return _back()

    return dashboard


def closed() -> Blueprint:
    """Without a gateway secret there is no dashboard, but a page that says how to have one."""
    dashboard = Blueprint("dashboard", __name__)

    @dashboard.get("/")
    def show() -> Response:
        words = "Set GATEWAY_SECRET and start it again to see the incidents here."
        return page("message.html", 200, heading="Versus Incident is running", sentence=words)

    return dashboard


def _back() -> Redirect:
    return redirect(local(request.form.get("next", "")), 303)


def _older(groups: list[board.Group]) -> dict[str, list[str]] | None:
    """The parameters that lead to the older ones of those searched for."""
    cursor = groups[0].cursor if groups else None
    return None if cursor is None else {**request.args.to_dict(flat=False), "cursor": [cursor]}


@dataclass(frozen=True, slots=True)
class _Rendered:
    tag: str
    html: str


class Live:
    """Pages of which a part changes: rendered once for all who have them open at this process."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._lock = threading.Lock()
        self._looked = float("-inf")
        self._standing = Standing((), {})
        self._tag = ""
        self._rendered: dict[str, _Rendered] = {}

    def answer(self, template: str, parts: Callable[[Standing], dict[str, Any]], **context: Any) -> Response:
        """The whole page, the part that changes, or 304 when that is what the browser has already.

        `parts` gives what the part that changes shows; it follows from the incidents and from the standing.
        Nothing in it is different from one person to the next.
        """
        asked = request.headers.get("X-Live")
        # Who comes from a button wants to see what it did.
        rendered = self._render(template, parts, fresh=asked != "1")
        if asked is None:
            response = page(
                "live.html",
                200,
                live=True,
                part=rendered.html,
                kind=template,
                tag=rendered.tag,
                csrf=session.csrf_token(),
                person=g.person,
                here=request.full_path.rstrip("?"),
                version=__version__,
                **context,
            )
        elif request.headers.get("If-None-Match") == rendered.tag:
            response = Response(status=304)
        else:
            response = Response(rendered.html, content_type="text/html; charset=utf-8")
        response.headers["ETag"] = rendered.tag
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Now"] = str(int(self._gateway.clock().timestamp() * 1000))
        return response

    def _render(
        self, template: str, parts: Callable[[Standing], dict[str, Any]], *, fresh: bool
    ) -> _Rendered:
        # One at a time: the others of fifty want the same, and then it is there.
        with self._lock:
            if fresh or time.monotonic() - self._looked > LOOK_KEPT:
                self._look()
            key = request.full_path
            rendered = self._rendered.get(key)
            if rendered is None or rendered.tag != self._tag:
                today = self._gateway.clock().date()
                html = render_template(
                    template, standing=self._standing, today=today, **parts(self._standing)
                )
                if len(self._rendered) >= PAGES_KEPT:
                    self._rendered.clear()
                rendered = self._rendered[key] = _Rendered(self._tag, html)
            return rendered

    def _look(self) -> None:
        # Before the incidents are read: when one changes meanwhile, the tag is the older one, and they are
        # read again at the next look.
        version = self._gateway.store.incidents.version()
        self._standing = stand(self._gateway)
        self._looked = time.monotonic()
        seen = json.dumps([version, asdict(self._standing), str(self._gateway.clock().date())])
        self._tag = f'"{hashlib.sha256(seen.encode()).hexdigest()[:20]}"'
