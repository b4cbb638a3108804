"""The signed link that people get: GET shows the incident and one button, POST acknowledges."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

from app import actions, serializers
from app.bootstrap import Services
from app.domain.incident import Incident
from app.web.http.pages import page, wants_page


def blueprint(services: Services) -> Blueprint:
    """The acknowledgement page."""
    pages = Blueprint("acknowledge", __name__)

    @pages.get("/api/ack/<incident_id>")
    def show(incident_id: str) -> Response:
        _check(services, incident_id)
        incident = (
            actions.note_link_opened(services, incident_id)
            if request.method == "GET"
            else services.store.incidents.require(incident_id)
        )
        return _answer(services, incident, status=incident.state.value, note=None)

    @pages.post("/api/ack/<incident_id>")
    def acknowledge(incident_id: str) -> Response:
        _check(services, incident_id)
        incident = actions.acknowledge(services, incident_id, by="link")
        return _answer(services, incident, status="acknowledged", note=_thanks(incident))

    return pages


def _check(services: Services, incident_id: str) -> None:
    services.links.check(
        incident_id, request.args.get("exp", ""), request.args.get("sig", ""), services.clock()
    )


def _answer(services: Services, incident: Incident, *, status: str, note: str | None) -> Response:
    now = services.clock()
    if not wants_page():
        return jsonify(status=status, incident=serializers.brief(services, incident, now))
    action = f"{request.script_root}{request.full_path}"
    # Who may log in finds the whole story there.
    dashboard = services.config.gateway_secret is not None
    return page(
        "acknowledge.html",
        200,
        incident=incident,
        action=action,
        now=now,
        page_note=note,
        dashboard=dashboard,
    )


def _thanks(incident: Incident) -> str:
    if incident.escalated_at is not None:
        return "Thank you. The page had gone out already; your acknowledgement is recorded."
    if incident.may_be_paged:
        return "Thank you. The page was on its way and may still arrive; your acknowledgement is recorded."
    return "Thank you. Nobody will be paged."
