"""Fluent Bit: each record of a log is an incident, because nothing tells which of them are one problem."""

from __future__ import annotations

import app.senders.fields as fields
from app.alert import Effect
from app.senders.fields import Json, Webhook, first, mapping
from app.senders.row import Row, always, first_of

_TEXTS = ("log", "Logs", "message", "msg")
_TIMES = ("date", "@timestamp", "time")


def _is_record(webhook: Webhook) -> bool:
    body = webhook.body
    if body.get("date") is not None and any(body.get(name) is not None for name in (*_TEXTS, "kubernetes")):
        return True
    return webhook.headers.get("user-agent", "").startswith("Fluent-Bit")


def _title(body: Json) -> object:
    return first(fields.first_line, body, _TEXTS)


def _service(body: Json) -> object:
    kubernetes = mapping(body.get("kubernetes"))
    return (
        first(fields.line, body, ("ServiceName", "service"))
        or first(fields.line, mapping(kubernetes.get("labels")), ("app", "app.kubernetes.io/name"))
        or fields.line(kubernetes.get("container_name"))
        or fields.line(body.get("container_name"))
    )


def _labels(body: Json) -> object:
    """All that is flat in the record but its text and its time, and in what is told of Kubernetes."""
    record = {name: value for name, value in body.items() if name not in (*_TEXTS, *_TIMES)}
    return {**mapping(body.get("kubernetes")), **record}


ROW = Row(
    source="fluentbit",
    recognised=_is_record,
    # Whatever a program writes into its log, it gives no all-clear.
    effect=always(Effect.FIRING),
    title=_title,
    description=first_of("log", "Logs", "message", "msg"),
    severity=first_of("level", "severity"),
    service=_service,
    started_at=first_of("date", "@timestamp", "time"),
    labels=_labels,
)
