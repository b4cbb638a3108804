"""Sentry: hooks of an integration (issues, issue alerts, metric alerts and others), and the legacy plugin.

Issues, the alerts about their events and the legacy plugin speak of the same problem by the same issue's ID.
"""

from __future__ import annotations

import re

import app.ingest.webhooks.coerce as coerce
import app.ingest.webhooks.generic as generic
from app.domain.alert import Alert, Effect
from app.ingest.webhooks.coerce import Json, Webhook, mapping
from app.ingest.webhooks.field_map import FieldMap, all_of, always, by, first_of, join

_PROJECT = re.compile(r"/projects/[^/]+/([^/]+)/")
_ISSUE = re.compile(r"([0-9]+)/?$")

# Hooks that speak of a problem; all others are notes.
_OF_PROBLEMS = ("issue", "event_alert", "metric_alert")


def _hook(webhook: Webhook) -> str | None:
    """What the hook is about, as its header says; proxies may take that off."""
    return coerce.line(webhook.headers.get("sentry-hook-resource"))


def _data(webhook: Webhook, name: str) -> Json:
    return mapping(mapping(webhook.body.get("data")).get(name))


def _is_issue(webhook: Webhook) -> bool:
    issue = _data(webhook, "issue")
    return coerce.key(issue.get("id")) is not None or (bool(issue) and _hook(webhook) == "issue")


def _is_event_alert(webhook: Webhook) -> bool:
    event = _data(webhook, "event")
    words_of = (
        mapping(webhook.body.get("data")).get("triggered_rule"),
        *map(event.get, ("issue_id", "issue_url")),
    )
    return bool(event) and (any(words_of) or _hook(webhook) == "event_alert")


def _issue_of_event(body: Json) -> object:
    event = mapping(mapping(body.get("data")).get("event"))
    url = coerce.line(event.get("issue_url"), coerce.LINK_LIMIT)
    number = _ISSUE.search(url) if url else None
    return coerce.key(event.get("issue_id")) or (number and number[1])


def _project_of_event(body: Json) -> object:
    url = coerce.line(coerce.at(body, ("data", "event", "url")), coerce.LINK_LIMIT)
    project = _PROJECT.search(url) if url else None
    return project and project[1]


FIELD_MAPS = (
    FieldMap(
        source="sentry",
        kind="issue",
        matches=_is_issue,
        any_of=("data",),
        effect=by(
            "action", firing="created unresolved", resolved="resolved archived ignored", others=Effect.NOTE
        ),
        title="data.issue.title",
        note="action",
        description=join("data.issue.culprit", "data.issue.metadata.value"),
        severity="data.issue.level",
        service="data.issue.project.slug",
        started_at="data.issue.firstSeen",
        source_url=first_of("data.issue.web_url", "data.issue.permalink"),
        identity="data.issue.id",
        labels="data.issue.tags",
    ),
    FieldMap(
        source="sentry",
        kind="issue",
        matches=_is_event_alert,
        any_of=("data",),
        effect=always(Effect.FIRING),
        title="data.event.title",
        description=join("data.event.culprit", "data.event.message", "data.triggered_rule"),
        severity="data.event.level",
        service=_project_of_event,
        started_at="data.event.datetime",
        source_url="data.event.web_url",
        identity=_issue_of_event,
        labels="data.event.tags",
    ),
    FieldMap(
        source="sentry",
        kind="metric",
        matches=first_of("data.metric_alert.id", "data.metric_alert.alert_rule"),
        effect=by("action", resolved="resolved"),
        title=first_of(
            "data.metric_alert.alert_rule.name", "data.metric_alert.title", "data.description_title"
        ),
        description="data.description_text",
        severity="action",
        service="data.metric_alert.projects.0",
        started_at="data.metric_alert.date_started",
        source_url="data.web_url",
        identity="data.metric_alert.id",
    ),
    FieldMap(
        source="sentry",
        kind="issue",
        matches=all_of("event.event_id", first_of("project_slug", "project"), "url", "id"),
        effect=always(Effect.FIRING),
        title=first_of("event.title", "message"),
        description=join("culprit", "message"),
        severity="level",
        service=first_of("project_slug", "project"),
        started_at="event.timestamp",
        source_url="url",
        identity="id",
        labels="event.tags",
    ),
)


def read_other(webhook: Webhook) -> Alert | None:
    """Installations, comments, single errors: notes. What may be a problem, but is not understood, pages."""
    hook = _hook(webhook)
    if hook is None and not _looks_like_a_hook(webhook.body):
        return None
    what = hook or "hook"
    action = coerce.line(webhook.body.get("action"), 60) or "sent"
    return Alert(
        title=coerce.line(f"Sentry: {what} {action}") or "Sentry",
        source="sentry",
        effect=Effect.FIRING if hook in _OF_PROBLEMS else Effect.NOTE,
        description=generic.description(webhook),
        identity=coerce.identity(webhook),
    )


def _looks_like_a_hook(body: Json) -> bool:
    installation = coerce.at(body, ("installation", "uuid"))
    return coerce.key(installation) is not None and all(
        isinstance(body.get(n), dict) for n in ("data", "actor")
    )
