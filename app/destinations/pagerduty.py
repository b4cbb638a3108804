"""Pages through PagerDuty's Events API v2 (developer.pagerduty.com/docs/events-api-v2/trigger-events)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from app.destinations.base import AddressedProvider, PagerEvent
from app.destinations.event_text import LINK, VALUE, description, metadata
from app.destinations.http import Bearer, Http
from app.destinations.incident_io.answer import Asked, judge
from app.domain.alert import Severity
from app.domain.delivery import Outcome
from app.sanitize import one_line
from config import Config

SUMMARY = 1024
ACTIONS = {"firing": "trigger", "acknowledged": "acknowledge", "resolved": "resolve"}
SEVERITIES: dict[Severity | None, str] = {
    "critical": "critical",
    "high": "error",
    "medium": "warning",
    "low": "warning",
    "info": "info",
}


class PagerDuty(AddressedProvider[SecretStr]):
    """Sends events (`POST /v2/enqueue`) under the incident's ID as `dedup_key`."""

    name = "pagerduty"
    missing = "PAGERDUTY_ROUTING_KEY"

    def __init__(self, config: Config) -> None:
        settings = config.oncall.pagerduty
        self.addresses, self.max_per_minute = settings.places, settings.max_per_minute
        self._url = f"{settings.base_url}/v2/enqueue"
        self._http = Http()

    def _send(self, event: PagerEvent, address: SecretStr, deadline: float) -> Outcome:
        answer = self._http.post(self._url, body(event, address), auth=None, deadline=deadline)
        return judge(answer, _asked(event.alert_source), datetime.now(UTC), Bearer(address).redact)

    def _check(self, address: SecretStr, deadline: float) -> Outcome | None:
        # An acknowledgement of an alert that is not there is taken, and creates none.
        event = {
            "routing_key": address.get_secret_value(),
            "event_action": "acknowledge",
            "dedup_key": "versus-check-config",
        }
        answer = self._http.post(self._url, json.dumps(event).encode(), auth=None, deadline=deadline)
        return judge(answer, _asked("default"), datetime.now(UTC), Bearer(address).redact)


def _asked(address: str) -> Asked:
    place = "PAGERDUTY_ROUTING_KEY" if address == "default" else f"the routing key {address!r}"
    return Asked("PagerDuty", "oncall.pagerduty.base_url", place, f"{place} and oncall.pagerduty.base_url")


def body(event: PagerEvent, key: SecretStr) -> bytes:
    """The JSON of an event: far below PagerDuty's 512 KB."""
    incident = event.incident
    fields: dict[str, Any] = {
        "routing_key": key.get_secret_value(),
        "event_action": ACTIONS[event.kind],
        "dedup_key": incident.id,
    }
    if event.kind == "firing":
        fields |= {
            "payload": {
                "summary": one_line(incident.title, SUMMARY) or f"Incident {incident.id}",
                "source": one_line(incident.service or incident.source, VALUE),
                "severity": SEVERITIES.get(incident.severity, "warning"),
                "timestamp": (incident.started_at or incident.created_at).isoformat(),
                "custom_details": metadata(incident) | {"description": description(event)},
                **({"component": one_line(incident.service, VALUE)} if incident.service else {}),
            },
            "client": "Versus Incident",
        }
        if event.page_url:
            fields["client_url"] = event.page_url
        if incident.source_url and len(incident.source_url) <= LINK:
            fields["links"] = [{"href": incident.source_url, "text": one_line(incident.source, VALUE)}]
    return json.dumps(fields, ensure_ascii=False).encode()
