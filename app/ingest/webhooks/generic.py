"""Bodies of unknown senders: fields by their usual names, without regard to case, `_` and `-`.

Readers of known senders ask the functions here for what is missing in their bodies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

import app.ingest.webhooks.coerce as coerce
from app.domain.alert import Alert, Effect, Severity
from app.ingest.webhooks.coerce import Json, Webhook, first
from app.ingest.webhooks.secrets import folded, is_secret
from app.sanitize import cut

T = TypeVar("T")

# Names are written as `folded` leaves them; the first that is there wins.
TITLES = ("title", "alerttitle", "alertname", "summary", "subject", "name")
TEXTS = ("message", "msg", "text", "description", "logs", "log", "body", "details", "error")
DESCRIPTIONS = ("description", "message", "msg", "text", "body", "logs", "log", "details", "error", "summary")
SEVERITIES = ("severity", "priority", "level", "urgency")
SERVICES = ("service", "servicename", "app", "application", "component")
TIMES = ("startedat", "startsat", "timestamp", "time", "date")
LINKS = ("sourceurl", "url", "link")
KEYS = ("dedupkey", "incidentkey", "alertuid", "fingerprint", "alias", "dedup")
STATEFUL_KEYS = ("entityid", "correlationid", "problemid", "alertid")
"""Keys of a problem only with a state beside them: without one, many programs count under these names."""
STATUSES = (
    *("status", "state", "eventaction", "eventtype", "messagetype", "action", "transition", "alertevent"),
)
LABELS = ("labels", "tags")

MORE_TITLES = ("checkname", "rulename", "searchname", "policyname", "eventname", "problemtitle", "output")
"""Of these many stand beside a better title, so they come last."""
INNER_LINKS = (*LINKS, "generatorurl", "alerturl", "resultslink")

RESOLVED = {
    *("resolved", "resolve", "closed", "close", "recovered", "recovery", "clear", "cleared", "end", "ended"),
    *("ok", "up", "normal", "healthy", "success", "inactive", "deactivated"),
}
# `ALERT_STATE_EVENT_END`, `incident.resolved`; but not `not_resolved`.
_RESOLVED_END = re.compile(r"(?!not|un|partial)\S*[_.:-](?:end|resolved|recovery)")
TROUBLE = {
    *("firing", "fired", "trigger", "triggered", "alerting", "alarm", "active", "open", "opened", "new"),
    *("problem", "down", "critical", "crit", "warning", "warn", "error", "failed", "failure", "failing"),
    *("unhealthy", "degraded", "create", "created", "start", "started", "unresolved", "reopened", "unknown"),
    *("no data", "nodata", "no_data", "insufficient data", "insufficient_data"),
}
"""Words for the opposite: where one of them stands, no field after it is asked."""

_KINDS = ("eventtype", "messagetype", "action", "type", "alerttype", "event")
_TESTS = {"test", "test_notification", "testnotification", "webhook_test", "test_alert"}
_HANDSHAKES = {
    *("ping", "verification", "url_verification", "endpoint.url_validation", "subscriptionvalidation"),
    "microsoft.eventgrid.subscriptionvalidationevent",
}

_BUILDS = ("build", "workflow", "pipeline", "job", "run", "commitstatus", "deployment")
_RESULTS = ("status", "state", "result", "conclusion")
_SUCCEEDED = {"success", "succeeded", "successful", "passed"}

_KNOWN = frozenset(
    (*TITLES, *TEXTS, *SEVERITIES, *SERVICES, *TIMES, *LINKS, *KEYS, *STATUSES, "source", "deduplicationkey")
)

# What is shown of a body of which nothing is known: enough to see what it is about.
_SHOWN_VALUES = 400
_SHOWN_DEPTH = 8
_SHOWN_NAME = 100
_SHOWN_TEXT = 1_000


def read(webhook: Webhook) -> Alert:
    """Whatever the body says under names that are usual, at its top or one level down."""
    source = coerce.line(webhook.plain.get("source")) or "generic"
    return Alert(
        title=title(webhook),
        source=source,
        effect=effect(webhook, inner=True),
        description=description(webhook),
        severity=severity(webhook),
        service=service(webhook),
        source_url=source_url(webhook),
        started_at=started_at(webhook),
        labels=coerce.labels(*(webhook.plain.get(name) for name in LABELS)),
        identity=coerce.identity(webhook, (f"generic {source}", key(webhook))),
    )


def title(webhook: Webhook) -> str | None:
    """Of the first field for it, or the first line of a text."""
    found = _title(webhook.plain) or first(coerce.line, webhook.plain, MORE_TITLES)
    return found or next(filter(None, (_inner_title(one.plain) for one in webhook.inner)), None)


def _title(plain: Json) -> str | None:
    return first(coerce.line, plain, TITLES) or first(coerce.first_line, plain, TEXTS)


def _inner_title(plain: Json) -> str | None:
    return first(coerce.line, plain, (*TITLES, *MORE_TITLES)) or first(coerce.first_line, plain, TEXTS)


def effect(webhook: Webhook, *, inner: bool = False) -> Effect:
    """Resolved by an explicit word for it alone; what nobody knows is firing. Tests of a webhook are notes.

    `inner`: what is not at the top is looked for one level down.
    """
    plain = webhook.plain
    over = _is_over(plain)
    if over is None and (_is_test(plain) or _is_build_that_succeeded(plain)):
        return Effect.NOTE
    if over is None and inner:
        over = next((said for one in _speaking(webhook) if (said := _is_over(one)) is not None), None)
    return Effect.RESOLVED if over else Effect.FIRING


def _is_over(plain: Json) -> bool | None:
    """Whether the problem is; None when no field has a word for that."""
    for name in STATUSES:
        if word := _word(plain.get(name)):
            if word in RESOLVED or _RESOLVED_END.fullmatch(word):
                return True
            if word in TROUBLE:
                return False
    return True if any(_word(plain.get(name)) in RESOLVED for name in ("level", "severity")) else None


def _is_test(plain: Json) -> bool:
    words = {word for name in _KINDS if (word := _word(plain.get(name)))}
    if plain.get("test") is True or words & _TESTS:
        return True
    # A check of a monitor may be of the type `ping`, too; one that asks to be confirmed says nothing else.
    handshake = words & _HANDSHAKES or (len(plain) == 1 and "challenge" in plain)
    return bool(handshake) and not any(plain.get(name) for name in (*STATUSES[:2], *SEVERITIES))


def _is_build_that_succeeded(plain: Json) -> bool:
    """What systems that build send of each build, whether it failed or not."""
    builds = (coerce.mapping(plain.get(name)) for name in _BUILDS)
    return any(_word(build.get(name)) in _SUCCEEDED for build in builds if build for name in _RESULTS)


def _speaking(webhook: Webhook) -> Iterator[Json]:
    """The objects whose state is that of the problem.

    An object that only happens to be the only one may be the host, which is up: it has to name the problem.
    """
    named = _title(webhook.plain) is not None
    return (one.plain for one in webhook.inner if one.is_alert or (one.is_only and not named))


def _word(value: object) -> str:
    return (coerce.line(value) or "").lower()


def key(webhook: Webhook) -> str | None:
    """The sender's key for the problem."""
    plain = webhook.plain
    if (found := _key(plain, plain)) is not None:
        return found
    inner = (_key(one, plain) for one in _speaking(webhook))
    return next((found for found in inner if found is not None), None)


def _key(plain: Json, top: Json) -> str | None:
    if (found := first(coerce.key, plain, KEYS)) is not None:
        return found
    has_state = any(_word(one.get(name)) for one in (plain, top) for name in STATUSES)
    return first(coerce.key, plain, STATEFUL_KEYS) if has_state else None


def severity(webhook: Webhook, *, inner: bool = True) -> Severity | None:
    """Of the first field that holds a word for one."""
    return _found(coerce.severity_of, webhook, SEVERITIES, inner)


def service(webhook: Webhook, *, inner: bool = True) -> str | None:
    """What is broken."""
    return _found(coerce.line, webhook, SERVICES, inner)


def source_url(webhook: Webhook, *, inner: bool = True) -> str | None:
    """The alert in the sender's system."""
    return first(coerce.link, webhook.plain, LINKS) or _found(coerce.link, webhook, INNER_LINKS, inner)


def started_at(webhook: Webhook, *, inner: bool = True) -> datetime | None:
    """When the problem began, UTC."""
    return _found(coerce.moment, webhook, TIMES, inner)


def _found(
    read: Callable[[object], T | None], webhook: Webhook, names: tuple[str, ...], inner: bool
) -> T | None:
    found = first(read, webhook.plain, names)
    if found is not None or not inner:
        return found
    below = (first(read, one.plain, names) for one in webhook.inner)
    return next((value for value in below if value is not None), None)


def description(webhook: Webhook) -> str:
    """The sender's text; without one, the fields that are shown nowhere else, as a block of JSON."""
    said = first(coerce.text, webhook.plain, DESCRIPTIONS)
    if said is not None:
        return said
    unseen = (field for field in webhook.body.items() if not _shown_elsewhere(*field))
    rest = dict(islice(unseen, _SHOWN_VALUES))
    return _block(rest) if rest else ""


def _shown_elsewhere(name: str, value: object) -> bool:
    plain = folded(name)
    return plain in LABELS or is_secret(name) or (plain in _KNOWN and not isinstance(value, dict | list))


def _block(body: dict[str, Any]) -> str:
    left = iter(range(_SHOWN_VALUES))
    shown = json.dumps(_abridged(body, left, _SHOWN_DEPTH), indent=2, ensure_ascii=False)
    if next(left, None) is None:
        shown += "\n…"
    # A line of JSON never begins with a fence, so that nothing in it can end the block.
    return coerce.text(f"```json\n{cut(shown, coerce.TEXT_LIMIT - 100)}\n```") or ""


def _abridged(value: object, left: Iterator[int], depth: int) -> object:
    """A copy without secrets, with at most as many values as are left, and no deeper than `depth`."""
    if isinstance(value, dict | list) and value and depth == 0:
        return "…"
    if isinstance(value, dict):
        return {
            cut(name, _SHOWN_NAME): _abridged(inner, left, depth - 1)
            for name, inner in value.items()
            if not is_secret(name) and next(left, None) is not None
        }
    if isinstance(value, list):
        return [_abridged(inner, left, depth - 1) for inner in value if next(left, None) is not None]
    if isinstance(value, str):
        return cut(value, _SHOWN_TEXT)
    return "…" if isinstance(value, int) and value.bit_length() > coerce.INTEGER_BITS else value
