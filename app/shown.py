"""What an incident looks like to programs: in answers of the API and in the output of `versus`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.gateway import Gateway
from app.incident import Incident
from app.timeline import rfc3339


def brief(gateway: Gateway, one: Incident, now: datetime | None) -> dict[str, Any]:
    """The incident as JSON, without the sender's body and the timeline. Times are RFC 3339, UTC.

    The link to acknowledge is good for seven days from `now`; None for an incident that is not stored.
    """
    return {
        "id": one.id,
        "state": one.state.value,
        "title": one.title,
        "description": one.description,
        "severity": one.severity,
        "service": one.service,
        "source": one.source,
        "source_url": one.source_url,
        "started_at": _time(one.started_at),
        "labels": one.labels,
        "created_at": _time(one.created_at),
        "due_at": _time(one.due_at),
        "acknowledged_at": _time(one.acknowledged_at),
        "acknowledged_by": one.acknowledged_by,
        "escalated_at": _time(one.escalated_at),
        "failed_at": _time(one.failed_at),
        "resolved_at": _time(one.resolved_at),
        "alert_source": one.alert_source,
        "attempts": one.attempts,
        "last_error": one.last_error,
        "last_reason": one.last_reason,
        "ack_url": gateway.links.url(one.id, now) if now is not None and one.can_be_acknowledged else None,
        "occurrences": one.occurrences,
    }


def whole(gateway: Gateway, one: Incident, payload: Any, now: datetime) -> dict[str, Any]:
    """The incident with the sender's newest body and its timeline."""
    timeline = [{"at": rfc3339(e.at), "event": e.event, "detail": e.detail} for e in one.timeline]
    return {**brief(gateway, one, now), "payload": payload, "timeline": timeline}


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
