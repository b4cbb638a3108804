"""POST /api/incidents: size, JSON and parameters of a webhook; what it means is for `app.receive`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from flask import Blueprint, g, request
from gunicorn.http.errors import ParseException

from app import senders
from app.gateway import Gateway
from app.receive import Message, Options, Received, receive
from app.senders import redact
from app.store import Unavailable
from app.telemetry import log, redactor
from app.web import present
from app.web.body import MAX_BODY, BadBody, Body, TooLarge, read_body
from app.web.guard import check_intake

# What is read and thrown away of a body that is too large, bytes: a sender that is cut off while it still
# sends never sees the 413.
DRAINED = 16 * MAX_BODY
LONGEST_WAIT_MINUTES = 10_080

STATUS = {
    "created": ("Incident created", 201),
    "updated": ("Incident updated", 200),
    "resolved": ("Incident resolved", 200),
    "acknowledged": ("Incident acknowledged", 200),
    "recorded": ("Event recorded", 200),
    "escalated_directly": ("Escalated directly", 202),
}

SHOWN_PAIRS, SHOWN_NAME, SHOWN_VALUE = 50, 100, 500

SECRET_NAME = re.compile(r"auth|cookie|token|secret|key|sig|pass", re.IGNORECASE)
NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?|\.[0-9]{1,9}")

Answer = tuple[dict[str, Any], int]


class BadParameter(Exception):
    """A query parameter that is not what it must be."""


def blueprint(gateway: Gateway) -> Blueprint:
    """The intake."""
    intake = Blueprint("intake", __name__)

    @intake.route("/api/incidents", methods=["POST", "PUT"])
    def post_incidents() -> Answer:
        g.raw_body = b""
        raw = _read()
        check_intake(request, gateway.config.intake_secret)
        options = _options()
        body = read_body(
            raw,
            content_type=request.headers.get("Content-Type", ""),
            content_encoding=request.headers.get("Content-Encoding", ""),
        )
        received = receive(gateway, _messages(body), options)
        return _answer(gateway, body, received)

    return intake


def keep_rejected(gateway: Gateway, error: Exception, status: int, sentence: str) -> None:
    """Keep a refused webhook so that it can be found again; log it when not even that can be done."""
    # Proxies repeat a whole URL, with the token in it, in headers of their own.
    redacted = redactor(gateway.config.secrets())
    body = redact.refused(g.raw_body)
    about = {
        "method": request.method,
        "remote_address": request.remote_addr,
        "headers": _shown(request.headers.items(), redacted),
        "query": _shown(request.args.items(), redacted),
    }
    entry = None
    try:
        entry = gateway.store.rejected.add(body, gateway.clock(), error=sentence, status=status, about=about)
    except Unavailable:
        about["body"] = body[:2000].decode("utf-8", "replace")
        log.warning("rejected_not_kept", **about)
    log.warning("rejected", entry=entry, status=status, error=sentence, kind=type(error).__name__)


def _read() -> bytes:
    try:
        return _read_whole()
    except (ParseException, OSError) as error:
        # The connection broke or stalled, or what came is no chunk: nothing that we did.
        raise BadBody("The body breaks off, or its chunks are broken: send it again, whole.") from error


def _read_whole() -> bytes:
    raw = request.stream.read(MAX_BODY + 1)
    g.raw_body = raw
    if len(raw) <= MAX_BODY:
        return raw
    left = DRAINED
    while left > 0 and (chunk := request.stream.read(min(left, 65_536))):
        left -= len(chunk)
    raise TooLarge(f"The body is larger than {MAX_BODY} bytes (1 MiB): send fewer alerts at a time.")


def _messages(body: Body) -> list[Message]:
    headers = dict(request.headers)
    return [Message(senders.read(one, headers), redact.payload(one)) for one in body.elements]


def _options() -> Options:
    return Options(
        oncall_enable=_boolean("oncall_enable"),
        wait_minutes=_minutes("oncall_wait_minutes"),
        alert_source=_single("incidentio_other_alert_source"),
    )


def _single(name: str) -> str | None:
    values = set(request.args.getlist(name))
    if len(values) > 1:
        raise BadParameter(f"The parameter {name} was given {len(values)} different values: give one.")
    return values.pop() if values else None


def _boolean(name: str) -> bool | None:
    value = _single(name)
    if value is None:
        return None
    if value.lower() not in ("true", "false"):
        raise BadParameter(f"The parameter {name} is {value[:40]!r}: it must be true or false.")
    return value.lower() == "true"


def _minutes(name: str) -> float | None:
    value = _single(name)
    if value is None:
        return None
    minutes = float(value) if NUMBER.fullmatch(value) else -1.0
    if not 0 <= minutes <= LONGEST_WAIT_MINUTES:
        raise BadParameter(
            f"The parameter {name} is {value[:40]!r}: "
            f"it must be a number of minutes from 0 to {LONGEST_WAIT_MINUTES}, for example 0.5."
        )
    return minutes


def _answer(gateway: Gateway, body: Body, received: list[Received]) -> Answer:
    incidents = [_shown_incident(gateway, one) for one in received]
    if not body.is_array:
        status, code = STATUS[received[0].became]
        return {"status": status, "incident": incidents[0]}, code
    became = {one.became for one in received}
    # Of several effects, the answer tells the one that matters most.
    status, code = next(answer for effect, answer in STATUS.items() if effect in became)
    status = status.replace("Incident ", "Incidents ").replace("Event ", "Events ")
    return {"status": status, "count": len(incidents), "incidents": incidents}, code


def _shown_incident(gateway: Gateway, received: Received) -> dict[str, Any] | None:
    incident = received.incident
    if incident is None:
        return None
    stored = received.became != "escalated_directly"
    return present.incident(gateway, incident, incident.changed_at if stored else None)


def _shown(pairs: Iterable[tuple[str, str]], redact: Callable[[str], str]) -> dict[str, str]:
    """Without secrets, and no more of it than helps: strangers send it."""
    return {
        name[:SHOWN_NAME]: "<secret>" if SECRET_NAME.search(name) else redact(value)[:SHOWN_VALUE]
        for name, value in islice(pairs, SHOWN_PAIRS)
    }
