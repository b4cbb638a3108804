"""Fluent Bit: each record of a log is an incident, because nothing says which of them are one problem."""

from __future__ import annotations

import app.ingest.webhooks.coerce as coerce
from app.domain.alert import Effect
from app.ingest.webhooks.coerce import Json, Webhook, first, mapping
from app.ingest.webhooks.field_map import FieldMap, always, first_of

_TEXTS = ("log", "Logs", "message", "msg")
_TIMES = ("date", "@timestamp", "time")


def _is_record(webhook: Webhook) -> bool:
    body = webhook.body
    if body.get("date") is not None and any(body.get(name) is not None for name in (*_TEXTS, "kubernetes")):
        return True
    return webhook.headers.get("user-agent", "").startswith("Fluent-Bit")


def _title(body: Json) -> object:
    return first(coerce.first_line, body, _TEXTS)


def _service(body: Json) -> object:
    kubernetes = mapping(body.get("kubernetes"))
    return (
        first(coerce.line, body, ("ServiceName", "service"))
        or first(coerce.line, mapping(kubernetes.get("labels")), ("app", "app.kubernetes.io/name"))
        or coerce.line(kubernetes.get("container_name"))
        or coerce.line(body.get("container_name"))
    )


def _labels(body: Json) -> object:
    """All that is flat in the record but its text and its time, and in what it has of Kubernetes."""
    record = {name: value for name, value in body.items() if name not in (*_TEXTS, *_TIMES)}
    return {**mapping(body.get("kubernetes")), **record}


FIELD_MAP = FieldMap(
    source="fluentbit",
    matches=_is_record,
    # Whatever a program writes into its log, it gives no resolve event.
    effect=always(Effect.FIRING),
    title=_title,
    description=first_of(*_TEXTS),
    severity=first_of("level", "severity"),
    service=_service,
    started_at=first_of(*_TIMES),
    labels=_labels,
)
