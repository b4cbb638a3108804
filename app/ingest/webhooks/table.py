"""The senders that have nothing but names of their own: a row for each form of their bodies.

`app/ingest/webhooks/field_map.py` says how to read a row. What is missing in a row, the general rules look
for.
"""

from __future__ import annotations

from dataclasses import replace

import app.ingest.webhooks.coerce as coerce
from app.domain.alert import Effect
from app.ingest.webhooks.coerce import Json, Webhook, mapping
from app.ingest.webhooks.field_map import FieldMap, always, by


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
    matches="notification_type + host_name",
    effect=by(
        "notification_type",
        firing="problem",
        resolved="recovery",
        acknowledged="acknowledgement",
        others=Effect.NOTE,
    ),
    title="host_name + service_name + state",
    note="notification_type + notification_author + notification_comment",
    description="output + notification_comment",
    severity="state",
    severities={"unreachable": "high", "unknown": "medium"},
    service="service_name → host_name",
    started_at="last_state_change",
    source_url="url",
    identity="host_name + service_name → host_name",
    host="host_name",
)
_NAGIOS = replace(_ICINGA, source="nagios", matches="source=nagios* + notification_type + host_name")

FIELD_MAPS = (
    FieldMap(
        source="grafana",
        kind="legacy",
        matches="ruleId + state + ruleName",
        effect=by("state", resolved="ok"),
        title="ruleName",
        description="message",
        severity="tags.severity",
        service="tags.service",
        source_url="ruleUrl",
        identity="orgId + ruleId → ruleId",
        labels="tags",
    ),
    FieldMap(
        source="newrelic",
        matches="issueUrl + state + id",
        effect=by("state", resolved="closed deactivated"),
        title="title",
        severity="priority",
        service="impactedEntities.0",
        started_at="createdAt",
        source_url="issueUrl",
        identity="id",
    ),
    FieldMap(
        source="newrelic",
        kind="classic",
        matches="condition_name + current_state + incident_id",
        effect=by("current_state", resolved="closed", acknowledged="acknowledged"),
        title="condition_name + details",
        description="details",
        severity="severity",
        service="targets.0.name",
        started_at="timestamp",
        source_url="incident_url",
        identity="account_id + incident_id",
        labels="targets.0.labels",
    ),
    FieldMap(
        source="uptimekuma",
        matches=_has_all_three,
        any_of=("heartbeat",),
        effect=by("heartbeat.status", resolved="1", note="2 3"),
        title="monitor.name → msg",
        note="msg",
        description="heartbeat.msg + monitor.description → msg",
        service="monitor.name",
        started_at="heartbeat.time",
        identity="monitor.id + monitor.name → monitor.id → monitor.name",
        labels="monitor.tags",
        host="monitor.hostname",
    ),
    FieldMap(
        source="kibana",
        matches="rule.id + alert.id → rule_id + alert_id",
        effect=by(
            "alert.actionGroup → alert_action_group → action_group → alertActionGroup → actionGroup",
            resolved="recovered",
        ),
        title="rule.name → rule_name",
        description="context.reason → reason → context.message → message",
        severity="severity",
        service_tag=True,
        started_at="context.timestamp → date",
        source_url="context.alertDetailsUrl → url → rule.url",
        identity="rule.spaceId + rule.id + alert.id → rule.id + alert.id"
        " → space_id + rule_id + alert_id → rule_id + alert_id",
        labels="rule.tags + rule_tags + tags",
    ),
    FieldMap(
        source="gcp",
        matches="incident.incident_id",
        effect=by("incident.state", resolved="closed"),
        title="incident.policy_name + incident.condition_name",
        description="incident.summary + incident.documentation.content",
        severity="incident.severity",
        service="incident.policy_user_labels.service",
        started_at="incident.started_at",
        source_url="incident.url",
        identity="incident.incident_id",
        labels="incident.policy_user_labels + incident.resource.labels",
    ),
    FieldMap(
        source="pagerduty",
        matches="event_action + routing_key",
        effect=by("event_action", resolved="resolve", acknowledged="acknowledge"),
        title="payload.summary",
        description="payload.custom_details",
        severity="payload.severity",
        service="payload.component",
        started_at="payload.timestamp",
        source_url="client_url → links.0.href",
        identity="routing_key + dedup_key",
        host="payload.source",
    ),
    FieldMap(
        source="pagerduty",
        kind="v1",
        matches="service_key + event_type",
        effect=by("event_type", resolved="resolve", acknowledged="acknowledge"),
        title="description",
        description="description + details",
        source_url="client_url → contexts.0.href",
        identity="service_key + incident_key",
    ),
    FieldMap(
        source="victorops",
        matches="message_type + entity_id → message_type + state_message"
        " → message_type + entity_display_name",
        effect=by("message_type", resolved="recovery", acknowledged="acknowledgement", note="info"),
        title="entity_display_name → entity_id → state_message",
        note="message_type + state_message",
        description="state_message",
        severity="message_type",
        service="service → service_name",
        started_at="state_start_time → timestamp",
        source_url="alert_url → url",
        identity="entity_id",
        host="host_name",
    ),
    FieldMap(
        source="opsgenie",
        kind="webhook",
        matches="action + alert.alertId",
        effect=by(
            "action",
            firing="create",
            resolved="close delete",
            acknowledged="acknowledge",
            others=Effect.NOTE,
        ),
        title="alert.message",
        note="action + alert.note",
        description="alert.description + alert.note",
        severity="alert.priority",
        severities={"1": "critical", "2": "high", "3": "medium", "4": "low", "5": "info"},
        service="alert.details.service → alert.entity",
        started_at="alert.createdAt",
        identity="alert.alertId",
        labels="alert.details + alert.tags",
    ),
    FieldMap(
        source="opsgenie",
        kind="API",
        matches="message + alias + responders → message + alias + priority"
        " → message + alias + details → message + alias + entity",
        effect=always(Effect.FIRING),
        title="message",
        description="description",
        severity="priority",
        service="details.service → entity",
        source_url="source",
        identity="alias",
        labels="details + tags",
    ),
    FieldMap(
        source="healthchecks",
        matches="ping_url + n_pings → ping_url + uuid → source=healthchecks + code",
        effect=by("status", firing="down", resolved="up", others=Effect.NOTE),
        title="name → check",
        note="status",
        description="desc",
        service="name",
        service_tag=True,
        started_at="now",
        identity="uuid → unique_key → code",
        labels=_words_of_tags,
    ),
    FieldMap(
        source="pingdom",
        matches="check_id + current_state + previous_state",
        effect=by("current_state", resolved="up success"),
        title="check_name",
        description="long_description + description + custom_message",
        severity="importance_level",
        service="check_name",
        started_at="state_changed_timestamp",
        identity="check_id",
        labels="tags",
        host="check_params.hostname",
    ),
    FieldMap(
        source="statuscake",
        matches="Token + Status + StatusCode",
        effect=by("Status", resolved="up"),
        title="Name",
        service="Name",
        identity="TestID → Name + URL",
        labels="Tags",
    ),
    FieldMap(
        source="checkly",
        matches="check_id + alert_type=ALERT_*",
        effect=by("alert_type", resolved="alert_recovery alert_degraded_recovery"),
        title="check_name",
        description="event + check_error_message",
        severity="alert_type",
        severities={"alert_degraded": "medium", "alert_degraded_recovery": "medium", "alert_ssl": "low"},
        usual_severity="high",
        service="group_name → check_name",
        started_at="started_at",
        source_url="link",
        identity="check_id",
        apart="alert_type=ALERT_SSL",
        labels="tags",
    ),
    FieldMap(
        source="uptimerobot",
        matches="monitorID + alertType",
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
        matches="data.type=incident + data.attributes.started_at",
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
        matches="version=1.0 + title + message + type",
        effect=by("type", resolved="success"),
        title="title",
        description="message",
        severity="type",
        severities={"failure": "high"},
    ),
)
