"""The signed link that people get: GET shows the incident and one button, POST acknowledges."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, make_response, render_template, request

from app import actions, shown
from app.gateway import Gateway
from app.incident import Incident

# Pages load nothing but our style sheet, run nothing, and send the link to nobody.
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


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


def wants_page() -> bool:
    """Whether the client is a browser rather than a program that wants JSON.

    Browsers name `text/html`; a program that takes anything gets the page to look at, and JSON when it acts.
    """
    accepted = request.accept_mimetypes
    # By name: what stands for everything, as in the `*/*` of many libraries, asks for nothing.
    named = set(accepted.values())
    if "text/html" in named:
        return accepted["text/html"] >= accepted["application/json"]
    return request.method != "POST" and "application/json" not in named


def page(template: str, status: int, **context: Any) -> Response:
    """A page with the headers that every page has."""
    response = make_response(render_template(template, **context), status)
    response.headers.update(PAGE_HEADERS)
    return response


def _check(gateway: Gateway, incident_id: str) -> None:
    gateway.links.check(
        incident_id, request.args.get("exp", ""), request.args.get("sig", ""), gateway.clock()
    )


def _answer(gateway: Gateway, incident: Incident, *, status: str, note: str | None) -> Response:
    now = gateway.clock()
    if not wants_page():
        return jsonify(status=status, incident=shown.brief(gateway, incident, now))
    action = request.full_path
    return page("acknowledge.html", 200, incident=incident, action=action, now=now, page_note=note)


def _thanks(incident: Incident) -> str:
    if incident.escalated_at is not None:
        return "Thank you. The page had gone out already; your acknowledgement is recorded."
    if incident.claim is not None or incident.page_may_be_out:
        return "Thank you. The page was on its way and may still arrive; your acknowledgement is recorded."
    return "Thank you. Nobody will be paged."
