"""Pages by a record in ServiceNow's Table API, by default of the table `incident`."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from app.destinations.base import AddressedProvider, PagerEvent
from app.destinations.event_text import description
from app.destinations.http import Basic, Http, HttpAnswer, NoAnswer
from app.destinations.incident_io.answer import Asked, judge, parsed
from app.domain.alert import Severity
from app.domain.delivery import Outcome
from app.sanitize import one_line
from config import Config, Instance

SHORT = 160
RESOLVED = "6"
URGENCY: dict[Severity | None, int] = {"critical": 1, "high": 1, "medium": 2, "low": 3, "info": 3}


class ServiceNow(AddressedProvider[Instance]):
    """Inserts a record for a page, and resolves it; `correlation_id` is the incident's ID."""

    name = "servicenow"
    missing = "SERVICENOW_INSTANCE_URL, SERVICENOW_USERNAME and SERVICENOW_PASSWORD"

    def __init__(self, config: Config) -> None:
        self._settings = config.oncall.servicenow
        self.addresses, self.max_per_minute = self._settings.places, self._settings.max_per_minute
        self._http = Http()

    def _send(self, event: PagerEvent, address: Instance, deadline: float) -> Outcome:
        # A POST inserts, so after doubt it looks first.
        call = _Call(self._http, address, self._settings.table, deadline)
        record, outcome = event.reference, None
        if record is None and (event.uncertain or event.kind == "resolved"):
            record, outcome = call.found(event.incident.id)
        if outcome is not None and not outcome.delivered:
            return outcome
        if event.kind == "firing":
            return outcome if record and outcome else call.send("POST", "", _inserted(event))
        if record is None:
            return Outcome("delivered", "ServiceNow has no record of the incident, so nothing was resolved.")
        closed = {
            "state": RESOLVED,
            "close_code": self._settings.close_code,
            "close_notes": self._settings.close_notes,
        }
        return call.send("PATCH", f"/{quote(record, safe='')}", closed)

    def _check(self, address: Instance, deadline: float) -> Outcome | None:
        # Reading; whether the user may also write shows when it is tried.
        _, outcome = _Call(self._http, address, self._settings.table, deadline).found("versus-check-config")
        return outcome


class _Call:
    """Requests about one incident at one instance, all of them within one deadline."""

    def __init__(self, http: Http, instance: Instance, table: str, deadline: float) -> None:
        self._http = http
        self._auth = Basic(instance.username, instance.password)
        self._url = f"{instance.url}/api/now/table/{table}"
        self._deadline = deadline

    def send(self, method: Any, path: str, fields: dict[str, Any]) -> Outcome:
        """Insert or change a record."""
        content = json.dumps(fields, ensure_ascii=False).encode()
        answer = self._http.post(
            self._url + path,
            content,
            auth=self._auth,
            deadline=self._deadline,
            method=method,
            headers={"Accept": "application/json"},
        )
        return self._judged(answer, _result(answer))

    def found(self, incident_id: str) -> tuple[str | None, Outcome]:
        """The `sys_id` of the incident's record, if there is one, and how asking for it ended."""
        query = f"?sysparm_query=correlation_id={incident_id}&sysparm_limit=1"
        answer = self._http.get(self._url + query, auth=self._auth, deadline=self._deadline)
        result = _result(answer)
        outcome = self._judged(answer, result)
        return outcome.reference, outcome

    def _judged(self, answer: HttpAnswer | NoAnswer, record: dict[str, Any]) -> Outcome:
        asked = Asked(
            "ServiceNow",
            "SERVICENOW_INSTANCE_URL",
            "SERVICENOW_USERNAME and SERVICENOW_PASSWORD, and that the user may write the table",
            "SERVICENOW_INSTANCE_URL and oncall.servicenow.table",
        )
        outcome = judge(answer, asked, datetime.now(UTC), self._auth.redact)
        if not outcome.delivered or not isinstance(record.get("sys_id"), str):
            return outcome
        detail = f"{outcome.detail.rstrip('.')}, record {one_line(str(record.get('number', '?')), 40)}."
        return replace(outcome, detail=detail, reference=record["sys_id"])


def _inserted(event: PagerEvent) -> dict[str, Any]:
    incident, urgency = event.incident, URGENCY.get(event.incident.severity, 2)
    return {
        "short_description": one_line(incident.title, SHORT) or f"Incident {incident.id}",
        "description": description(event),
        "correlation_id": incident.id,
        "correlation_display": "versus-incident",
        "urgency": str(urgency),
        "impact": str(urgency),
    }


def _result(answer: HttpAnswer | NoAnswer) -> dict[str, Any]:
    """The record in an answer: the first one, of a list."""
    result = parsed(answer.body).get("result") if isinstance(answer, HttpAnswer) else None
    if isinstance(result, list):
        result = result[0] if result else None
    return result if isinstance(result, dict) else {}
