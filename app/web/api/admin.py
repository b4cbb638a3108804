"""The admin API: what the dashboard can do, for programs."""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import Blueprint, g, request
from pydantic import SecretStr

from app import actions, serializers
from app.bootstrap import Services
from app.domain.incident import Incident
from app.store import KEPT
from app.web.api import silences
from app.web.api.incidents import Intake
from app.web.api.route import routed
from app.web.api.webhook import Sent
from app.web.http.auth import acting, check_admin, json_body
from app.web.http.body import MAX_BODY
from app.web.http.concurrency import alone
from app.web.http.parameters import limit_of, minutes_of, search_of, single

LONGEST_LIST = 500
JsonObject = dict[str, Any]


def blueprint(services: Services, intake: Intake, secret: SecretStr) -> Blueprint:
    """Everything here needs the gateway secret, or a login to the dashboard."""
    admin = Blueprint("admin", __name__)

    @admin.before_request
    def check() -> None:
        g.person = check_admin(services, secret)

    @admin.get("/api/incidents")
    def list_incidents() -> JsonObject:
        return _listed(services)

    @admin.get("/api/incidents/<incident_id>")
    def show_incident(incident_id: str) -> JsonObject:
        return serializers.whole(services, services.store.incidents.require(incident_id))

    @admin.post("/api/incidents/<incident_id>/ack")
    def acknowledge(incident_id: str) -> JsonObject:
        minutes = minutes_of(json_body().get("minutes"))
        acknowledged = actions.acknowledge(services, incident_id, acting(), minutes)
        return _done(services, "acknowledged", acknowledged)

    @admin.post("/api/incidents/<incident_id>/unack")
    def unacknowledge(incident_id: str) -> JsonObject:
        return _done(services, "unacknowledged", actions.unacknowledge(services, incident_id, acting()))

    @admin.post("/api/incidents/<incident_id>/resolve")
    def resolve(incident_id: str) -> JsonObject:
        return _done(services, "resolved", actions.resolve(services, incident_id, acting()))

    @admin.post("/api/incidents/<incident_id>/escalate")
    def escalate(incident_id: str) -> JsonObject:
        return _done(services, "escalating", actions.escalate_now(services, incident_id, acting()))

    @admin.get("/api/rejected")
    def list_rejected() -> JsonObject:
        return {"rejected": services.store.rejected.newest(limit_of(request.args, 100, KEPT))}

    @admin.post("/api/rejected/<entry_id>/replay")
    def replay(entry_id: str) -> tuple[JsonObject, int]:
        return intake.replay(entry_id, acting())

    admin.add_url_rule("/api/route", "route", view_func=partial(_routed, services), methods=["POST"])
    silences.add_to(admin, services)
    return admin


def _listed(services: Services) -> JsonObject:
    search, limit = search_of(request.args), limit_of(request.args, 50, LONGEST_LIST)
    page = services.store.incidents.page(search, limit, single(request.args, "cursor"))
    now = services.clock()
    return {"incidents": [serializers.brief(services, i, now) for i in page.incidents], "cursor": page.cursor}


def _routed(services: Services) -> JsonObject:
    sent = Sent(request.stream.read(MAX_BODY + 1), request.headers, request.args)
    with alone(sent.size):
        return routed(services, sent, services.clock())


def _done(services: Services, status: str, incident: Incident) -> JsonObject:
    return {"status": status, "incident": serializers.whole(services, incident)}
