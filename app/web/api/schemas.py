"""What the API takes and gives, as JSON Schema; `app/web/api/openapi.py` says where."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from app.serializers import DecisionOut, IncidentBrief, IncidentOut, SilenceOut

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


TEXT: Json = {"type": "string"}
NUMBER: Json = {"type": "integer"}
BY: Json = {"type": "string", "description": "Who does it, for the timeline."}
MINUTES: Json = {
    "type": ["number", "null"],
    "exclusiveMinimum": 0,
    "maximum": 10080,
    "description": "For how long; without them until it is resolved.",
}
BRIEF, INCIDENT, SILENCE = ref("IncidentBrief"), ref("IncidentOut"), ref("SilenceOut")
BRIEF_OR_NULL: Json = {"anyOf": [BRIEF, {"type": "null"}]}
_REJECTED = _object(
    {
        **dict.fromkeys(("id", "first_at", "last_at", "error", "body", "method"), TEXT),
        **dict.fromkeys(("status", "size", "count"), NUMBER),
        "truncated": {"type": "boolean"},
        "incident": {"type": ["string", "null"], "description": "ID of the incident about it."},
        "remote_address": {"type": ["string", "null"]},
        "headers": {"type": "object"},
        "query": {"type": "object"},
        "body_base64": {"type": "string", "description": "The whole body, if it is no text."},
    },
    "body_base64",
)
REJECTED = _object({"rejected": {"type": "array", "items": _REJECTED}})
PAYLOAD: Json = {
    "anyOf": [
        {"type": "object"},
        {"type": "array", "items": {"type": "object"}, "minItems": 1, "maxItems": 5000},
    ]
}

_, _INCIDENTS = models_json_schema(
    [(one, "serialization") for one in (IncidentBrief, IncidentOut, DecisionOut, SilenceOut)],
    ref_template="#/components/schemas/{model}",
)
SCHEMAS: Json = {
    **_INCIDENTS["$defs"],
    "Error": _object({"error": {"type": "string", "description": "What is wrong, and what would be right."}}),
    "IncidentPage": _object(
        {"incidents": {"type": "array", "items": BRIEF}, "cursor": {"type": ["string", "null"]}}
    ),
    "Received": _object(
        {
            "status": TEXT,
            "incident": BRIEF_OR_NULL,
            "count": {"type": "integer"},
            "incidents": {"type": "array", "items": BRIEF_OR_NULL},
        },
        "incident",
        "count",
        "incidents",
    ),
    "Routed": _object({"at": TEXT, "decisions": {"type": "array", "items": ref("DecisionOut")}}),
    "Acted": _object({"status": TEXT, "incident": INCIDENT}),
    "Silences": _object({"silences": {"type": "array", "items": SILENCE}}),
    "SilenceDone": _object({"status": TEXT, "silence": SILENCE}),
    "NewSilence": _object(
        {
            "match": {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": {"anyOf": [TEXT, {"type": "array", "items": TEXT, "minItems": 1}]},
                "description": "Patterns for source, service, severity, title, namespace, label.<name>.",
            },
            "minutes": {"type": "number", "exclusiveMinimum": 0, "maximum": 43200},
            "until": {"type": "string", "format": "date-time", "description": "Instead of minutes."},
            "comment": {"type": "string", "minLength": 1, "description": "Why."},
            "by": BY,
        },
        "minutes",
        "until",
        "by",
    ),
    "Linked": _object({"status": TEXT, "incident": BRIEF}),
    "By": _object({"by": BY}, "by"),
    "Acknowledgement": _object({"by": BY, "minutes": MINUTES}, "by", "minutes"),
    "LinkAcknowledgement": _object({"name": BY, "minutes": MINUTES}, "name", "minutes"),
    "Click": _object({"payload": {"type": "string", "description": "JSON, as Slack documents it."}}),
    "Status": _object({"status": TEXT}),
    "Readiness": _object({"status": TEXT, "checks": {"type": "object", "additionalProperties": TEXT}}),
}
