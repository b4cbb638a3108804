"""What the API takes and gives, as JSON Schema; `app/web/openapi.py` says where."""

from __future__ import annotations

from typing import Any

from app.alert import SEVERITIES
from app.incident import State

Json = dict[str, Any]


def ref(name: str) -> Json:
    """One of `SCHEMAS`, by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def json_of(schema: Json, description: str) -> Json:
    """An answer that is JSON."""
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _object(properties: Json, *optional: str) -> Json:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def _or_null(kind: str, **more: Any) -> Json:
    return {"type": [kind, "null"], **more}


TEXT: Json = {"type": "string"}
TIME: Json = {"type": "string", "format": "date-time"}
NO_TIME: Json = _or_null("string", format="date-time")

_BRIEF: Json = {
    "id": {"type": "string", "description": "UUID."},
    "state": {"type": "string", "enum": [str(state) for state in State]},
    "title": TEXT,
    "description": {"type": "string", "description": "The sender's words, Markdown."},
    "severity": {"enum": [*SEVERITIES, None]},
    "service": _or_null("string"),
    "source": {"type": "string", "description": "The sender, such as `alertmanager`."},
    "source_url": _or_null("string"),
    "started_at": NO_TIME,
    "labels": {"type": "object", "additionalProperties": TEXT},
    "created_at": TIME,
    "due_at": {**NO_TIME, "description": "When it pages or paged; null when nothing is scheduled."},
    "acknowledged_at": NO_TIME,
    "acknowledged_by": _or_null("string"),
    "escalated_at": NO_TIME,
    "failed_at": {**NO_TIME, "description": "When its page was first refused for good, or given up."},
    "resolved_at": NO_TIME,
    "alert_source": {"type": "string", "description": "Name of the alternate, or `default`."},
    "attempts": {"type": "integer", "minimum": 0},
    "last_error": _or_null("string"),
    "last_reason": _or_null("string", description="One word for `last_error`, as in log and metrics."),
    "ack_url": _or_null("string", description="The signed link; null when there is nothing to acknowledge."),
    "occurrences": {"type": "integer", "minimum": 1},
}
_ENTRY = _object({"at": TIME, "event": TEXT, "detail": TEXT})
_WHOLE: Json = {
    **_BRIEF,
    "payload": {"description": "The sender's newest body, as received, without secrets."},
    "timeline": {"type": "array", "items": _ENTRY},
}

INCIDENT = ref("Incident")
REJECTED = _object({"rejected": {"type": "array", "items": {"type": "object"}}})
PAYLOAD: Json = {
    "anyOf": [
        {"type": "object"},
        {"type": "array", "items": {"type": "object"}, "minItems": 1, "maxItems": 5000},
    ]
}

SCHEMAS: Json = {
    "Error": _object({"error": {"type": "string", "description": "What is wrong, and what would be right."}}),
    "Brief": _object(_BRIEF),
    "Incident": _object(_WHOLE),
    "IncidentPage": _object(
        {"incidents": {"type": "array", "items": ref("Brief")}, "cursor": _or_null("string")}
    ),
    "Received": _object(
        {
            "status": TEXT,
            "incident": {"anyOf": [ref("Brief"), {"type": "null"}]},
            "count": {"type": "integer"},
            "incidents": {"type": "array", "items": {"anyOf": [ref("Brief"), {"type": "null"}]}},
        },
        "incident",
        "count",
        "incidents",
    ),
    "Acted": _object({"status": TEXT, "incident": INCIDENT}),
    "Linked": _object({"status": TEXT, "incident": ref("Brief")}),
    "By": _object({"by": {"type": "string", "description": "Who does it, for the timeline."}}, "by"),
    "Click": _object({"payload": {"type": "string", "description": "JSON, as Slack documents it."}}),
    "Status": _object({"status": TEXT}),
    "Readiness": _object({"status": TEXT, "checks": {"type": "object", "additionalProperties": TEXT}}),
}
