"""The fields of an alert event."""

from __future__ import annotations

import json
from typing import Any

from jinja2 import Template

from app.destinations.base import PagerEvent
from app.destinations.event_text import LINK, TITLE, VALUE, description, metadata
from app.domain.incident import Incident
from app.sanitize import one_line
from app.telemetry import log


def body(event: PagerEvent, title: str) -> bytes:
    """The JSON of an alert event: never over 256 KiB, valid UTF-8, the same keys every time."""
    incident = event.incident
    source_url = incident.source_url or ""
    fields: dict[str, Any] = {
        "title": title,
        "deduplication_key": incident.id,
        "status": event.kind,
        "description": description(event),
        "metadata": metadata(incident),
    }
    # A link that was cut would lead nowhere.
    if link := source_url if 0 < len(source_url) <= LINK else event.page_url:
        fields["source_url"] = link
    return json.dumps(fields, ensure_ascii=False).encode()


def title_of(template: Template, incident: Incident) -> str:
    """One line from the configured template; `Incident <id>` when it says nothing or fails."""
    try:
        title = one_line(template.render(incident=incident), TITLE)
    except Exception as error:
        # Whatever somebody's template does with this incident's data, the page goes out.
        log.error("title_failed", incident=incident.id, error=one_line(repr(error), VALUE))
        title = ""
    return title or f"Incident {incident.id}"
