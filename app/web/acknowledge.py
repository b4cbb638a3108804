"""The signed link that people get: GET shows the incident and one button, POST acknowledges."""

from flask import Blueprint, Response, jsonify, request

from app import actions, shown
from app.gateway import Gateway
from app.incident import Incident
from app.web.pages import page, wants_page


def blueprint(gateway: Gateway) -> Blueprint:
    """The acknowledgement page."""
    pages = Blueprint("acknowledge", __name__, template_folder="templates")

    @pages.get("/api/ack/<incident_id>")
    def show(incident_id: str) -> Response:
        _check(gateway, incident_id)
        incident = (
            actions.note_link_opened(gateway, incident_id)
            if request.method == "GET"
            else gateway.store.incidents.need(incident_id)
        )
        return _answer(gateway, incident, status=incident.state.value, note=None)

    @pages.post("/api/ack/<incident_id>")
    def acknowledge(incident_id: str) -> Response:
        _check(gateway, incident_id)
        incident = actions.acknowledge(gateway, incident_id, by="link")
        return _answer(gateway, incident, status="acknowledged", note=_thanks(incident))

    return pages


def _check(gateway: Gateway, incident_id: str) -> None:
    gateway.links.check(
        incident_id, request.args.get("exp", ""), request.args.get("sig", ""), gateway.clock()
    )


def _answer(gateway: Gateway, incident: Incident, *, status: str, note: str | None) -> Response:
    now = gateway.clock()
    if not wants_page():
        return jsonify(status=status, incident=shown.brief(gateway, incident, now))
    action = f"{request.script_root}{request.full_path}"
    # Who may log in finds the whole story there.
    dashboard = gateway.config.gateway_secret is not None
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
