"""What every provider is sent of an incident, besides what its own API asks for: a text, and flat facts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC
from typing import Any

from app.destinations.base import PagerEvent
from app.domain.incident import Incident
from app.domain.timeline import clock
from app.sanitize import lines, one_line

# In characters, of at most four bytes each: together they keep any body far below 256 KiB, half of what
# Alertmanager's receiver for incident.io allows itself (incident.io documents no limit).
TITLE = 255
WORDS = 16_000
VALUE = 500
LABEL_NAME = 100
LABELS = 50
LINK = 2_000
NOTIFIED = 10
"""Lines about channels in a description."""
NOTIFIED_HEADS = {"notified": "Notified", "not_notified": "Could not notify"}


def description(event: PagerEvent) -> str:
    """Markdown for anyone who is woken by it.

    The facts and the link stand before the sender's words, which may be long, or leave a code block open.
    """
    facts = "\n".join(f"- {fact}" for fact in _facts(event))
    words = lines(event.incident.description, WORDS)
    return f"**{one_line(event.incident.title, TITLE)}**\n\n{facts}\n\n{words}".rstrip()


def _facts(event: PagerEvent) -> Iterator[str]:
    incident = event.incident
    if incident.severity:
        yield f"Severity: {incident.severity}"
    if incident.service:
        yield f"Service: {one_line(incident.service, VALUE)}"
    yield f"Source: {one_line(incident.source, VALUE)}"
    yield f"Since: {clock(incident.started_at or incident.created_at)}"
    if incident.occurrences > 1:
        yield f"Occurrences: {incident.occurrences}"
    yield from _notified(event)
    if event.kind == "resolved":
        yield f"Resolved: {_resolution(incident)}"
    if event.page_url is None:
        yield "Paged at once because Redis was out of reach; it can't be acknowledged in Versus Incident"
    else:
        invitation = "Acknowledge or read more" if event.kind == "firing" else "Read more"
        yield f"[{invitation}]({event.page_url})"


def _notified(event: PagerEvent) -> Iterator[str]:
    """Which channels were notified."""
    for entry in event.notified[:NOTIFIED]:
        at = entry.at.astimezone(UTC).strftime("%H:%M:%S")
        yield f"{NOTIFIED_HEADS[entry.event]} {one_line(entry.detail, VALUE)} (at {at})"


def _resolution(incident: Incident) -> str:
    when = [clock(incident.resolved_at)] if incident.resolved_at else []
    # The record has no field for it, its timeline has.
    who = next((entry.detail for entry in reversed(incident.timeline) if entry.event == "resolved"), "")
    return one_line(" ".join([*when, who]), VALUE)


def metadata(incident: Incident) -> dict[str, Any]:
    """Flat, with stable keys, since people parse attributes and routes from it.

    A label is `label_<name>`, every character of its name but letters, digits and `_` as `_`; of two names
    that become the same, the first stays.
    """
    facts = {
        "incident_id": incident.id,
        "alert_title": one_line(incident.title, VALUE),
        "source": one_line(incident.source, VALUE),
        "severity": incident.severity,
        "service": one_line(incident.service, VALUE) if incident.service else None,
        "occurrences": incident.occurrences,
    }
    metadata: dict[str, Any] = {key: value for key, value in facts.items() if value is not None}
    for name, value in list(incident.labels.items())[:LABELS]:
        key = re.sub(r"\W", "_", name[:LABEL_NAME])
        metadata.setdefault(f"label_{key}", lines(value, VALUE))
    return metadata
