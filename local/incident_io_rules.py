"""What incident.io says to a request, from its public API reference; for the simulator."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

LARGEST_BODY = 512 * 1024
Mode = Literal["answer", "hang", "reset", "trickle", "trickle_body", "garbage"]
MODES: tuple[Mode, ...] = get_args(Mode)

_TYPES = {
    "title": str,
    "status": str,
    "deduplication_key": str,
    "description": str,
    "metadata": dict,
    "source_url": str,
}
_REQUIRED = ("title", "status", "deduplication_key")
_IDENTITY = {
    "name": "Simulated key",
    "roles": ["viewer"],
    "dashboard_url": "https://app.incident.io/simulated",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, or the way in which it stays out."""

    status: int
    body: Any = None
    """Sent as JSON unless it is text; None is no body."""
    headers: Mapping[str, str] = field(default_factory=dict)
    mode: Mode = "answer"
    """`hang`: nothing until it is released; `reset`: the connection breaks; `trickle`: headers without end;
    `trickle_body`: a body without end; `garbage`: no HTTP."""
    taken: bool = False
    """A good event counts although this is what its sender gets to see."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came, and what became of it."""

    at: float
    """Unix time, seconds."""
    monotonic: float
    """`time.monotonic()` when it had been read."""
    client: str
    """Address and port: one for each connection."""
    method: str
    path: str
    headers: dict[str, str]
    """Names in lower case; without `authorization`."""
    body: Any
    """Parsed JSON, or the text as it came."""
    authorized: bool = False
    """It came with a key that is known."""
    status: int = 0
    """Of the answer, even of one that never came."""
    source: str | None = None
    """Alert source config ID of an alert event."""
    accepted: bool = False
    """An alert event that incident.io took."""


def judge(request: Request, key: str | None, keys: Mapping[str, set[str]]) -> Reply:
    """The answer as far as it depends on nothing but this request."""
    match request.path.strip("/").split("/"):
        case ["v2", "alert_events", "http", source]:
            allowed = ["POST"]
        case ["v2", "heartbeat", source, "ping"]:
            allowed = ["GET", "POST"]
        case ["v1", "identity"]:
            source, allowed = "", ["GET"]
        case _:
            return error(404, "not_found", "not_found", "No such endpoint")
    if request.method not in allowed:
        return error(405, "api_error", "method_not_allowed", f"Use {' or '.join(allowed)}")
    if not request.headers.get("user-agent"):
        return error(400, "api_error", "no_user_agent", "The request has no User-Agent")
    if key is None or key not in keys:
        return error(401, "authentication_error", "unauthorized", "The API key is missing or wrong")
    if not source:
        return Reply(200, {"identity": _IDENTITY})
    if not any(source in sources for sources in keys.values()):
        return error(404, "not_found", "not_found", "There is no alert source with this ID")
    if source not in keys[key]:
        return error(401, "authentication_error", "unauthorized", "The key is another alert source's")
    if "/heartbeat/" in request.path:
        return Reply(204)
    return _unfit(request) or _accepted(request.body["deduplication_key"])


def _unfit(request: Request) -> Reply | None:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return error(400, "api_error", "bad_content_type", "Content-Type must be application/json")
    event = request.body
    if isinstance(event, str):
        return error(400, "api_error", "invalid_json", "The body is not JSON")
    if not isinstance(event, dict):
        return _invalid("invalid_type", "The root must be an object")
    for name in _REQUIRED:
        if not event.get(name):
            return _invalid("missing_field", f"{name} is required", name)
    for name, value in event.items():
        if name not in _TYPES:
            return _invalid("unknown_field", f"There is no field {name}", name)
        if not isinstance(value, _TYPES[name]):
            return _invalid("invalid_type", f"{name} has the wrong type", name)
    if event["status"] not in ("firing", "resolved"):
        return _invalid("invalid_enum", "status is firing or resolved", "status")
    return None


def _accepted(deduplication_key: str) -> Reply:
    message = "Event accepted for processing"
    return Reply(202, {"deduplication_key": deduplication_key, "message": message, "status": "success"})


def error(status: int, kind: str, code: str, message: str, name: str | None = None) -> Reply:
    """An error in the documented form; `name` is the field that it is about."""
    source = {"source": {"field": name, "pointer": f"/{name}"}} if name else {}
    body = {
        "type": kind,
        "status": status,
        "request_id": f"sim-{time.monotonic_ns():x}",
        "errors": [{"code": code, "message": message, **source}],
    }
    return Reply(status, body)


def _invalid(code: str, message: str, name: str | None = None) -> Reply:
    return error(422, "validation_error", code, message, name)


def too_many(name: str, limit: str, wait: int) -> Reply:
    """429: over the limit, such as "120 a minute"; `wait` in seconds."""
    reply = error(429, "too_many_requests", "too_many_requests", f"Over {limit} for one {name}")
    again = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + wait))
    rate_limit = {"name": name, "limit": int(limit.split()[0]), "remaining": 0, "retry_after": again}
    return replace(reply, body=reply.body | {"rate_limit": rate_limit}, headers={"Retry-After": str(wait)})
