"""POST /api/incidents: size, JSON and parameters of a webhook; what it means is for `app.ingest.service`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from itertools import islice
from typing import Any

from flask import Blueprint, g, request
from gunicorn.http.errors import ParseException
from werkzeug.datastructures import Headers, MultiDict

from app import serializers
from app.bootstrap import Services
from app.ingest.once import Once
from app.ingest.refused import resolve_replayed
from app.ingest.service import Received, receive
from app.ingest.sns import Sns
from app.ingest.webhooks import redact
from app.ingest.webhooks.secrets import hidden
from app.ingest.webhooks.sns import CONFIRMATION, is_message
from app.store import StoreUnavailable
from app.store.rejected import whole_body
from app.telemetry import log, redactor
from app.web.api.refusals import Refusals, kind_of, sender_of
from app.web.api.webhook import Sent, read_webhook
from app.web.http.auth import Authenticator
from app.web.http.body import MAX_BODY, TOO_LARGE, BadBody, Body, BodyTooLarge, packed, unpacked
from app.web.http.concurrency import alone
from app.web.http.parameters import BadParameter

# What is read and thrown away of a body that is too large, bytes: a sender that is cut off while it still
# sends never sees the 413.
DRAINED = 4 * MAX_BODY

STATUS_OF_EFFECT = {
    "created": ("Incident created", 201),
    "updated": ("Incident updated", 200),
    "resolved": ("Incident resolved", 200),
    "acknowledged": ("Incident acknowledged", 200),
    "recorded": ("Event recorded", 200),
    "escalated_directly": ("Escalated directly", 202),
}

SHOWN_PAIRS, SHOWN_NAME, SHOWN_VALUE = 50, 100, 500

LONGEST_KEY = 255
"""Characters of an `Idempotency-Key`."""

SECRET_NAME = re.compile(r"auth|cookie|token|secret|key|sig|pass", re.IGNORECASE)
SECRET_IN_URL = re.compile(
    r"([?&][^=&\s]*(?:auth|token|secret|key|sig|pass)[^=&\s]*=)[^&\s#]*", re.IGNORECASE
)

JsonAnswer = tuple[dict[str, Any], int]


class BodyTruncated(Exception):
    """Only the beginning of a rejected body was kept."""


class Intake:
    """What webhooks come into, and rejected ones once more."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._sns = Sns(services.config.intake_signatures.sns_topics)
        self._authenticator = Authenticator(services.config, self._sns)
        self.refusals = Refusals(services, self._authenticator)

    def receive(self) -> JsonAnswer:
        """The request that is under way."""
        g.raw_body, g.proven = b"", False
        g.alone = ExitStack()
        raw = _read()
        g.proven = self._authenticator.proven(request, raw)
        sent = Sent(raw, request.headers, request.args)
        # Until the answer is made, which is large as well.
        g.alone.enter_context(alone(sent.size))
        return self._ingest(sent, admitted=g.proven, sender=sender_of(request), once=_once(raw))

    def replay(self, entry_id: str, by: str) -> JsonAnswer:
        """A rejected webhook, as if somebody who may had sent it now.

        Once it was taken it is forgotten, and its incident is resolved in the name of `by`.

        Raises `RejectedNotFound`, `BodyTruncated` and what an ordinary webhook raises.
        """
        rejected = self._services.store.rejected
        entry = rejected.require(entry_id)
        raw = whole_body(entry)
        if raw is None:
            raise BodyTruncated("Only the first 64 KiB of this body were kept: let its sender send it again.")
        sent = Sent(raw, Headers(entry["headers"]), MultiDict(entry["query"]))
        with alone(sent.size):
            answer = self._ingest(sent, admitted=True)
        # It is stored, and that is what matters: an entry that stays can be seen.
        with suppress(StoreUnavailable):
            if entry["incident"]:
                resolve_replayed(self._services, entry["incident"], by)
            rejected.forget(entry_id)
        return answer

    def _ingest(
        self, sent: Sent, *, admitted: bool, sender: str | None = None, once: Once | None = None
    ) -> JsonAnswer:
        webhook = read_webhook(self._services, sent)
        body = webhook.body
        if not admitted:
            self._authenticator.check(body, {message.alert.source for message in webhook.messages})
        received = receive(self._services, webhook.messages, webhook.options, sender, once)
        first = body.elements[0]
        if is_message(first) and first["Type"] == CONFIRMATION and not body.is_array:
            self._sns.confirm(first)
        return _answer(self._services, body, received)


def blueprint(intake: Intake, sns_path: str | None) -> Blueprint:
    """The intake; `sns_path`: where Amazon SNS may post to as well."""
    blueprint = Blueprint("intake", __name__)
    blueprint.add_url_rule(
        "/api/incidents", "post_incidents", view_func=intake.receive, methods=["POST", "PUT"]
    )
    if sns_path:
        blueprint.add_url_rule(sns_path, "post_sns", view_func=intake.receive, methods=["POST"])

    @blueprint.teardown_request
    def leave(_: BaseException | None) -> None:
        if (held := g.pop("alone", None)) is not None:
            held.close()

    return blueprint


def keep_rejected(
    services: Services, refusals: Refusals, error: Exception, status: int, sentence: str
) -> None:
    """Report a refused webhook, and keep it so that it can be found again; log it when that can't be done."""
    known = redactor(services.config.secrets())

    def hide(text: str) -> str:
        # Proxies repeat a whole URL in headers of their own, with a token in it that may be an old one.
        return hidden(SECRET_IN_URL.sub(r"\1<secret>", known(text)))

    sentence = hide(sentence)
    body, inside = _without_secrets(g.raw_body, request.headers.get("Content-Encoding", ""))
    about = _about(services.config.intake.secret_headers, hide)
    entry = incident = None
    try:
        agent = hide(request.headers.get("User-Agent", ""))[:SHOWN_VALUE]
        incident = refusals.report(kind_of(error, status), status, sentence, agent, body, inside)
        entry = services.store.rejected.add(
            body,
            services.clock(),
            error=sentence,
            status=status,
            about=about,
            most_bytes=services.config.retention.rejected_mib * 2**20,
            inside=inside,
            incident_id=incident,
        )
    except StoreUnavailable:
        about["body"] = body[:2000].decode("utf-8", "replace")
        log.warning("rejected_not_kept", **about)
    log.warning(
        "rejected",
        entry=entry,
        incident=incident,
        status=status,
        error=sentence,
        kind=type(error).__name__,
    )


def _about(secret_headers: Iterable[str], hide: Callable[[str], str]) -> dict[str, Any]:
    """What is kept of a refused request besides its body."""
    # First what a replay needs, as only so many are kept.
    headers = sorted(request.headers.items(), key=lambda pair: not pair[0].startswith("Content-"))
    of_secrets = {name.lower() for name in secret_headers}
    headers = [(name, "<secret>" if name.lower() in of_secrets else value) for name, value in headers]
    return {
        "method": request.method,
        "remote_address": request.remote_addr,
        "headers": _shown(headers, hide),
        "query": _shown_query(hide),
    }


def _without_secrets(raw: bytes, content_encoding: str) -> tuple[bytes, bytes]:
    """The body as it came, or, if there are secrets in it, packed again without them; and what is in it."""
    try:
        data = unpacked(raw, content_encoding)
    except BadBody:
        data = raw
        content_encoding = ""
    clean = redact.refused(data)
    return raw if clean == data else packed(clean, content_encoding), clean


def _once(raw: bytes) -> Once | None:
    key = request.headers.get("Idempotency-Key", "")
    if len(key) > LONGEST_KEY:
        raise BadParameter(f"The header Idempotency-Key has more than {LONGEST_KEY} characters.")
    asked = {name: value for name, value in request.args.items() if name != "token"}
    return Once.of(key, request.path, asked, raw) if key else None


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
    raise BodyTooLarge(TOO_LARGE)


def _answer(services: Services, body: Body, received: list[Received]) -> JsonAnswer:
    incidents = [_shown_incident(services, one) for one in received]
    if not body.is_array:
        status, code = STATUS_OF_EFFECT[received[0].became]
        return {"status": status, "incident": incidents[0]}, code
    became = {one.became for one in received}
    # Of several effects, the answer names the one that matters most.
    status, code = next(answer for effect, answer in STATUS_OF_EFFECT.items() if effect in became)
    status = status.replace("Incident ", "Incidents ").replace("Event ", "Events ")
    return {"status": status, "count": len(incidents), "incidents": incidents}, code


def _shown_incident(services: Services, received: Received) -> dict[str, Any] | None:
    incident = received.incident
    if incident is None:
        return None
    stored = received.became != "escalated_directly"
    return serializers.brief(services, incident, incident.changed_at if stored else None)


def _shown(pairs: Iterable[tuple[str, str]], hide: Callable[[str], str]) -> dict[str, str]:
    """Without secrets, and no more of it than helps: strangers send it."""
    return {
        name[:SHOWN_NAME]: "<secret>" if SECRET_NAME.search(name) else hide(value)[:SHOWN_VALUE]
        for name, value in islice(pairs, SHOWN_PAIRS)
    }


def _shown_query(hide: Callable[[str], str]) -> dict[str, str | list[str]]:
    """As `_shown`; a parameter with several values has them all, so that a replay is refused as well."""
    several = {
        name[:SHOWN_NAME]: [hide(value)[:SHOWN_VALUE] for value in dict.fromkeys(values[:SHOWN_PAIRS])]
        for name, values in islice(request.args.lists(), SHOWN_PAIRS)
        if len(set(values)) > 1 and not SECRET_NAME.search(name)
    }
    return {**_shown(request.args.items(), hide), **several}
