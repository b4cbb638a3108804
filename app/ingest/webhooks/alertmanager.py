"""Prometheus Alertmanager, and Grafana's unified alerting, which speaks the same form.

One body is one group of alerts, and one incident. Source: the webhook payload of Alertmanager (version 4) and
of Grafana's webhook contact point (version 1), which adds `orgId`, `state`, `title` and `message`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from hashlib import sha256
from itertools import islice

import app.ingest.webhooks.coerce as coerce
import app.ingest.webhooks.generic as generic
from app.domain.alert import MEMBERS_LIMIT, Alert, Effect, Severity, most_severe
from app.ingest.webhooks.coerce import Json, Webhook, first, mapping
from app.sanitize import cut

SEVERITIES = ("severity", "priority", "level")
SERVICES = ("service", "service_name", "app", "application", "component")
TEXTS = ("summary", "description", "message")
"""Annotations that say what is wrong."""

# Alerts that Grafana raises itself, in the place of a rule that could not be evaluated.
_GRAFANAS_OWN = ("DatasourceNoData", "DatasourceError")

_FINGERPRINT = 32
"""ASCII characters; any other is hashed."""

# Anyone who is paged reads a few screens at most; with these, the whole is rarely over `coerce.TEXT_LIMIT`.
_COMMON_TEXT = 3_000
_LINK = 1_000
_ROOM_FOR_FIRING = 6_000
_ROOM_FOR_RESOLVED = 1_500
_BULLETS = 100
_BULLET = 2_500
_BULLET_TEXT = 1_000
_BULLET_LABELS = 12
_BULLET_LABEL = 120


@dataclass(frozen=True, slots=True)
class Group:
    """The alerts that one body speaks of, and what they have in common."""

    source: str
    firing: Sequence[Json]
    resolved: Sequence[Json]
    left_out: int
    """Alerts that the sender has but did not list (`max_alerts` of Alertmanager)."""
    grouped: Json
    """The labels by which alerts were put into the group."""
    common: Json
    annotations: Json
    """Those that all the alerts share."""

    @staticmethod
    def of(source: str, body: Json) -> Group:
        alerts = [alert for alert in body["alerts"] if isinstance(alert, dict)]
        truncated = body.get("truncatedAlerts")
        return Group(
            source,
            firing=[alert for alert in alerts if not _is_resolved(alert)],
            resolved=[alert for alert in alerts if _is_resolved(alert)],
            left_out=truncated if type(truncated) is int and 0 < truncated < 1_000_000 else 0,
            grouped=mapping(body.get("groupLabels")),
            common=mapping(body.get("commonLabels")),
            annotations=mapping(body.get("commonAnnotations")),
        )

    @property
    def reported(self) -> Sequence[Json]:
        """The alerts that the incident is about."""
        return self.firing or self.resolved

    @property
    def leading(self) -> Json:
        """The first of them."""
        return self.reported[0] if self.reported else {}

    @property
    def only(self) -> Json | None:
        """The alert of a group of one."""
        alone = len(self.firing) + len(self.resolved) == 1 and not self.left_out
        return self.leading if alone else None

    def label(self, *names: str) -> str | None:
        """Of all the alerts, else of the group, else of the first alert."""
        sources = (self.common, self.grouped, mapping(self.leading.get("labels")))
        found = (coerce.line(labels.get(name)) for name in names for labels in sources)
        return next(filter(None, found), None)


def read(webhook: Webhook) -> Alert | None:
    """The group as one alert; its top-level `status` alone says whether it is over."""
    body = webhook.body
    source = _source(body)
    if source is None:
        return None
    group = Group.of(source, body)
    address = coerce.key(body.get("externalURL")) or ""
    return Alert(
        title=_title(group) or generic.title(webhook),
        source=source,
        effect=_effect(webhook),
        description=_description(group, body),
        severity=_severity(group) or generic.severity(webhook),
        service=group.label(*SERVICES) or generic.service(webhook),
        source_url=coerce.link(group.leading.get("generatorURL"))
        or coerce.link(body.get("externalURL"))
        or generic.source_url(webhook),
        started_at=_started_at(group) or generic.started_at(webhook),
        labels=coerce.labels(group.grouped, group.common, (group.only or {}).get("labels")),
        identity=_identity(webhook, group),
        installation=None if webhook.given_key else f"at {_short(address)}",
        members={one: _severity_of(alert.get("labels")) or "" for one, alert in _named(group.firing)},
        ended_members=tuple(one for one, _ in _named(group.resolved)),
        members_complete=not group.left_out
        and max(map(len, (group.firing, group.resolved))) <= MEMBERS_LIMIT,
    )


def read_one(webhook: Webhook) -> Alert | None:
    """One alert without its group, as relays forward it and the API has it: a group of one."""
    body = webhook.body
    if coerce.at(body, ("labels", "alertname")) is None or isinstance(body.get("alerts"), list):
        return None
    return read(Webhook.of({**body, "alerts": [body], "receiver": ""}, webhook.headers))


def _source(body: Json) -> str | None:
    grouping = (("groupKey", str), ("groupLabels", dict), ("receiver", str))
    if not isinstance(body.get("alerts"), list):
        return None
    if not any(isinstance(body.get(name), kind) for name, kind in grouping):
        return None
    of_grafana = coerce.key(body.get("orgId")) is not None or (
        body.get("version") == "1" and any(isinstance(body.get(name), str) for name in ("state", "title"))
    )
    return "grafana" if of_grafana else "alertmanager"


def _is_resolved(alert: Json) -> bool:
    status = alert.get("status")
    return isinstance(status, str) and status.strip().lower() == "resolved"


def _effect(webhook: Webhook) -> Effect:
    if coerce.line(webhook.body.get("status")) is None:
        return generic.effect(webhook)
    return Effect.RESOLVED if _is_resolved(webhook.body) else Effect.FIRING


def _title(group: Group) -> str | None:
    alertname = group.label("alertname")
    rule = group.label("rulename") if alertname in _GRAFANAS_OWN else None
    summary = coerce.line(group.annotations.get("summary"))
    if summary is None and len(group.firing) == 1:
        summary = coerce.line(mapping(group.leading.get("annotations")).get("summary"))
    return coerce.line(": ".join(filter(None, (alertname, rule, summary))))


def _severity(group: Group) -> Severity | None:
    """The highest of the alerts; labels that they only have in common count when no alert has its own."""
    worst = reduce(most_severe, map(_severity_of, _given(group.reported, "labels")), None)
    return worst or _severity_of(group.common) or _severity_of(group.grouped)


def _severity_of(labels: object) -> Severity | None:
    return first(coerce.severity_of, mapping(labels), SEVERITIES)


def _started_at(group: Group) -> datetime | None:
    return min(filter(None, map(coerce.moment, _given(group.reported, "startsAt"))), default=None)


def _given(alerts: Sequence[Json], name: str) -> Iterator[object]:
    return (value for alert in alerts if (value := alert.get(name)))


def _named(alerts: Sequence[Json]) -> Iterator[tuple[str, Json]]:
    """Alerts and their fingerprints; versions that send none have the labels in their place."""
    for alert in alerts[:MEMBERS_LIMIT]:
        labels = mapping(alert.get("labels"))
        if name := coerce.key(alert.get("fingerprint")) or (labels and json.dumps(labels, sort_keys=True)):
            yield (name if len(name) <= _FINGERPRINT and name.isascii() else _short(name)), alert


def _short(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_FINGERPRINT]


def _identity(webhook: Webhook, group: Group) -> str | None:
    body, source = webhook.body, group.source
    organisation = (coerce.key(body.get("orgId")),) if source == "grafana" else ()
    group_key = coerce.key(body.get("groupKey"))
    if group_key is not None:
        return coerce.identity(webhook, (source, json.dumps([*organisation, group_key])))
    receiver = coerce.key(body.get("receiver"))
    # Strings only, and all of them, whole: the limits of labels that are shown must not make two groups one.
    grouped = sorted((name, value) for name, value in group.grouped.items() if isinstance(value, str))
    by_labels = bool(grouped) and (source == "grafana" or receiver is not None)
    return coerce.identity(
        webhook,
        (f"{source} labels", json.dumps([*(organisation or (receiver,)), grouped]) if by_labels else None),
        (f"{source} alert", None if group.only is None else coerce.key(group.only.get("fingerprint"))),
    )


# -- description -----------------------------------------------------------------------------------------


def _description(group: Group, body: Json) -> str:
    """What is wrong, where to read on, which alerts fire, and which no longer do; Markdown."""
    parts = [
        *(coerce.text(group.annotations.get(name), _COMMON_TEXT) for name in TEXTS),
        _links(group, body),
        _listed("Firing", group.firing, group, TEXTS, _ROOM_FOR_FIRING),
        _listed("Resolved", group.resolved, group, (), _ROOM_FOR_RESOLVED),
        f"… and {group.left_out} more that the sender did not list." if group.left_out else None,
    ]
    return coerce.text("\n\n".join(filter(None, parts))) or ""


def _links(group: Group, body: Json) -> str:
    annotations = (group.annotations, mapping(group.leading.get("annotations")))
    targets = {
        "Runbook": [source.get("runbook_url") for source in annotations],
        "Dashboard": [
            group.leading.get("dashboardURL"),
            *(source.get("dashboard_url") for source in annotations),
        ],
        "Silence": [group.leading.get("silenceURL")],
        group.source.capitalize(): [body.get("externalURL")],
    }
    found = ((name, next(filter(None, map(coerce.link, urls)), None)) for name, urls in targets.items())
    # A bracket would end the address of a Markdown link.
    return " · ".join(
        f"[{name}]({url.replace('(', '%28').replace(')', '%29')})"
        for name, url in found
        if url is not None and len(url) <= _LINK
    )


def _listed(heading: str, alerts: Sequence[Json], group: Group, texts: tuple[str, ...], room: int) -> str:
    """A bullet for each alert that has something of its own to say, until there is no room left."""
    bullets: list[str] = []
    for position, alert in enumerate(alerts):
        bullet = _bullet(alert, group, texts)
        room -= len(bullet)
        if room < 0 or position == _BULLETS:
            bullets.append(f"- and {len(alerts) - position} more")
            break
        if bullet:
            bullets.append(f"- {bullet}")
    return "\n".join([f"**{heading}: {len(alerts)}**", "", *bullets]) if bullets else ""


def _bullet(alert: Json, group: Group, texts: tuple[str, ...]) -> str:
    """The labels in which the alert differs from the others, and the annotations that are its own."""
    labels = coerce.labels(_without(alert.get("labels"), group.common))
    annotations = _without(alert.get("annotations"), group.annotations)
    parts = [
        " ".join(_span(name, value) for name, value in islice(labels.items(), _BULLET_LABELS)),
        *(coerce.text(annotations.get(name), _BULLET_TEXT) for name in texts),
    ]
    return cut(" — ".join(filter(None, parts)).replace("\n", "\n  "), _BULLET)


def _without(own: object, common: Json) -> Json:
    return {
        name: value
        for name, value in mapping(own).items()
        if isinstance(value, str) and value != common.get(name)
    }


def _span(name: str, value: str) -> str:
    said = cut(f"{name}={value}", _BULLET_LABEL)
    return "`" + " ".join(said.replace("`", "'").split()) + "`"
