"""Stand-ins for the other providers, as strict as their documentation; for the tests and `make demo`."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from local.incident_io_rules import Reply, Request
from local.simulator import Simulator

ACTIONS = {"trigger": "firing", "acknowledge": "acknowledged", "resolve": "resolved"}
SEVERITIES = ("critical", "error", "warning", "info")
PAYLOAD = {
    "summary": str,
    "source": str,
    "severity": str,
    "timestamp": str,
    "component": str,
    "custom_details": dict,
}
RESOLVED = "6"
WRITABLE = {
    "short_description",
    "description",
    "correlation_id",
    "correlation_display",
    "urgency",
    "impact",
    "state",
    "close_code",
    "close_notes",
}


class StandIn(Simulator, ABC):
    """A service that answers as its documentation says, unless it is told to fail."""

    def _receive(
        self, request: Request, key: str | None, refusal: Reply | None
    ) -> tuple[Reply, threading.Event]:
        with self._changed:
            true = refusal or self._judge(request, key)
            out = true.status == 503
            forced = None if out else self._next.popleft() if self._next else self._always
            reply = forced or true
            accepted = true.status < 300 and (forced is None or forced.taken or forced.status < 300)
            request = replace(request, status=reply.status, accepted=accepted and request.method != "GET")
            self.requests.append(request)
            if request.accepted:
                self._take(request, true)
            self._changed.notify_all()
            return reply, self._released

    def told(self, incident_id: str) -> list[str]:
        """See `Simulator`."""
        with self._changed:
            taken = [self.says(request) for request in self.requests if request.accepted]
        return [kind for key, kind in taken if key == incident_id]

    def titles(self, incident_id: str) -> list[str]:
        """See `Simulator`."""
        with self._changed:
            taken = [request for request in self.requests if request.accepted]
        return [self._title(r.body) for r in taken if self.says(r) == (incident_id, "firing")]

    @abstractmethod
    def states(self, incident_id: str) -> list[str]:
        """`firing` or `resolved`, for each record that it has of an incident."""

    @abstractmethod
    def says(self, request: Request) -> tuple[str, str]:
        """The incident that a request is about, and its event: `firing`, `acknowledged` or `resolved`."""

    @abstractmethod
    def _title(self, page: Any) -> str: ...

    @abstractmethod
    def _judge(self, request: Request, key: str | None) -> Reply: ...

    @abstractmethod
    def _take(self, request: Request, reply: Reply) -> None: ...


class PagerDuty(StandIn):
    """The Events API v2. `alerts`: the state by routing key and `dedup_key`; `out`: keys that get a 503."""

    def _judge(self, request: Request, key: str | None) -> Reply:
        if (request.method, request.path) != ("POST", "/v2/enqueue"):
            return Reply(404, "Not Found")
        if errors := list(self._wrong(request.body)):
            return Reply(
                400, {"status": "invalid event", "message": "Event object is invalid", "errors": errors}
            )
        if request.body["routing_key"] in self.out:
            return Reply(503)
        done = {"status": "success", "message": "Event processed", "dedup_key": request.body["dedup_key"]}
        return Reply(202, done)

    def _wrong(self, event: Any) -> Any:
        if not isinstance(event, dict):
            yield "The body must be a JSON object"
            return
        if event.get("routing_key") not in self.keys:
            yield "Invalid routing key"
        if event.get("event_action") not in ("trigger", "acknowledge", "resolve"):
            yield "event_action must be trigger, acknowledge or resolve"
        if not 0 < len(str(event.get("dedup_key", ""))) <= 255:
            yield "dedup_key must have 1 to 255 characters"
        if event.get("event_action") == "trigger":
            yield from _wrong_payload(event.get("payload"))

    def _take(self, request: Request, reply: Reply) -> None:
        place = request.body["routing_key"], request.body["dedup_key"]
        match request.body["event_action"]:
            case "trigger":
                self.alerts[place] = "firing"
            case "resolve" if place in self.alerts:
                self.alerts[place] = "resolved"

    def states(self, incident_id: str) -> list[str]:
        return [state for (_, key), state in self.alerts.items() if key == incident_id]

    def says(self, request: Request) -> tuple[str, str]:
        return request.body["dedup_key"], ACTIONS[request.body["event_action"]]

    def _title(self, page: Any) -> str:
        return str(page["payload"]["summary"])


def _wrong_payload(payload: Any) -> Any:
    if not isinstance(payload, dict):
        yield "payload is missing"
        return
    for name in ("summary", "source", "severity"):
        if not payload.get(name):
            yield f"payload.{name} is missing or blank"
    for name, value in payload.items():
        if not isinstance(value, PAYLOAD.get(name, ())):
            yield f"payload.{name} is unknown or has the wrong type"
    if payload.get("severity") not in SEVERITIES:
        yield "payload.severity is not included in the list"
    if len(str(payload.get("summary"))) > 1024:
        yield "payload.summary is too long"


class ServiceNow(StandIn):
    """The Table API of one table; `keys`: `user:password` of those who may write it."""

    def __init__(self, *users: str, table: str = "incident") -> None:
        basic = ("Basic " + base64.b64encode(user.encode()).decode() for user in users)
        super().__init__({key: {table} for key in basic})
        self._path = f"/api/now/table/{table}"
        self.records: dict[str, dict[str, Any]] = {}
        """By `sys_id`."""

    def _judge(self, request: Request, key: str | None) -> Reply:
        parts = urlsplit(request.path)
        if key not in self.keys:
            return _error(401, "User Not Authenticated", "Required to provide Auth information")
        if not parts.path.startswith(self._path):
            return _error(404, "Invalid table", "")
        if request.method == "GET":
            [query] = parse_qs(parts.query)["sysparm_query"]
            name, _, wanted = query.partition("=")
            return Reply(200, {"result": [r for r in self.records.values() if r.get(name) == wanted]})
        if not isinstance(request.body, dict) or set(request.body) - WRITABLE:
            return _error(400, "Exception while reading request", "Unknown fields, or no JSON object")
        if len(request.body.get("short_description", "")) > 160:
            return _error(400, "Value too long", "short_description")
        if request.method == "POST":
            number = len(self.records) + 1
            return Reply(
                201, {"result": {"sys_id": f"{number:032x}", "number": f"INC{number:07}", **request.body}}
            )
        record = self.records.get(parts.path.rpartition("/")[2])
        if record is None:
            return _error(
                404, "No Record found", "Record doesn't exist or ACL restricts the record retrieval"
            )
        return Reply(200, {"result": {**record, **request.body}})

    def _take(self, request: Request, reply: Reply) -> None:
        record = reply.body["result"]
        self.records[record["sys_id"]] = record

    def states(self, incident_id: str) -> list[str]:
        records = [one for one in self.records.values() if one["correlation_id"] == incident_id]
        return ["resolved" if one.get("state") == RESOLVED else "firing" for one in records]

    def says(self, request: Request) -> tuple[str, str]:
        if request.method == "POST":
            return request.body["correlation_id"], "firing"
        record = self.records[request.path.rpartition("/")[2]]
        return record["correlation_id"], "resolved"

    def _title(self, page: Any) -> str:
        return str(page["short_description"])


def _error(status: int, message: str, detail: str) -> Reply:
    return Reply(status, {"error": {"message": message, "detail": detail}, "status": "failure"})


class IncidentManager(StandIn):
    """AWS Systems Manager Incident Manager. `started`: the status by incident record ARN."""

    def __init__(self, *plans: str) -> None:
        super().__init__({})
        self._plans = plans
        self.started: dict[str, str] = {}

    def _judge(self, request: Request, key: str | None) -> Reply:
        body = request.body
        if not str(key).startswith("AWS4-HMAC-SHA256 "):
            return _aws_error(403, "AccessDeniedException", "The request is not signed")
        if request.path.startswith("/getResponsePlan") and request.method == "GET":
            [plan] = parse_qs(urlsplit(request.path).query)["arn"]
            if plan not in self._plans:
                return _aws_error(404, "ResourceNotFoundException", "There is no such response plan")
            template = {"impact": 3, "title": "A plan"}
            return Reply(200, {"arn": plan, "name": "plan", "incidentTemplate": template})
        if request.path == "/startIncident":
            if body["responsePlanArn"] not in self._plans:
                return _aws_error(404, "ResourceNotFoundException", "There is no such response plan")
            if not 0 < len(body["title"]) <= 200 or len(body["triggerDetails"]["rawData"]) > 10_000:
                return _aws_error(400, "ValidationException", "A text is too long")
            return Reply(201, {"incidentRecordArn": _record(body["clientToken"])})
        if request.path == "/updateIncidentRecord" and body["arn"] in self.started:
            return Reply(204)
        return _aws_error(404, "ResourceNotFoundException", "There is no such record")

    def _take(self, request: Request, reply: Reply) -> None:
        if request.path == "/startIncident":
            self.started.setdefault(_record(request.body["clientToken"]), "OPEN")
        else:
            self.started[request.body["arn"]] = request.body["status"]

    def states(self, incident_id: str) -> list[str]:
        found = [status for arn, status in self.started.items() if arn == _record(incident_id)]
        return ["resolved" if status == "RESOLVED" else "firing" for status in found]

    def says(self, request: Request) -> tuple[str, str]:
        if request.path == "/startIncident":
            return request.body["clientToken"], "firing"
        return request.body["arn"].rpartition("/")[2], "resolved"

    def _title(self, page: Any) -> str:
        return str(page["title"])


def _record(token: str) -> str:
    return f"arn:aws:ssm-incidents::111122223333:incident-record/plan/{token}"


def _aws_error(status: int, code: str, message: str) -> Reply:
    return Reply(status, {"message": message}, {"x-amzn-errortype": code})


class Receiver(StandIn):
    """Takes JSON that is signed with the secret, as `X-Versus-Signature-256` says."""

    def __init__(self, secret: str | None = None) -> None:
        super().__init__({})
        self._secret = secret

    def _judge(self, request: Request, key: str | None) -> Reply:
        if not isinstance(request.body, dict):
            return Reply(400, {"error": "The body must be a JSON object"})
        if self._secret is None:
            return Reply(200, {})
        raw = json.dumps(request.body, ensure_ascii=False).encode()
        right = hmac.new(self._secret.encode(), raw, hashlib.sha256).hexdigest()
        given = request.headers.get("x-versus-signature-256", "")
        return (
            Reply(200, {}) if given == f"sha256={right}" else Reply(401, {"error": "The signature is wrong"})
        )

    def _take(self, request: Request, reply: Reply) -> None:
        key, kind = self.says(request)
        self.alerts[request.path, key] = "resolved" if kind == "resolved" else "firing"

    def states(self, incident_id: str) -> list[str]:
        return [state for (_, key), state in self.alerts.items() if key == incident_id]

    def says(self, request: Request) -> tuple[str, str]:
        return request.body["incident"]["id"], request.body["event"]

    def _title(self, page: Any) -> str:
        return str(page["incident"]["title"])
