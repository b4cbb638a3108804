"""The senders that have nothing but names of their own: a row for each form of their bodies.

`app/ingest/webhooks/field_map.py` says how to read a row. What is missing in a row, the general rules look
for.
"""

from __future__ import annotations

from dataclasses import replace

import app.ingest.webhooks.coerce as coerce
from app.domain.alert import Effect
from app.ingest.webhooks.coerce import Json, Webhook, mapping
from app.ingest.webhooks.field_map import FieldMap, all_of, always, by, first_of, join


def _has_all_three(webhook: Webhook) -> bool:
    # Uptime Kuma's test button sends them as nulls.
    return webhook.body.keys() >= {"heartbeat", "monitor", "msg"}


def _words_of_tags(body: Json) -> object:
    # Of healthchecks: `prod backup service:db`.
    tags = body.get("tags")
    return tags.split() if isinstance(tags, str) else tags


def _betterstack_effect(body: Json) -> Effect:
    attributes = mapping(mapping(body.get("data")).get("attributes"))
    if coerce.moment(attributes.get("resolved_at")):
        return Effect.RESOLVED
    return Effect.ACKNOWLEDGED if coerce.moment(attributes.get("acknowledged_at")) else Effect.FIRING


# A template that the users of both have.
_ICINGA = FieldMap(
    source="icinga",
    matches=all_of("notification_type", "host_name"),
    effect=by(
        "notification_type",
        firing="problem",
        resolved="recovery",
        acknowledged="acknowledgement",
        others=Effect.NOTE,
    ),
    title=join("host_name", "service_name", "state"),
    note=join("notification_type", "notification_author", "notification_comment"),
    description=join("output", "notification_comment"),
    severity="state",
    severities={"unreachable": "high", "unknown": "medium"},
    service=first_of("service_name", "host_name"),
    started_at="last_state_change",
    source_url="url",
    identity=first_of(all_of("host_name", "service_name"), "host_name"),
    host="host_name",
)
_NAGIOS = replace(
    _ICINGA, source="nagios", matches=all_of("source=nagios*", "notification_type", "host_name")
)

FIELD_MAPS = (
    FieldMap(
        source="grafana",
        kind="legacy",
        matches=all_of("ruleId", "state", "ruleName"),
        effect=by("state", resolved="ok"),
        title="ruleName",
        description="message",
        severity="tags.severity",
        service="tags.service",
        source_url="ruleUrl",
        identity=first_of(all_of("orgId", "ruleId"), "ruleId"),
        labels="tags",
    ),
    FieldMap(
        source="newrelic",
        matches=all_of("issueUrl", "state", "id"),
        effect=by("state", resolved="closed deactivated"),
        severity="priority",
        service="impactedEntities.0",
        started_at="createdAt",
        source_url="issueUrl",
        identity="id",
    ),
    FieldMap(
        source="newrelic",
        kind="classic",
        matches=all_of("condition_name", "current_state", "incident_id"),
        effect=by("current_state", resolved="closed", acknowledged="acknowledged"),
        title=join("condition_name", "details"),
        description="details",
        service="targets.0.name",
        started_at="timestamp",
        source_url="incident_url",
        identity=all_of("account_id", "incident_id"),
        labels="targets.0.labels",
    ),
    FieldMap(
        source="uptimekuma",
        matches=_has_all_three,
        any_of=("heartbeat",),
        effect=by("heartbeat.status", resolved="1", note="2 3"),
        title=first_of("monitor.name", "msg"),
        note="msg",
        description=first_of(join("heartbeat.msg", "monitor.description"), "msg"),
        service="monitor.name",
        started_at="heartbeat.time",
        identity=first_of(all_of("monitor.id", "monitor.name"), "monitor.id", "monitor.name"),
        labels="monitor.tags",
        host="monitor.hostname",
    ),
    FieldMap(
        source="kibana",
        matches=first_of(all_of("rule.id", "alert.id"), all_of("rule_id", "alert_id")),
        effect=by(
            first_of(
                "alert.actionGroup", "alert_action_group", "action_group", "alertActionGroup", "actionGroup"
            ),
            resolved="recovered",
        ),
        title=first_of("rule.name", "rule_name"),
        description=first_of("context.reason", "reason", "context.message", "message"),
        service_tag=True,
        started_at=first_of("context.timestamp", "date"),
        source_url=first_of("context.alertDetailsUrl", "url", "rule.url"),
        identity=first_of(
            all_of("rule.spaceId", "rule.id", "alert.id"),
            all_of("rule.id", "alert.id"),
            all_of("space_id", "rule_id", "alert_id"),
            all_of("rule_id", "alert_id"),
        ),
        labels=join("rule.tags", "rule_tags", "tags"),
    ),
    FieldMap(
        source="gcp",
        matches="incident.incident_id",
        effect=by("incident.state", resolved="closed"),
        title=join("incident.policy_name", "incident.condition_name"),
        description=join("incident.summary", "incident.documentation.content"),
        severity="incident.severity",
        service="incident.policy_user_labels.service",
        started_at="incident.started_at",
        source_url="incident.url",
        identity="incident.incident_id",
        labels=join("incident.policy_user_labels", "incident.resource.labels"),
    ),
    FieldMap(
        source="pagerduty",
        matches=all_of("event_action", "routing_key"),
        effect=by("event_action", resolved="resolve", acknowledged="acknowledge"),
        title="payload.summary",
        description="payload.custom_details",
        severity="payload.severity",
        service="payload.component",
        started_at="payload.timestamp",
        source_url=first_of("client_url", "links.0.href"),
        identity=all_of("routing_key", "dedup_key"),
        host="payload.source",
    ),
    FieldMap(
        source="pagerduty",
        kind="v1",
        matches=all_of("service_key", "event_type"),
        effect=by("event_type", resolved="resolve", acknowledged="acknowledge"),
        title="description",
        description=join("description", "details"),
        source_url=first_of("client_url", "contexts.0.href"),
        identity=all_of("service_key", "incident_key"),
    ),
    FieldMap(
        source="victorops",
        matches=all_of("message_type", first_of("entity_id", "state_message", "entity_display_name")),
        effect=by("message_type", resolved="recovery", acknowledged="acknowledgement", note="info"),
        title=first_of("entity_display_name", "entity_id", "state_message"),
        note=join("message_type", "state_message"),
        description="state_message",
        severity="message_type",
        service=first_of("service", "service_name"),
        started_at=first_of("state_start_time", "timestamp"),
        source_url=first_of("alert_url", "url"),
        identity="entity_id",
        host="host_name",
    ),
    FieldMap(
        source="opsgenie",
        kind="webhook",
        matches=all_of("action", "alert.alertId"),
        effect=by(
            "action",
            firing="create",
            resolved="close delete",
            acknowledged="acknowledge",
            unacknowledged="unacknowledge",
            others=Effect.NOTE,
        ),
        title="alert.message",
        note=join("action", "alert.note"),
        description=join("alert.description", "alert.note"),
        severity="alert.priority",
        severities={"1": "critical", "2": "high", "3": "medium", "4": "low", "5": "info"},
        service=first_of("alert.details.service", "alert.entity"),
        started_at="alert.createdAt",
        identity="alert.alertId",
        labels=join("alert.details", "alert.tags"),
    ),
    FieldMap(
        source="opsgenie",
        kind="API",
        matches=all_of("message", "alias", first_of("responders", "priority", "details", "entity")),
        effect=always(Effect.FIRING),
        title="message",
        description="description",
        severity="priority",
        service=first_of("details.service", "entity"),
        source_url="source",
        identity="alias",
        labels=join("details", "tags"),
    ),
    FieldMap(
        source="healthchecks",
        matches=first_of(
            all_of("ping_url", first_of("n_pings", "uuid")), all_of("source=healthchecks", "code")
        ),
        effect=by("status", firing="down", resolved="up", others=Effect.NOTE),
        title=first_of("name", "check"),
        note="status",
        description="desc",
        service="name",
        service_tag=True,
        started_at="now",
        identity=first_of("uuid", "unique_key", "code"),
        labels=_words_of_tags,
    ),
    FieldMap(
        source="pingdom",
        matches=all_of("check_id", "current_state", "previous_state"),
        effect=by("current_state", resolved="up success"),
        title="check_name",
        description=join("long_description", "description", "custom_message"),
        severity="importance_level",
        service="check_name",
        started_at="state_changed_timestamp",
        identity="check_id",
        labels="tags",
        host="check_params.hostname",
    ),
    FieldMap(
        source="statuscake",
        matches=all_of("Token", "Status", "StatusCode"),
        effect=by("Status", resolved="up"),
        title="Name",
        service="Name",
        identity=first_of("TestID", all_of("Name", "URL")),
        labels="Tags",
    ),
    FieldMap(
        source="checkly",
        matches=all_of("check_id", "alert_type=ALERT_*"),
        effect=by("alert_type", resolved="alert_recovery alert_degraded_recovery"),
        title="check_name",
        description=join("event", "check_error_message"),
        severity="alert_type",
        severities={"alert_degraded": "medium", "alert_degraded_recovery": "medium", "alert_ssl": "low"},
        usual_severity="high",
        service=first_of("group_name", "check_name"),
        started_at="started_at",
        source_url="link",
        identity="check_id",
        apart="alert_type=ALERT_SSL",
        labels="tags",
    ),
    FieldMap(
        source="uptimerobot",
        matches=all_of("monitorID", "alertType"),
        effect=by("alertType", resolved="2"),
        title="monitorFriendlyName",
        description="alertDetails",
        severity="alertType",
        severities={"3": "low"},
        service="monitorFriendlyName",
        started_at="alertDateTime",
        identity="monitorID",
        apart="alertType=3",
    ),
    FieldMap(
        source="betterstack",
        matches=all_of("data.type=incident", "data.attributes.started_at"),
        effect=_betterstack_effect,
        title="data.attributes.name",
        description="data.attributes.cause",
        service="data.attributes.name",
        started_at="data.attributes.started_at",
        identity="data.id",
        labels="data.attributes.metadata",
    ),
    _NAGIOS,
    _ICINGA,
    FieldMap(
        source="apprise",
        matches=all_of("version=1.0", "title", "message", "type"),
        effect=by("type", resolved="success"),
        title="title",
        description="message",
        severity="type",
        severities={"failure": "high"},
    ),
)
