"""Datadog: what it sends by default, with the state in the title alone, and our template."""

from __future__ import annotations

import re

import app.ingest.webhooks.coerce as coerce
from app.domain.alert import Effect
from app.ingest.webhooks.coerce import Json
from app.ingest.webhooks.field_map import FieldMap, all_of, by, first_of, join, matches

# `[P2] [Re-Triggered on {host:web-1}] CPU is high`: priority, state, scope, what is wrong.
_TITLE = re.compile(r"(\[P[1-5]\] *)?\[([^\[\]{}]*?)(?: on (\{[^{}]*\}))?\] *", re.IGNORECASE)


def _parts(body: Json) -> tuple[str, str, str, str] | None:
    """Priority, state, scope and the rest of a title, whole; the first three may be empty."""
    title = coerce.key(body.get("title"))
    if title is None:
        return None
    found = _TITLE.match(title)
    if found is None:
        return "", "", "", title
    priority, state, scope = (part or "" for part in found.groups())
    return priority.strip("[] "), state.strip().lower().removeprefix("re-"), scope, title[found.end() :]


def _state(body: Json) -> object:
    parts = _parts(body)
    return parts and parts[1]


def _title(body: Json) -> object:
    parts = _parts(body)
    return parts and (parts[3].strip() or body["title"])


def _text(body: Json) -> object:
    # Marks where Markdown begins and ends, for Datadog alone.
    text = body.get("body")
    return text.replace("%%%", "") if isinstance(text, str) else text


def _severity(body: Json) -> object:
    parts = _parts(body)
    return parts and ("warn" if parts[1].startswith("warn") else parts[0])


def _key(body: Json) -> object:
    parts, organisation = _parts(body), coerce.key(coerce.at(body, ("org", "id")))
    return None if parts is None or organisation is None else "\0".join((organisation, *parts[2:]))


def _effect_of_template(body: Json) -> Effect | None:
    resolve_event = matches(body, first_of("alert_transition=recovered", "alert_type=success"))
    return Effect.RESOLVED if resolve_event else by(first_of("alert_transition", "alert_type"))(body)


FIELD_MAPS = (
    FieldMap(
        source="datadog",
        matches=all_of("event_type", "last_updated", "org", "title", "body"),
        effect=by(_state, resolved="recovered"),
        title=_title,
        description=_text,
        severity=_severity,
        started_at="date",
        # `id` is that of the event, new every time.
        identity=_key,
        labels="tags",
    ),
    FieldMap(
        source="datadog",
        kind="template",
        matches="alert_transition",
        effect=_effect_of_template,
        title=first_of("alert_title", "event_title"),
        description=join("text_only_msg", "alert_status"),
        severity=first_of("alert_priority", "alert_type"),
        service_tag=True,
        started_at="date",
        source_url="link",
        identity=first_of("alert_cycle_key", "aggreg_key", all_of("alert_id", "alert_scope")),
        labels="tags",
        host="hostname",
    ),
)
