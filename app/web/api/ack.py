"""The signed link that people get: GET shows the incident and one button, POST acknowledges."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import quote, unquote

from flask import Blueprint, Response, jsonify, request

from app import actions, serializers
from app.bootstrap import Services
from app.domain.incident import Incident
from app.domain.timeline import TIMES
from app.sanitize import one_line
from app.web.http.pages import page, wants_page
from app.web.http.parameters import minutes_of

LONGEST_NAME = 100
NAME = "versus_name"
"""The cookie that remembers who acknowledged with this browser."""
REMEMBERED = timedelta(days=365)


def blueprint(services: Services) -> Blueprint:
    """The acknowledgement page."""
    pages = Blueprint("acknowledge", __name__)

    @pages.get("/api/ack/<incident_id>")
    def show(incident_id: str) -> Response:
        _check(services, incident_id)
        incident = (
            actions.note_link_opened(services, incident_id, _client())
            if request.method == "GET"
            else services.store.incidents.require(incident_id)
        )
        return _answer(services, incident, status=incident.state.value, note=None)

    @pages.post("/api/ack/<incident_id>")
    def acknowledge(incident_id: str) -> Response:
        _check(services, incident_id)
        said = request.get_json(silent=True) if request.is_json else request.form
        said = said if isinstance(said, Mapping) else {}
        name = one_line(str(said.get("name") or ""), LONGEST_NAME)
        minutes = minutes_of(said.get("minutes"))
        incident = actions.acknowledge(services, incident_id, name or "link", minutes)
        answer = _answer(services, incident, status="acknowledged", note=_thanks(incident))
        if "name" in request.form:
            _remember(answer, name)
        return answer

    return pages


def _check(services: Services, incident_id: str) -> None:
    services.links.check(
        incident_id, request.args.get("exp", ""), request.args.get("sig", ""), services.clock()
    )


def _client() -> str:
    agent = one_line(request.headers.get("User-Agent", ""), LONGEST_NAME)
    return f"by {agent or 'an unknown client'}, from {request.remote_addr}"


def _remember(answer: Response, name: str) -> None:
    """The name that somebody gave, for the next link that this browser opens."""
    answer.set_cookie(
        NAME,
        quote(name),
        max_age=REMEMBERED if name else 0,
        path=f"{request.script_root}/api/ack",
        secure=request.is_secure,
        httponly=True,
        samesite="Lax",
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
        live=True,
        incident=incident,
        action=action,
        now=now,
        name=one_line(unquote(request.cookies.get(NAME, "")), LONGEST_NAME),
        times=TIMES,
        page_note=note,
        dashboard=dashboard,
    )


def _thanks(incident: Incident) -> str:
    if incident.escalated_at is not None:
        return "Acknowledged, thank you. The page had already gone out."
    if incident.may_be_paged:
        return "Acknowledged, thank you. The page was being sent and may still arrive."
    return "Acknowledged, thank you. Nobody will be paged" + (
        " until then." if incident.acknowledged_until else "."
    )
