"""The API in words for programs (`/api/openapi.json`, OpenAPI 3.1) and for people (`/api/docs`).

`tests/web/api/test_openapi.py` compares it with the routes that there are, and with what they answer.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Flask, Response, current_app

from app import __version__
from app.domain.alert import SEVERITIES
from app.domain.state import State
from app.web.api.schemas import INCIDENT, PAYLOAD, REJECTED, SCHEMAS, TEXT, json_of, ref
from app.web.api.webhook_parameters import PAGERS
from app.web.http.pages import page

Json = dict[str, Any]

ERRORS = {
    400: "Something in it is wrong; the sentence says what, and what would be right.",
    401: "The secret, the signature or the login is missing or wrong.",
    403: "Requests of a dashboard login must send the token of its pages as `X-CSRF-Token`.",
    404: "It does not exist, or no longer.",
    409: "That can't be done in the state that it is in.",
    410: "The link is older than seven days.",
    413: "It is larger than 4 MiB, or holds more than 5,000 alerts.",
    422: "Another request came with this `Idempotency-Key` within ten minutes.",
    503: "Redis can't be reached, too much comes at once, or something is wrong here. Send it again, after "
    "`Retry-After` seconds.",
}

FIELDS = {
    "title": "What is wrong, in a line.",
    "description": "The rest of it; Markdown.",
    "severity": f"One of {', '.join(SEVERITIES)}, or what other tools call them.",
    "service": "What it is about.",
    "status": "firing (the default), acknowledged or resolved.",
    "deduplication_key": "The same key again is the same problem, until it is resolved.",
    "source": "Who sends it.",
    "source_url": "Where the sender shows it.",
    "started_at": "When it began, RFC 3339.",
    "labels": "Names and values.",
}
CURL = """curl -H 'Content-Type: application/json' \\
  -d '{"title": "Disk full", "severity": "high", "deduplication_key": "disk-7"}' \\
  'https://versus.example.com/api/incidents?oncall_wait_minutes=3'"""
ANSWER = """{
  "status": "Incident created",
  "incident": {
    "id": "0b9c4c1e-…",
    "state": "pending",
    "due_at": "2026-03-04T03:03:00.000Z",
    "ack_url": "https://versus.example.com/api/ack/0b9c4c1e-…"
  }
}"""

SECRET: list[Json] = [{"gatewaySecret": []}, {"dashboardLogin": []}]


def blueprint() -> Blueprint:
    """The document and the page to read it."""
    openapi = Blueprint("openapi", __name__)

    @openapi.get("/api/openapi.json")
    def document() -> Json:
        return document_of(current_app)

    @openapi.get("/api/docs")
    def docs() -> Response:
        api = document_of(current_app)
        return page("docs.html", 200, api=api, fields=FIELDS, curl=CURL, answer=ANSWER)

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


def _query(name: str, description: str, **schema: Any) -> Json:
    return {"name": name, "in": "query", "schema": schema or TEXT, "description": description}


def _path(name: str, description: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": TEXT, "description": description}


def _operation(name: str, summary: str, answers: Json, *errors: int, **more: Any) -> Json:
    failed = {str(status): json_of(ref("Error"), ERRORS[status]) for status in (*errors, 503)}
    return {"operationId": name, "summary": summary, **more, "responses": {**answers, **failed}}


WEBHOOK = {"required": True, "content": {"application/json": {"schema": PAYLOAD}}}
LIST = "; several with commas"
INTAKE_PARAMETERS = [
    _query("oncall_enable", "Whether to page if nobody acknowledges.", type="string", enum=["true", "false"]),
    _query("oncall_wait_minutes", "Minutes to wait.", type="number", minimum=0, maximum=10080),
    *(_query(name, f"Name of another place where {provider} pages.") for name, provider in PAGERS.items()),
    _query("channels", "Channels to notify instead of the default ones" + LIST + "."),
    _query("slack_channel_id", "Another channel of Slack's."),
    _query("telegram_chat_id", "Another chat of Telegram's."),
    _query("email_to", "Other mail addresses" + LIST + "."),
    _query("email_subject", "Another subject of the mail."),
    _query("namespace", "Keeps apart two installations whose keys are the same; 100 characters."),
    _query("msteams_other_power_url", "Name of another URL of Teams."),
    _query("lark_other_webhook_url", "Name of another webhook of Lark's."),
    _query("token", "The intake secret, for senders that can set no header."),
]
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {**TEXT, "maxLength": 255},
    "description": "The repeat of a request that was stored is answered as it was, for ten minutes.",
}
LIST_PARAMETERS = [
    _query("state", f"Of {', '.join(State)}{LIST}."),
    _query("severity", f"Of {', '.join(SEVERITIES)}{LIST}."),
    _query("service", "The full name, in upper or lower case."),
    _query("source", "The full name, in upper or lower case."),
    _query("q", "Words that must be in title, description, labels, ID, service or source."),
    _query("since", "Created at this time or later, RFC 3339."),
    _query("until", "Created before this time, RFC 3339."),
    _query("limit", "How many at most; 50 by default.", type="integer", minimum=1, maximum=500),
    _query("cursor", "The `cursor` of the previous page."),
]

TAKEN = {
    "200": json_of(ref("Received"), "It was added to an incident that is known, or opens none."),
    "201": json_of(ref("Received"), "At least one new incident is stored, and its escalation is scheduled."),
    "202": json_of(ref("Received"), "Redis is away, so somebody was paged at once."),
}


ID = _path("incident_id", "ID of the incident.")
READY = {"application/json": {"schema": ref("Readiness")}}


def _ok(schema: Json, description: str) -> Json:
    return {"200": json_of(schema, description)}


def _intake(name: str) -> Json:
    return _operation(
        name,
        "A webhook: one alert, an array of them, or several after one another",
        TAKEN,
        *(400, 401, 413, 422),
        parameters=[*INTAKE_PARAMETERS, IDEMPOTENCY_KEY],
        security=[{}, {"intakeSecret": []}],
        requestBody=WEBHOOK,
    )


def _admin(name: str, summary: str, answers: Json, *errors: int, **more: Any) -> Json:
    return _operation(name, summary, answers, 401, *errors, security=SECRET, **more)


def _act(name: str, summary: str, *errors: int, body: str = "By") -> Json:
    answers = _ok(ref("Acted"), "It is done, or was before.")
    taken = {"required": False, "content": {"application/json": {"schema": ref(body)}}}
    return {"post": _admin(name, summary, answers, 403, 404, *errors, parameters=[ID], requestBody=taken)}


def _page(name: str, summary: str, *errors: int, **more: Any) -> Json:
    signed = [_query("exp", "When the link ends, Unix time."), _query("sig", "Its signature.")]
    answers = _ok(ref("Linked"), "A page for browsers, JSON for who asks for it.")
    operation = _operation(name, summary, answers, 401, 404, 410, *errors, parameters=[ID, *signed], **more)
    for answer in operation["responses"].values():
        answer["content"]["text/html"] = {}
    return operation


def _plain(name: str, summary: str, content: Json, **more: Json) -> Json:
    answers = {"200": {"description": summary, "content": content}, **more}
    return {"get": {"operationId": name, "summary": summary, "responses": answers}}


LINKED: Json = {
    "required": False,
    "content": {
        kind: {"schema": ref("LinkAcknowledgement")}
        for kind in ("application/x-www-form-urlencoded", "application/json")
    },
}
PATHS: Json = {
    "/api/incidents": {
        "post": _intake("receive"),
        "put": _intake("receiveByPut"),
        "get": _admin(
            "listIncidents",
            "Incidents, the newest first",
            _ok(ref("IncidentPage"), "A page; it may be short and still have a cursor."),
            400,
            parameters=LIST_PARAMETERS,
        ),
    },
    "/api/incidents/{incident_id}": {
        "get": _admin(
            "showIncident",
            "One incident with its timeline, the sender's newest body and its deliveries",
            _ok(INCIDENT, "The incident."),
            404,
            parameters=[ID],
        )
    },
    "/api/incidents/{incident_id}/ack": _act("acknowledge", "Acknowledge", 400, 409, body="Acknowledgement"),
    "/api/incidents/{incident_id}/unack": _act("unacknowledge", "Take the acknowledgement back", 409),
    "/api/incidents/{incident_id}/resolve": _act("resolve", "Resolve"),
    "/api/incidents/{incident_id}/escalate": _act("escalate", "Page now", 409),
    "/api/ack/{incident_id}": {
        "get": _page("openLink", "What the signed link shows; it acknowledges nothing"),
        "post": _page("acknowledgeByLink", "Acknowledge by the signed link", 400, 409, requestBody=LINKED),
    },
    "/api/rejected": {
        "get": _admin(
            "listRejected",
            "Rejected webhooks, the newest first",
            _ok(REJECTED, "The newest 1,000 at most."),
            400,
            parameters=[_query("limit", "100 by default.", type="integer", minimum=1, maximum=1000)],
        )
    },
    "/api/rejected/{entry_id}/replay": {
        "post": _admin(
            "replay",
            "Replay a rejected webhook; resolves the incident about it",
            TAKEN,
            *(400, 403, 404, 409, 413),
            parameters=[_path("entry_id", "ID of the rejected body.")],
        )
    },
    "/api/route": {
        "post": _admin(
            "route",
            "What would follow from a webhook, by which rule; stores nothing",
            _ok(ref("Routed"), "A decision for each alert of the body."),
            *(400, 403, 413),
            parameters=[
                *INTAKE_PARAMETERS,
                _query("at", "The time to decide for, RFC 3339; now by default."),
            ],
            requestBody=WEBHOOK,
        )
    },
    "/api/silences": {
        "get": _admin("listSilences", "Silences, the newest first", _ok(ref("Silences"), "All of them.")),
        "post": _admin(
            "makeSilence",
            "Hold what matches: nobody is notified or paged until the silence ends",
            {"201": json_of(ref("SilenceDone"), "It is in force.")},
            *(400, 403, 409),
            requestBody={"required": True, "content": {"application/json": {"schema": ref("NewSilence")}}},
        ),
    },
    "/api/silences/{silence_id}": {
        "delete": _admin(
            "endSilence",
            "End it: channels are notified of what it held, and the wait begins",
            _ok(ref("SilenceDone"), "It is over, or was before."),
            *(403, 404),
            parameters=[_path("silence_id", "ID of the silence.")],
        )
    },
    "/api/slack/interactions": {
        "post": _operation(
            "clickInSlack",
            "A click in Slack, signed by Slack",
            _ok(ref("Status"), "It was understood."),
            401,
            requestBody={"content": {"application/x-www-form-urlencoded": {"schema": ref("Click")}}},
        )
    },
    "/api/openapi.json": _plain("document", "This document", {"application/json": {}}),
    "/api/docs": _plain("docs", "This document as a page", {"text/html": {}}),
    "/healthz": _plain("healthz", "This process lives", {"application/json": {"schema": ref("Status")}}),
    "/readyz": _plain(
        "readyz",
        "The whole pipeline is well",
        READY,
        **{"503": {"description": "It is not; `checks` says why.", "content": READY}},
    ),
    "/metrics": _plain("metrics", "Metrics for Prometheus", {"text/plain": {}}),
}
