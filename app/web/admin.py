"""The admin API: what the dashboard can do, for programs."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, g, request
from pydantic import SecretStr

from app import actions, shown
from app.gateway import Gateway
from app.incident import Incident
from app.store import KEPT
from app.text import one_line
from app.web.guard import check_admin
from app.web.incidents import Intake
from app.web.query import limit_of, minutes_of, search_of, single

LONGEST_LIST = 500
LONGEST_BY = 100
Answer = dict[str, Any]


def blueprint(gateway: Gateway, intake: Intake, secret: SecretStr) -> Blueprint:
    """Everything here needs the gateway secret, or a login to the dashboard."""
    admin = Blueprint("admin", __name__)

    @admin.before_request
    def check() -> None:
        g.person = check_admin(gateway, secret)

    @admin.get("/api/incidents")
    def list_incidents() -> Answer:
        search, limit = search_of(request.args), limit_of(request.args, 50, LONGEST_LIST)
        page = gateway.store.incidents.page(search, limit, single(request.args, "cursor"))
        now = gateway.clock()
        return {
            "incidents": [shown.brief(gateway, i, now) for i in page.incidents],
            "cursor": page.cursor,
        }

    @admin.get("/api/incidents/<incident_id>")
    def show_incident(incident_id: str) -> Answer:
        return shown.whole(gateway, gateway.store.incidents.need(incident_id))

    @admin.post("/api/incidents/<incident_id>/ack")
    def acknowledge(incident_id: str) -> Answer:
        minutes = minutes_of(_body().get("minutes"))
        acknowledged = actions.acknowledge(gateway, incident_id, _by(), minutes)
        return _done(gateway, "acknowledged", acknowledged)

    @admin.post("/api/incidents/<incident_id>/unack")
    def unacknowledge(incident_id: str) -> Answer:
        return _done(gateway, "unacknowledged", actions.unacknowledge(gateway, incident_id, _by()))

    @admin.post("/api/incidents/<incident_id>/resolve")
    def resolve(incident_id: str) -> Answer:
        return _done(gateway, "resolved", actions.resolve(gateway, incident_id, _by()))

    @admin.post("/api/incidents/<incident_id>/escalate")
    def escalate(incident_id: str) -> Answer:
        return _done(gateway, "escalating", actions.page_now(gateway, incident_id, _by()))

    @admin.get("/api/rejected")
    def list_rejected() -> Answer:
        return {"rejected": gateway.store.rejected.newest(limit_of(request.args, 100, KEPT))}

    @admin.post("/api/rejected/<entry_id>/replay")
    def replay(entry_id: str) -> tuple[Answer, int]:
        return intake.replay(entry_id, _by())

    return admin


def _done(gateway: Gateway, status: str, incident: Incident) -> Answer:
    return {"status": status, "incident": shown.whole(gateway, incident)}


def _body() -> dict[str, Any]:
    try:
        body = request.get_json(silent=True)
    except RecursionError:
        body = None
    return body if isinstance(body, dict) else {}


def _by() -> str:
    """Who acts: who is logged in, or whom a program names."""
    if g.person is not None:
        return str(g.person)
    by = _body().get("by")
    return (one_line(by, LONGEST_BY) if isinstance(by, str) else "") or "admin API"
