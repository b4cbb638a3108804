"""The dashboard: what waits, an incident's own page, what was rejected, and the buttons on all of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, flash, g, redirect, request
from werkzeug.wrappers import Response as Redirect

from app import actions
from app.bootstrap import Services
from app.domain import explain
from app.domain.alert import SEVERITIES, VERSUS
from app.domain.incident import Incident
from app.domain.state import State
from app.domain.timeline import TIMES
from app.sanitize import one_line
from app.serializers import deliveries, with_notifications
from app.store import Search
from app.web.api.incidents import Intake
from app.web.dashboard import bulk, incident_list, silences, status_page
from app.web.dashboard.live import Live
from app.web.dashboard.login import home, local
from app.web.dashboard.status_bar import SystemStatus
from app.web.http import session
from app.web.http.concurrency import limit_concurrency
from app.web.http.pages import page
from app.web.http.parameters import BadParameter, minutes_of, search_of, single

ACTIONS: dict[str, tuple[Callable[..., Incident], str]] = {
    "ack": (actions.acknowledge, "Acknowledged: {title}"),
    "unack": (actions.unacknowledge, "No longer acknowledged: {title}"),
    "resolve": (actions.resolve, "Resolved: {title}"),
    "escalate": (actions.escalate_now, "Paging now: {title}"),
}

CONFIRM = {
    "resolve": ("Resolve", "This cannot be undone."),
    "escalate": ("Page now", "The people on call are paged immediately. This cannot be undone."),
}
"""Actions that ask first: the button, and what it means."""

FORMS: Mapping[str, Any] = {"states": State, "severities": SEVERITIES, "actions": bulk.ACTIONS}
"""What the forms of the list offer."""

LONGEST_COMMENT = 200
LONGEST_PAYLOAD = 200_000
"""Characters of a sender's body that are shown."""
SEARCHED = ("state", "severity", "service", "source", "q", "since", "until")
"""Parameters of a search."""
REJECTED_SHOWN = 100
"""Of the bodies that are kept; the API has them all."""


def blueprint(services: Services, intake: Intake) -> Blueprint:
    """Everything here needs a login."""
    dashboard = Blueprint("dashboard", __name__)
    live = Live(services)

    limit_concurrency(dashboard, services)

    @dashboard.before_request
    def check() -> None:
        g.person = session.require_login(services)
        if request.method == "POST":
            session.check_csrf()

    @dashboard.get("/")
    def show_incidents() -> Response:
        search, cursor = search_of(request.args), single(request.args, "cursor")
        return live.answer(
            _view(), lambda now: _listed(services, search, cursor, now), search=search, **FORMS
        )

    bulk.register(dashboard, services)

    @dashboard.get("/incidents/<incident_id>")
    def show_incident(incident_id: str) -> Response:
        return live.answer("incident.html", lambda _: _about(services, incident_id))

    @dashboard.post("/incidents/<incident_id>/<any(ack, unack, resolve, escalate):action>")
    def act(incident_id: str, action: str) -> Response | Redirect:
        if action in CONFIRM and "confirmed" not in request.form:
            return _confirm(services.store.incidents.require(incident_id), action)
        do, done = ACTIONS[action]
        incident = do(services, incident_id, g.person, **(_acknowledgement() if action == "ack" else {}))
        # Its category is the path of "Undo".
        undo = f"/incidents/{incident.id}/unack" if action == "ack" else "message"
        flash(done.format(title=incident.title), undo)
        return _back()

    @dashboard.get("/rejected")
    def show_rejected() -> Response:
        return live.answer("rejected.html", lambda now: _rejected(services, now))

    @dashboard.post("/rejected/<entry_id>/replay")
    def replay(entry_id: str) -> Redirect:
        answer, _ = intake.replay(entry_id, g.person)
        flash(f"Replayed: {answer['status']}.")
        return _back()

    silences.add_to(dashboard, services, live)
    status_page.register(dashboard, services, live)
    return dashboard


def _acknowledgement() -> dict[str, Any]:
    """How somebody acknowledges. Raises `BadParameter`."""
    comment = one_line(request.form.get("comment", ""), LONGEST_COMMENT)
    return {"minutes": minutes_of(request.form.get("minutes")), "comment": comment}


def _confirm(incident: Incident, action: str) -> Response:
    """The page that asks first, for browsers without our script."""
    verb, warning = CONFIRM[action]
    return page(
        "confirm.html",
        200,
        verb=verb,
        warning=warning,
        title=incident.title,
        csrf=session.csrf_token(),
        next=local(request.form.get("next", ""), home()),
    )


def closed() -> Blueprint:
    """Without a gateway secret there is no dashboard, but a page that says how to have one."""
    dashboard = Blueprint("dashboard", __name__)

    @dashboard.get("/")
    def show() -> Response:
        words = "Set GATEWAY_SECRET and restart it to see the incidents here."
        return page("message.html", 200, heading="Versus Incident is running", sentence=words)

    return dashboard


def _listed(
    services: Services, search: Search, cursor: str | None, system_status: SystemStatus
) -> dict[str, Any]:
    """What the list of incidents shows."""
    plain = search == Search() and cursor is None
    groups = (
        incident_list.overview(services, system_status.counts)
        if plain
        else incident_list.found(services, search, cursor)
    )
    return {
        "groups": groups,
        "searched": not plain,
        "older": _older(groups),
        "matching": urlencode([pair for pair in request.args.items(multi=True) if pair[0] in SEARCHED]),
        "need_somebody": incident_list.NEED_SOMEBODY,
        "next_due": next((g.incidents[0].due_at for g in groups if g.name == State.PENDING), None),
    }


def _view() -> str:
    """The template: the list, or the one for a screen on the wall. Raises `BadParameter`."""
    view = single(request.args, "view")
    if view not in (None, "wall"):
        raise BadParameter.of("view", view, "wall, or left out")
    return "wall.html" if view else "incident_list.html"


def _rejected(services: Services, system_status: SystemStatus) -> dict[str, Any]:
    """What the page of rejected webhooks shows."""
    return {"entries": services.store.rejected.newest(REJECTED_SHOWN), "count": system_status.rejected}


def _about(services: Services, incident_id: str) -> dict[str, Any]:
    """What the page of an incident shows."""
    incident = with_notifications(services, services.store.incidents.require(incident_id))
    payload = services.store.incidents.payload(incident_id)
    return {
        "incident": incident,
        "deliveries": deliveries(services, incident),
        "times": TIMES,
        "payload": None if payload is None else _readable(payload),
        "rejected": payload.get("rejected") if incident.source == VERSUS else None,
        "verdict": explain.verdict(incident, services.clock()),
        "next_step": explain.next_step(incident, services.clock()),
        "late": explain.lateness(incident),
        "timeline": list(explain.narrated(incident.timeline)),
    }


def _readable(payload: Any) -> str:
    """Indented, and cut: of deep nesting, indentation makes a hundred times as much."""
    pieces, length = [], 0
    for piece in json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(payload):
        pieces.append(piece)
        if (length := length + len(piece)) > LONGEST_PAYLOAD:
            return "".join(pieces)[:LONGEST_PAYLOAD] + "…"
    return "".join(pieces)


def _back() -> Redirect:
    return redirect(local(request.form.get("next", ""), home()), 303)


def _older(groups: list[incident_list.Group]) -> str | None:
    """The address that leads to the older ones of those searched for."""
    cursor = groups[0].cursor if groups else None
    if cursor is None:
        return None
    return f"{home()}?{urlencode({**request.args.to_dict(flat=False), 'cursor': [cursor]}, doseq=True)}"
