"""Azure Monitor: the common alert schema, those that rules had before it, and Event Grid's handshake."""

from __future__ import annotations

import app.senders.fields as fields
from app.alert import Effect, Severity
from app.senders.fields import Json
from app.senders.row import Row, always, by, matches

_LEVELS: tuple[Severity, ...] = ("critical", "high", "medium", "info", "info")
_SEVERITIES = {f"{sev}{n}": severity for sev in ("sev", "") for n, severity in enumerate(_LEVELS)}


def _configuration_item(body: Json) -> object:
    essentials = ("data", "essentials")
    item = fields.line(fields.at(body, (*essentials, "configurationItems", "0")))
    target = fields.line(fields.at(body, (*essentials, "alertTargetIDs", "0")), fields.LINK_LIMIT)
    return item or (target and target.rstrip("/").rpartition("/")[2])


def _health_effect(body: Json) -> Effect | None:
    """Each message of Service Health is `Fired`; the stage says whether the trouble is over."""
    if matches(body, "data.alertContext.properties.stage=rca"):
        return Effect.NOTE
    word = "data.alertContext.status → data.alertContext.properties.stage → data.essentials.monitorCondition"
    return by(word, resolved="resolved complete")(body)


def _activity_effect(body: Json) -> Effect | None:
    event = "data.context.activityLog"
    word = f"{event}.properties.stage → {event}.status → data.status"
    return by(word, resolved="resolved complete deactivated", note="rca")(body)


_HEALTH = "schemaId=azureMonitorCommonAlertSchema + data.essentials.monitoringService="

ROWS = (
    Row(
        source="azure",
        kind="health",
        recognised=f"{_HEALTH}ServiceHealth → {_HEALTH}Service Health",
        effect=_health_effect,
        title="data.essentials.alertRule + data.alertContext.properties.title",
        description="data.alertContext.properties.communication → data.essentials.description",
        severity="data.essentials.severity",
        severities=_SEVERITIES,
        service="data.alertContext.properties.service",
        started_at="data.essentials.firedDateTime",
        # Each message has an alert ID of its own.
        identity="data.alertContext.properties.trackingId → data.essentials.originAlertId",
        labels="data.customProperties",
    ),
    Row(
        source="azure",
        recognised="schemaId=azureMonitorCommonAlertSchema",
        effect=by("data.essentials.monitorCondition", resolved="resolved"),
        title="data.essentials.alertRule",
        description="data.essentials.description",
        severity="data.essentials.severity",
        severities=_SEVERITIES,
        service=_configuration_item,
        started_at="data.essentials.firedDateTime",
        source_url="data.essentials.investigationLink",
        identity="data.essentials.alertId",
        labels="data.customProperties + customProperties",
    ),
    Row(
        source="azure",
        kind="metric",
        recognised="schemaId=AzureMonitorMetricAlert + data.context",
        effect=by("data.status", resolved="deactivated resolved"),
        title="data.context.name",
        description="data.context.description",
        severity="data.context.severity",
        severities=_SEVERITIES,
        service="data.context.resourceName",
        started_at="data.context.timestamp",
        source_url="data.context.portalLink",
        identity="data.context.id + data.context.resourceId → data.context.id",
        labels="data.properties",
    ),
    Row(
        source="azure",
        kind="metric",
        recognised="context.portalLink + status + context.id",
        effect=by("status", resolved="resolved deactivated"),
        title="context.name",
        description="context.description",
        service="context.resourceName",
        started_at="context.timestamp",
        source_url="context.portalLink",
        identity="context.id + context.resourceId → context.id",
        labels="properties",
    ),
    Row(
        source="azure",
        kind="log",
        recognised="schemaId=Microsoft.Insights/LogAlert",
        # Its rule reports that a search found something, and never that it no longer does.
        effect=always(Effect.FIRING),
        title="data.AlertRuleName",
        description="data.Description + data.SearchQuery",
        severity="data.Severity",
        severities=_SEVERITIES,
        started_at="data.SearchIntervalEndtimeUtc",
        source_url="data.LinkToSearchResults → data.LinkToFilteredSearchResultsUI",
    ),
    Row(
        source="azure",
        kind="activity",
        recognised="schemaId=Microsoft.Insights/activityLogs + data.context",
        effect=_activity_effect,
        title="data.context.activityLog.properties.title → data.context.activityLog.operationName",
        description="data.context.activityLog.description",
        severity="data.context.activityLog.level",
        service="data.context.activityLog.properties.service",
        started_at="data.context.activityLog.eventTimestamp",
        identity="data.context.activityLog.properties.trackingId → data.context.activityLog.correlationId",
        labels="data.properties",
    ),
    Row(
        source="azure",
        kind="event grid",
        recognised="eventType=Microsoft.EventGrid.SubscriptionValidationEvent"
        " → type=Microsoft.EventGrid.SubscriptionValidationEvent",
        effect=always(Effect.NOTE),
        note="eventType → type",
    ),
)
