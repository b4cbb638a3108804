"""Bodies of unknown senders: fields by their usual names, without regard to case, `_` and `-`.

Readers of known senders ask the functions here for what is missing in their bodies.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Any

import app.senders.fields as fields
from app.alert import Alert, Effect, Severity
from app.senders.fields import Webhook, first
from app.text import cut

# Names are written as `fields.folded` leaves them; the first that is there wins.
TITLES = ("title", "alerttitle", "alertname", "summary", "subject", "name")
TEXTS = ("message", "msg", "text", "description", "logs", "log", "body", "details", "error")
DESCRIPTIONS = ("description", "message", "msg", "text", "body", "logs", "log", "details", "error", "summary")
SEVERITIES = ("severity", "priority", "level", "urgency")
SERVICES = ("service", "servicename", "app", "application", "component")
TIMES = ("startedat", "startsat", "timestamp", "time", "date")
LINKS = ("sourceurl", "url", "link")
KEYS = ("dedupkey", "incidentkey", "alertuid", "fingerprint", "alias")
STATUSES = ("status", "state", "eventaction")
LABELS = ("labels", "tags")

ALL_CLEAR = {
    *("resolved", "resolve", "closed", "close", "recovered", "recovery", "cleared"),
    *("ok", "up", "normal", "healthy", "success", "inactive"),
}

_KNOWN = frozenset(
    (*TITLES, *TEXTS, *SEVERITIES, *SERVICES, *TIMES, *LINKS, *KEYS, *STATUSES, "source", "deduplicationkey")
)

# What is shown of a body of which nothing is known: enough to see what it is about.
_SHOWN_VALUES = 400
_SHOWN_DEPTH = 8
_SHOWN_NAME = 100
_SHOWN_TEXT = 1_000


def read(webhook: Webhook) -> Alert:
    """Whatever the body says under names that are usual."""
    source = fields.line(webhook.plain.get("source")) or "generic"
    return Alert(
        title=title(webhook),
        source=source,
        effect=effect(webhook),
        description=description(webhook),
        severity=severity(webhook),
        service=service(webhook),
        source_url=source_url(webhook),
        started_at=started_at(webhook),
        labels=fields.labels(*(webhook.plain.get(name) for name in LABELS)),
        identity=fields.identity(webhook, (f"generic {source}", first(fields.key, webhook.plain, KEYS))),
    )


def title(webhook: Webhook) -> str | None:
    """Of the first field for it, or the first line of a text."""
    return first(fields.line, webhook.plain, TITLES) or first(fields.first_line, webhook.plain, TEXTS)


def effect(webhook: Webhook) -> Effect:
    """Resolved by an explicit all-clear only; what nobody knows is firing."""
    status = first(fields.line, webhook.plain, STATUSES)
    return Effect.RESOLVED if status is not None and status.lower() in ALL_CLEAR else Effect.FIRING


def severity(webhook: Webhook) -> Severity | None:
    """Of the first field that holds a word for one."""
    return first(fields.severity_of, webhook.plain, SEVERITIES)


def service(webhook: Webhook) -> str | None:
    """What is broken."""
    return first(fields.line, webhook.plain, SERVICES)


def source_url(webhook: Webhook) -> str | None:
    """The alert in the sender's system."""
    return first(fields.link, webhook.plain, LINKS)


def started_at(webhook: Webhook) -> datetime | None:
    """When the problem began, UTC."""
    return first(fields.moment, webhook.plain, TIMES)


def description(webhook: Webhook) -> str:
    """The sender's text; without one, the fields that are shown nowhere else, as a block of JSON."""
    said = first(fields.text, webhook.plain, DESCRIPTIONS)
    if said is not None:
        return said
    unseen = (field for field in webhook.body.items() if not _shown_elsewhere(*field))
    rest = dict(islice(unseen, _SHOWN_VALUES))
    return _block(rest) if rest else ""


def _shown_elsewhere(name: str, value: object) -> bool:
    plain = fields.folded(name)
    return (
        plain in LABELS or fields.is_secret(name) or (plain in _KNOWN and not isinstance(value, dict | list))
    )


def _block(body: dict[str, Any]) -> str:
    left = iter(range(_SHOWN_VALUES))
    shown = json.dumps(_abridged(body, left, _SHOWN_DEPTH), indent=2, ensure_ascii=False)
    if next(left, None) is None:
        shown += "\n…"
    # A line of JSON never begins with a fence, so that nothing in it can end the block.
    return fields.text(f"```json\n{cut(shown, fields.TEXT_LIMIT - 100)}\n```") or ""


def _abridged(value: object, left: Iterator[int], depth: int) -> object:
    """A copy without secrets, with at most as many values as are left, and no deeper than `depth`."""
    if isinstance(value, dict | list) and value and depth == 0:
        return "…"
    if isinstance(value, dict):
        return {
            cut(name, _SHOWN_NAME): _abridged(inner, left, depth - 1)
            for name, inner in value.items()
            if not fields.is_secret(name) and next(left, None) is not None
        }
    if isinstance(value, list):
        return [_abridged(inner, left, depth - 1) for inner in value if next(left, None) is not None]
    if isinstance(value, str):
        return cut(value, _SHOWN_TEXT)
    return "…" if isinstance(value, int) and value.bit_length() > fields.INTEGER_BITS else value
