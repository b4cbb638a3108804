"""Azure Monitor: the common alert schema, those that rules had before it, and Event Grid's handshake."""

from __future__ import annotations

import app.ingest.webhooks.coerce as coerce
from app.domain.alert import Effect, Severity
from app.ingest.webhooks.coerce import Json
from app.ingest.webhooks.field_map import FieldMap, always, by, matches

_LEVELS: tuple[Severity, ...] = ("critical", "high", "medium", "info", "info")
_SEVERITIES = {f"{sev}{n}": severity for sev in ("sev", "") for n, severity in enumerate(_LEVELS)}


def _configuration_item(body: Json) -> object:
    essentials = ("data", "essentials")
    item = coerce.line(coerce.at(body, (*essentials, "configurationItems", "0")))
    target = coerce.line(coerce.at(body, (*essentials, "alertTargetIDs", "0")), coerce.LINK_LIMIT)
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

FIELD_MAPS = (
    FieldMap(
        source="azure",
        kind="health",
        matches=f"{_HEALTH}ServiceHealth → {_HEALTH}Service Health",
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
    FieldMap(
        source="azure",
        matches="schemaId=azureMonitorCommonAlertSchema",
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
    FieldMap(
        source="azure",
        kind="metric",
        matches="schemaId=AzureMonitorMetricAlert + data.context",
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
    FieldMap(
        source="azure",
        kind="metric",
        matches="context.portalLink + status + context.id",
        effect=by("status", resolved="resolved deactivated"),
        title="context.name",
        description="context.description",
        service="context.resourceName",
        started_at="context.timestamp",
        source_url="context.portalLink",
        identity="context.id + context.resourceId → context.id",
        labels="properties",
    ),
    FieldMap(
        source="azure",
        kind="log",
        matches="schemaId=Microsoft.Insights/LogAlert",
        # Its rule reports that a search found something, and never that it no longer does.
        effect=always(Effect.FIRING),
        title="data.AlertRuleName",
        description="data.Description + data.SearchQuery",
        severity="data.Severity",
        severities=_SEVERITIES,
        started_at="data.SearchIntervalEndtimeUtc",
        source_url="data.LinkToSearchResults → data.LinkToFilteredSearchResultsUI",
    ),
    FieldMap(
        source="azure",
        kind="activity",
        matches="schemaId=Microsoft.Insights/activityLogs + data.context",
        effect=_activity_effect,
        title="data.context.activityLog.properties.title → data.context.activityLog.operationName",
        description="data.context.activityLog.description",
        severity="data.context.activityLog.level",
        service="data.context.activityLog.properties.service",
        started_at="data.context.activityLog.eventTimestamp",
        identity="data.context.activityLog.properties.trackingId → data.context.activityLog.correlationId",
        labels="data.properties",
    ),
    FieldMap(
        source="azure",
        kind="event grid",
        matches="eventType=Microsoft.EventGrid.SubscriptionValidationEvent"
        " → type=Microsoft.EventGrid.SubscriptionValidationEvent",
        effect=always(Effect.NOTE),
        note="eventType → type",
    ),
)
