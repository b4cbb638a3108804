"""The API in words for programs (`/api/openapi.json`, OpenAPI 3.1) and for people (`/api/docs`).

`tests/web/test_openapi.py` compares it with the routes that there are, and with what they answer.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Flask, Response, current_app

from app import __version__
from app.alert import SEVERITIES
from app.incident import State
from app.web.pages import page
from app.web.schemas import INCIDENT, PAYLOAD, REJECTED, SCHEMAS, json_of, ref

Json = dict[str, Any]

ERRORS = {
    400: "Something in it is wrong; the sentence says what, and what would be right.",
    401: "The secret, the signature or the login is missing or wrong.",
    403: "Who is logged in to the dashboard must send the token of its pages as `X-CSRF-Token`.",
    404: "There is no such thing, or no more.",
    409: "That can't be done in the state that it is in.",
    410: "The link is older than seven days.",
    413: "It is larger than 4 MiB, or holds more than 5,000 alerts.",
    503: "Redis can't be reached, or something is wrong here. Send it again, after `Retry-After` seconds.",
}

ID: Json = {
    "name": "incident_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string"},
    "description": "ID of the incident.",
}
SECRET: list[Json] = [{"gatewaySecret": []}, {"dashboardLogin": []}]


def blueprint() -> Blueprint:
    """The document and the page to read it."""
    openapi = Blueprint("openapi", __name__)

    @openapi.get("/api/openapi.json")
    def document() -> Json:
        return document_of(current_app)

    @openapi.get("/api/docs")
    def docs() -> Response:
        return page("docs.html", 200, api=document_of(current_app))

    return openapi


def document_of(app: Flask) -> Json:
    """The document of what this application serves: without a gateway secret there is no admin API."""
    served = {rule.rule.replace("<", "{").replace(">", "}") for rule in app.url_map.iter_rules()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Versus Incident",
            "version": __version__,
            "description": "Receives incidents, waits for an acknowledgement, and pages if there is none.",
        },
        "paths": {path: operations for path, operations in PATHS.items() if path in served},
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "gatewaySecret": {"type": "apiKey", "in": "header", "name": "X-Gateway-Secret"},
                "dashboardLogin": {"type": "apiKey", "in": "cookie", "name": "versus"},
                "intakeSecret": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _query(name: str, schema: Json, description: str) -> Json:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}


def _operation(name: str, summary: str, *, errors: tuple[int, ...], answers: Json, **more: Any) -> Json:
    failed = {str(status): json_of(ref("Error"), ERRORS[status]) for status in (*errors, 503)}
    return {"operationId": name, "summary": summary, **more, "responses": {**answers, **failed}}


TEXT: Json = {"type": "string"}
LIST = "; several with commas"
INTAKE_PARAMETERS = [
    _query("oncall_enable", {"type": "string", "enum": ["true", "false"]}, "Whether this request escalates."),
    _query("oncall_wait_minutes", {"type": "number", "minimum": 0, "maximum": 10080}, "Minutes to wait."),
    _query("incidentio_other_alert_source", TEXT, "Name of another alert source."),
    _query("channels", TEXT, "Channels to tell instead of the default ones" + LIST + "."),
    _query("slack_channel_id", TEXT, "Another channel of Slack's."),
    _query("telegram_chat_id", TEXT, "Another chat of Telegram's."),
    _query("email_to", TEXT, "Other mail addresses" + LIST + "."),
    _query("email_subject", TEXT, "Another subject of the mail."),
    _query("msteams_other_power_url", TEXT, "Name of another URL of Teams."),
    _query("lark_other_webhook_url", TEXT, "Name of another webhook of Lark's."),
    _query("token", TEXT, "The intake secret, for senders that can set no header."),
]
LIST_PARAMETERS = [
    _query("state", TEXT, f"Of {', '.join(State)}{LIST}."),
    _query("severity", TEXT, f"Of {', '.join(SEVERITIES)}{LIST}."),
    _query("service", TEXT, "The whole name, in any case."),
    _query("source", TEXT, "The whole name, in any case."),
    _query("q", TEXT, "Words that must be in title, description, labels, ID, service or source."),
    _query("since", TEXT, "Created at this time or later, RFC 3339."),
    _query("until", TEXT, "Created before this time, RFC 3339."),
    _query("limit", {"type": "integer", "minimum": 1, "maximum": 500}, "How many at the most; 50."),
    _query("cursor", TEXT, "Where to go on, from the page before."),
]

TAKEN = {
    "200": json_of(ref("Received"), "It belongs to an incident that is known, or is none."),
    "201": json_of(ref("Received"), "At least one new incident is stored, and its escalation is scheduled."),
    "202": json_of(ref("Received"), "Redis is away, so somebody was paged at once."),
}


def _intake(name: str) -> Json:
    return _operation(
        name,
        "A webhook: one alert, an array of them, or several after one another",
        errors=(400, 401, 413),
        answers=TAKEN,
        parameters=INTAKE_PARAMETERS,
        security=[{}, {"intakeSecret": []}],
        requestBody={"required": True, "content": {"application/json": {"schema": PAYLOAD}}},
    )


def _act(name: str, summary: str, errors: tuple[int, ...]) -> Json:
    return {
        "post": _operation(
            name,
            summary,
            errors=(401, 403, 404, *errors),
            answers={"200": json_of(ref("Acted"), "It is done, or was before.")},
            parameters=[ID],
            security=SECRET,
            requestBody={"required": False, "content": {"application/json": {"schema": ref("By")}}},
        )
    }


def _page(name: str, summary: str, errors: tuple[int, ...]) -> Json:
    operation = _operation(
        name,
        summary,
        errors=(401, 404, 410, *errors),
        answers={"200": json_of(ref("Linked"), "A page for browsers, JSON for who asks for it.")},
        parameters=[
            ID,
            _query("exp", TEXT, "When the link ends, Unix time."),
            _query("sig", TEXT, "Its signature."),
        ],
    )
    for answer in operation["responses"].values():
        answer["content"]["text/html"] = {}
    return operation


def _plain(name: str, summary: str, content: Json, **more: Json) -> Json:
    answers = {"200": {"description": summary, "content": content}, **more}
    return {"get": {"operationId": name, "summary": summary, "responses": answers}}


CHECKS = {"application/json": {"schema": ref("Readiness")}}

PATHS: Json = {
    "/api/incidents": {
        "post": _intake("receive"),
        "put": _intake("receiveByPut"),
        "get": _operation(
            "listIncidents",
            "Incidents, the newest first",
            errors=(400, 401),
            answers={"200": json_of(ref("IncidentPage"), "A page; it may be short and still have a cursor.")},
            parameters=LIST_PARAMETERS,
            security=SECRET,
        ),
    },
    "/api/incidents/{incident_id}": {
        "get": _operation(
            "showIncident",
            "One incident with its timeline and the sender's newest body",
            errors=(401, 404),
            answers={"200": json_of(INCIDENT, "The incident.")},
            parameters=[ID],
            security=SECRET,
        )
    },
    "/api/incidents/{incident_id}/ack": _act("acknowledge", "Acknowledge", (409,)),
    "/api/incidents/{incident_id}/resolve": _act("resolve", "Resolve", ()),
    "/api/incidents/{incident_id}/escalate": _act("escalate", "Page now", (409,)),
    "/api/ack/{incident_id}": {
        "get": _page("openLink", "What the signed link shows; it acknowledges nothing", ()),
        "post": _page("acknowledgeByLink", "Acknowledge by the signed link", (409,)),
    },
    "/api/rejected": {
        "get": _operation(
            "listRejected",
            "Rejected bodies, the one refused last first",
            errors=(400, 401),
            answers={"200": json_of(REJECTED, "The newest thousand, at the most.")},
            parameters=[
                _query("limit", {"type": "integer", "minimum": 1, "maximum": 1000}, "100 by default.")
            ],
            security=SECRET,
        )
    },
    "/api/rejected/{entry_id}/replay": {
        "post": _operation(
            "replay",
            "A rejected body once more, as if it had been sent now",
            errors=(400, 401, 403, 404, 409, 413),
            answers=TAKEN,
            parameters=[{**ID, "name": "entry_id", "description": "ID of the rejected body."}],
            security=SECRET,
        )
    },
    "/api/slack/interactions": {
        "post": _operation(
            "clickInSlack",
            "A click in Slack, signed by Slack",
            errors=(401,),
            answers={"200": json_of(ref("Status"), "It was understood.")},
            requestBody={"content": {"application/x-www-form-urlencoded": {"schema": ref("Click")}}},
        )
    },
    "/api/openapi.json": _plain("document", "This document", {"application/json": {}}),
    "/api/docs": _plain("docs", "This document, to read", {"text/html": {}}),
    "/healthz": _plain("healthz", "This process lives", {"application/json": {"schema": ref("Status")}}),
    "/readyz": _plain(
        "readyz",
        "The whole pipeline is well",
        CHECKS,
        **{"503": {"description": "It is not; `checks` says why.", "content": CHECKS}},
    ),
    "/metrics": _plain("metrics", "Metrics for Prometheus", {"text/plain": {}}),
}
