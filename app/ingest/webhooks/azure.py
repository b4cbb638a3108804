"""Azure Monitor: the common alert schema, those that rules had before it, and Event Grid's handshake."""

from __future__ import annotations

import app.ingest.webhooks.coerce as coerce
from app.domain.alert import Effect, Severity
from app.ingest.webhooks.coerce import Json
from app.ingest.webhooks.field_map import FieldMap, all_of, always, by, first_of, join, matches

_LEVELS: tuple[Severity, ...] = ("critical", "high", "medium", "info", "info")
_SEVERITIES = {f"{sev}{n}": severity for sev in ("sev", "") for n, severity in enumerate(_LEVELS)}


def _configuration_item(body: Json) -> object:
    essentials = ("data", "essentials")
    item = coerce.line(coerce.at(body, (*essentials, "configurationItems", "0")))
    target = coerce.line(coerce.at(body, (*essentials, "alertTargetIDs", "0")), coerce.LINK_LIMIT)
    return item or (target and target.rstrip("/").rpartition("/")[2])


_COMMON = "schemaId=azureMonitorCommonAlertSchema"
_ESSENTIALS = "data.essentials"
_HEALTH = f"{_ESSENTIALS}.monitoringService=Service"
_CONTEXT = "data.alertContext"
_EVENT = "data.context.activityLog"

# Each message of Service Health is `Fired`; the stage says whether the trouble is over.
_BY_STATUS = by(
    first_of(f"{_CONTEXT}.status", f"{_CONTEXT}.properties.stage", f"{_ESSENTIALS}.monitorCondition"),
    resolved="resolved complete",
)


def _health_effect(body: Json) -> Effect | None:
    return Effect.NOTE if matches(body, f"{_CONTEXT}.properties.stage=rca") else _BY_STATUS(body)


FIELD_MAPS = (
    FieldMap(
        source="azure",
        kind="health",
        matches=first_of(all_of(_COMMON, f"{_HEALTH}Health"), all_of(_COMMON, f"{_HEALTH} Health")),
        effect=_health_effect,
        title=join(f"{_ESSENTIALS}.alertRule", f"{_CONTEXT}.properties.title"),
        description=first_of(f"{_CONTEXT}.properties.communication", f"{_ESSENTIALS}.description"),
        severity=f"{_ESSENTIALS}.severity",
        severities=_SEVERITIES,
        service=f"{_CONTEXT}.properties.service",
        started_at=f"{_ESSENTIALS}.firedDateTime",
        # Each message has an alert ID of its own.
        identity=first_of(f"{_CONTEXT}.properties.trackingId", f"{_ESSENTIALS}.originAlertId"),
        labels="data.customProperties",
    ),
    FieldMap(
        source="azure",
        matches=_COMMON,
        effect=by(f"{_ESSENTIALS}.monitorCondition", resolved="resolved"),
        title=f"{_ESSENTIALS}.alertRule",
        description=f"{_ESSENTIALS}.description",
        severity=f"{_ESSENTIALS}.severity",
        severities=_SEVERITIES,
        service=_configuration_item,
        started_at=f"{_ESSENTIALS}.firedDateTime",
        source_url=f"{_ESSENTIALS}.investigationLink",
        identity=f"{_ESSENTIALS}.alertId",
        labels=join("data.customProperties", "customProperties"),
    ),
    FieldMap(
        source="azure",
        kind="metric",
        matches=all_of("schemaId=AzureMonitorMetricAlert", "data.context"),
        effect=by("data.status", resolved="deactivated resolved"),
        title="data.context.name",
        description="data.context.description",
        severity="data.context.severity",
        severities=_SEVERITIES,
        service="data.context.resourceName",
        started_at="data.context.timestamp",
        source_url="data.context.portalLink",
        identity=first_of(all_of("data.context.id", "data.context.resourceId"), "data.context.id"),
        labels="data.properties",
    ),
    FieldMap(
        source="azure",
        kind="metric",
        matches=all_of("context.portalLink", "status", "context.id"),
        effect=by("status", resolved="resolved deactivated"),
        title="context.name",
        description="context.description",
        service="context.resourceName",
        started_at="context.timestamp",
        source_url="context.portalLink",
        identity=first_of(all_of("context.id", "context.resourceId"), "context.id"),
        labels="properties",
    ),
    FieldMap(
        source="azure",
        kind="log",
        matches="schemaId=Microsoft.Insights/LogAlert",
        # Its rule reports that a search found something, and never that it no longer does.
        effect=always(Effect.FIRING),
        title="data.AlertRuleName",
        description=join("data.Description", "data.SearchQuery"),
        severity="data.Severity",
        severities=_SEVERITIES,
        started_at="data.SearchIntervalEndtimeUtc",
        source_url=first_of("data.LinkToSearchResults", "data.LinkToFilteredSearchResultsUI"),
    ),
    FieldMap(
        source="azure",
        kind="activity",
        matches=all_of("schemaId=Microsoft.Insights/activityLogs", "data.context"),
        effect=by(
            first_of(f"{_EVENT}.properties.stage", f"{_EVENT}.status", "data.status"),
            resolved="resolved complete deactivated",
            note="rca",
        ),
        title=first_of(f"{_EVENT}.properties.title", f"{_EVENT}.operationName"),
        description=f"{_EVENT}.description",
        severity=f"{_EVENT}.level",
        service=f"{_EVENT}.properties.service",
        started_at=f"{_EVENT}.eventTimestamp",
        identity=first_of(f"{_EVENT}.properties.trackingId", f"{_EVENT}.correlationId"),
        labels="data.properties",
    ),
    FieldMap(
        source="azure",
        kind="event grid",
        matches=first_of(
            "eventType=Microsoft.EventGrid.SubscriptionValidationEvent",
            "type=Microsoft.EventGrid.SubscriptionValidationEvent",
        ),
        effect=always(Effect.NOTE),
        note=first_of("eventType", "type"),
    ),
)
