"""Monitoring tools with names of their own: Kapacitor, InfluxDB, Netdata, Alerta, Dynatrace and others."""

from __future__ import annotations

import json
import re

import app.ingest.webhooks.coerce as coerce
from app.domain.alert import Effect
from app.ingest.webhooks.coerce import Json
from app.ingest.webhooks.field_map import FieldMap, all_of, always, by, first_of, join

# `db-7 needs attention, disk_space._ (/), …`: the node is named in the message alone.
_NETDATA_NODE = re.compile(r"(.{1,200}?) (?:needs attention|recovered|is (?:critical|warning|clear|back))\b")
_CLOUDFLARE_TEST = "hello world! this is a test message sent from https://cloudflare.com"


def _influxdb_key(body: Json) -> object:
    """The check, and the tags of the series that it looked at: its fields are numbers, its tags are texts."""
    check = coerce.key(body.get("_check_id"))
    tags = {
        name: value for name, value in body.items() if isinstance(value, str) and not name.startswith("_")
    }
    return None if check is None else json.dumps([check, tags], sort_keys=True)


def _influxdb_tags(body: Json) -> object:
    return {name: value for name, value in body.items() if not name.startswith("_")}


def _netdata_key(body: Json) -> object:
    message = coerce.line(body.get("message"))
    node = _NETDATA_NODE.match(message) if message else None
    alert = coerce.key(body.get("alert")) or coerce.key(body.get("alarm"))
    if node is None or alert is None:
        return None
    return json.dumps(
        [node[1], alert, *(coerce.key(body.get(name)) for name in ("space", "chart", "family"))]
    )


def _netdata_reachability(body: Json) -> Effect | None:
    return Effect.RESOLVED if coerce.at(body, ("status", "reachable")) is True else Effect.FIRING


def _goalert_status(body: Json) -> Effect | None:
    """What happens to an alert after it was opened, the first word of an entry of its log says."""
    kind = (coerce.line(body.get("Type")) or "").lower()
    if kind != "alertstatus":
        return Effect.NOTE if kind in ("verification", "test") else Effect.FIRING
    entry = (coerce.line(body.get("LogEntry")) or "").lower()
    if entry.startswith("closed"):
        return Effect.RESOLVED
    return Effect.ACKNOWLEDGED if entry.startswith("acknowledged") else Effect.NOTE


def _dynatrace_effect(body: Json) -> Effect | None:
    title = (coerce.line(body.get("ProblemTitle")) or "").lower()
    if "problem notification test run" in title:
        return Effect.NOTE
    return by("State", resolved="resolved", note="merged")(body)


def _cloudflare_title(body: Json) -> object:
    return coerce.first_line(body.get("text")) or body.get("name")


def _is_cloudflare_test(body: Json) -> bool:
    return (coerce.line(body.get("text")) or "").lower().startswith(_CLOUDFLARE_TEST)


FIELD_MAPS = (
    FieldMap(
        source="kapacitor",
        matches=all_of("previousLevel", "level", "id"),
        effect=by("level", resolved="ok"),
        title=first_of("message", "id"),
        description="details",
        severity="level",
        service="data.series.0.tags.service",
        started_at="time",
        identity="id",
        labels="data.series.0.tags",
        host="data.series.0.tags.host",
    ),
    FieldMap(
        source="influxdb",
        matches=all_of("_check_id", "_level"),
        effect=by("_level", resolved="ok"),
        title=join("_check_name", "_message"),
        description="_message",
        severity="_level",
        started_at=first_of("_status_timestamp", "_time"),
        identity=_influxdb_key,
        labels=_influxdb_tags,
    ),
    FieldMap(
        source="netdata",
        kind="reachability",
        matches=all_of("status.reachable", "host", "message"),
        effect=_netdata_reachability,
        title="message",
        service="host",
        source_url="url",
        identity="host",
        host="host",
    ),
    FieldMap(
        source="netdata",
        matches=first_of(
            all_of("additional_active_critical_alerts", "severity"),
            all_of("chart", "context", first_of("alert", "alarm"), "severity"),
            all_of("alarm", "chart", "status"),
        ),
        effect=by(first_of("severity", "status"), resolved="clear", note="removed uninitialized undefined"),
        title="message",
        description="info",
        severity=first_of("severity", "status"),
        source_url=first_of("alert_url", "alarm_url"),
        started_at="date",
        identity=_netdata_key,
        without="service",
    ),
    FieldMap(
        source="alerta",
        matches=all_of("resource", "environment", "event"),
        effect=by(
            first_of("status", "severity"),
            firing="open assign unknown",
            resolved="closed expired normal ok cleared",
            acknowledged="ack",
            note="blackout shelved",
        ),
        title=join("event", "resource"),
        description="text",
        severity="severity",
        severities={"security": "critical", "indeterminate": "info", "cleared": "info", "normal": "info"},
        service="service.0",
        started_at="createTime",
        source_url="href",
        # The event changes when the problem ends (`NodeDown`, `NodeUp`); an alert of Alerta's has an ID.
        identity=first_of("id", all_of("environment", "resource", "event")),
        labels=join("attributes", "tags"),
        host="resource",
    ),
    FieldMap(
        source="goalert",
        kind="outgoing",
        matches=all_of("AppName=GoAlert", "Type"),
        effect=_goalert_status,
        title=first_of("Summary", join("ServiceName", "Type")),
        note=first_of("LogEntry", "Type"),
        description="Details",
        service="ServiceName",
        identity="AlertID",
    ),
    FieldMap(
        source="goalert",
        matches=first_of(all_of("dedup", "summary"), all_of("dedup", "action")),
        effect=by("action", resolved="close"),
        title="summary",
        description="details",
        identity="dedup",
    ),
    FieldMap(
        source="dynatrace",
        matches=first_of(all_of("ProblemID", "State"), all_of("PID", "State")),
        effect=_dynatrace_effect,
        title="ProblemTitle",
        description=first_of("ProblemDetailsText", "ProblemDetails", "ImpactedEntity"),
        severity="ProblemSeverity",
        severities={
            "availability": "critical",
            "error": "high",
            "monitoring_unavailable": "high",
            "performance": "medium",
            "resource_contention": "medium",
        },
        service=first_of("ImpactedEntities.0.name", "ImpactedEntity"),
        source_url="ProblemURL",
        identity=first_of("PID", "ProblemID"),
        labels="Tags",
    ),
    FieldMap(
        source="site24x7",
        matches=first_of(all_of("MONITORNAME", "STATUS"), all_of("MONITOR_ID", "STATUS")),
        effect=by("STATUS", resolved="up", note="maintenance suspended"),
        title=join("MONITORNAME", "STATUS"),
        description=join("INCIDENT_REASON", "INCIDENT_DETAILS"),
        severity="STATUS",
        severities={"trouble": "medium", "up": "info"},
        service="MONITORNAME",
        started_at="INCIDENT_TIME_ISO",
        source_url=first_of("MONITOR_DASHBOARD_LINK", "RCA_LINK"),
        identity=first_of("MONITOR_ID", "MONITORID", "MONITORNAME"),
        labels="TAGS",
    ),
    FieldMap(
        source="cloudflare",
        matches=first_of(
            all_of("alert_correlation_id", "alert_event"), all_of("policy_id", "alert_type", "account_id")
        ),
        effect=by(first_of("alert_event", "data.status"), resolved="alert_state_event_end healthy"),
        title=_cloudflare_title,
        description="text",
        severity="data.severity",
        service=first_of("data.pool_name", "data.name"),
        started_at="ts",
        identity="alert_correlation_id",
    ),
    FieldMap(
        source="cloudflare",
        matches=lambda webhook: _is_cloudflare_test(webhook.body),
        any_of=("text",),
        effect=always(Effect.NOTE),
        note="text",
    ),
    FieldMap(
        source="splunk",
        matches=first_of(
            all_of("search_name", first_of("sid", "results_link")), all_of("sid", "results_link")
        ),
        # It reports that a search found something, and never that it no longer does.
        effect=always(Effect.FIRING),
        title="search_name",
        severity=first_of("result.severity", "result.urgency"),
        service="result.service",
        source_url="results_link",
        labels="result",
        host="result.host",
        without="service",
    ),
)
