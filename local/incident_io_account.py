"""What incident.io says to a key of the account, from its SDK's models; for the simulator.

As strict as they are: unknown parameters and operators are 422, and so is a response other than documented.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from local.incident_io_rules import Reply, Request, error

MOMENT = "2026-03-04T03:00:00Z"
PARAMETERS = {
    "alerts": {"page_size", "after", "deduplication_key[is]"},
    "escalations": {"page_size", "after", "alert[one_of]"},
    "schedules": {"page_size", "after"},
}
RESPONSES = ("ack", "nack", "snooze")

Alerts = Mapping[tuple[str, str], str]
"""State by alert source config ID and deduplication key."""


@dataclass
class Account:
    """An account; everything may be changed while the simulator runs."""

    keys: set[str] = field(default_factory=set)
    drops: bool = False
    """The alert sources' filters drop every event that is accepted."""
    people: list[str] = field(default_factory=lambda: ["Ada Lovelace"])
    """Who is notified by each escalation; nobody yet, if it is empty."""
    escalates: bool = True
    """Alerts have an escalation."""
    source_type: str = "http"
    schedules: dict[str, list[str]] = field(default_factory=lambda: {"Primary": ["Ada Lovelace"]})
    """Who is on call, by schedule."""
    acknowledged: list[str] = field(default_factory=list)
    """IDs of alerts whose escalation was acknowledged, in order."""
    others: bool = False
    """Filters are ignored: what is asked for comes with what others have."""

    def answer(self, request: Request, key: str | None, alerts: Alerts) -> Reply | None:
        """The answer; None to a request that needs no key of the account."""
        parts = urlsplit(request.path)
        place = parts.path.strip("/").split("/")
        answers: dict[tuple[str, str], Callable[[dict[str, str]], Reply]] = {
            ("GET", "alerts"): lambda query: self._alerts(query, alerts),
            ("GET", "escalations"): lambda query: self._escalations(query, alerts),
            ("GET", "schedules"): lambda _: self._schedules(),
        }
        known = answers.get((request.method, place[-1])) if place[:1] == ["v2"] and len(place) == 2 else None
        match place:
            case ["v2", "alert_sources", source] if request.method == "GET":
                known = lambda _: self._source(source, {one for one, _ in alerts})  # noqa: E731
            case ["v2", "escalations", escalation, "actions", "respond"] if request.method == "POST":
                known = lambda _: self._respond(escalation, request.body, alerts)  # noqa: E731
        if known is None:
            return None
        if key not in self.keys:
            return error(401, "authentication_error", "unauthorized", "The API key is missing or wrong")
        query = dict(parse_qsl(parts.query))
        if unknown := set(query) - PARAMETERS.get(place[1], set()):
            return error(422, "validation_error", "unknown_field", f"There is no parameter {sorted(unknown)}")
        return known(query)

    def _alerts(self, query: dict[str, str], alerts: Alerts) -> Reply:
        wanted = None if self.others else query.get("deduplication_key[is]")
        found = [
            _alert(source, key, state)
            for (source, key), state in alerts.items()
            if not self.drops and wanted in (None, key)
        ]
        if self.others:
            found = [_alert("another-source", "another-key", "firing")]
        return Reply(200, {"alerts": found, "pagination_meta": {"page_size": 25}})

    def _escalations(self, query: dict[str, str], alerts: Alerts) -> Reply:
        wanted = query.get("alert[one_of]")
        ids = [_id(*place) for place in alerts if self.escalates and not self.drops]
        found = [self._escalation(one) for one in ids if wanted in (None, one)]
        return Reply(200, {"escalations": found, "pagination_meta": {"page_size": 25}})

    def _escalation(self, alert_id: str) -> dict[str, Any]:
        events = [_event("triggered")]
        if self.people:
            events.append(_event("notified_users", self.people))
        return {
            "id": f"escalation-{alert_id}",
            "title": "An alert",
            "description": "",
            "status": "acked" if alert_id in self.acknowledged else "triggered",
            "creator": {"alert": {"id": alert_id, "title": "An alert"}},
            "priority": {"name": "P1"},
            "events": events,
            "related_alerts": [],
            "related_incidents": [],
            "created_at": MOMENT,
            "updated_at": MOMENT,
        }

    def _respond(self, escalation: str, body: Any, alerts: Alerts) -> Reply:
        alert_id = escalation.removeprefix("escalation-")
        if alert_id not in (_id(*place) for place in alerts):
            return error(404, "not_found", "not_found", "There is no such escalation")
        if not isinstance(body, dict) or set(body) != {"response"} or body["response"] not in RESPONSES:
            return error(422, "validation_error", "invalid_enum", "It is ack, nack or snooze", "response")
        self.acknowledged.append(alert_id)
        return Reply(200, {})

    def _source(self, source: str, known: set[str]) -> Reply:
        if source not in known:
            return error(404, "not_found", "not_found", "There is no alert source with this ID")
        shown = {
            "id": source,
            "name": "Versus Incident",
            "source_type": self.source_type,
            "secret_token": "a-secret-of-the-source",
            "template": {
                "attributes": [],
                "expressions": [],
                "is_private": False,
                "description": {"label": "Description", "literal": ""},
                "title": {"label": "Title", "literal": ""},
            },
            **({"filter_condition_groups": [{"conditions": []}]} if self.drops else {}),
        }
        return Reply(200, {"alert_source": shown})

    def _schedules(self) -> Reply:
        found = [_schedule(name, people) for name, people in self.schedules.items()]
        meta = {"page_size": 25, "total_record_count": len(found)}
        return Reply(200, {"schedules": found, "pagination_meta": meta})


def _id(source: str, key: str) -> str:
    return f"alert-{source}-{key}"


def _alert(source: str, key: str, state: str) -> dict[str, Any]:
    return {
        "id": _id(source, key),
        "alert_source_id": source,
        "deduplication_key": key,
        "status": state,
        "title": "An alert",
        "attributes": [],
        "created_at": MOMENT,
        "updated_at": MOMENT,
    }


def _user(name: str) -> dict[str, str]:
    return {"id": f"user-{name}", "name": name, "role": "responder"}


def _event(kind: str, people: list[str] | None = None) -> dict[str, Any]:
    event: dict[str, Any] = {"id": f"event-{kind}", "event": kind, "occurred_at": MOMENT}
    return event | ({"users": [_user(name) for name in people], "urgency": "high"} if people else {})


def _schedule(name: str, people: list[str]) -> dict[str, Any]:
    shifts = [{"start_at": MOMENT, "end_at": MOMENT, "user": _user(one)} for one in people]
    return {
        "id": f"schedule-{name}",
        "name": name,
        "annotations": {},
        "permalink": "https://app.incident.io/simulated",
        "team_ids": [],
        "timezone": "UTC",
        "current_shifts": shifts,
        "created_at": MOMENT,
        "updated_at": MOMENT,
    }
