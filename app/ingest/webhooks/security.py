"""Falcosidekick and Wazuh, which report single events and never that one is over."""

from __future__ import annotations

import app.ingest.webhooks.coerce as coerce
from app.domain.alert import Effect
from app.ingest.webhooks.coerce import Json
from app.ingest.webhooks.field_map import FieldMap, all_of, always, first_of

# Wazuh counts from 0 to 15; its own mail begins at 12.
_WAZUH_LEVELS = ((15, "critical"), (12, "high"), (7, "medium"), (4, "low"), (0, "info"))


def _wazuh_severity(body: Json) -> object:
    level = coerce.at(body, ("rule", "level"))
    if not isinstance(level, int) or isinstance(level, bool):
        return None
    return next((severity for least, severity in _WAZUH_LEVELS if level >= least), None)


FIELD_MAPS = (
    FieldMap(
        source="falco",
        matches=all_of(first_of("output_fields", all_of("output", "hostname")), "rule", "priority"),
        effect=always(Effect.FIRING),
        title="rule",
        description="output",
        severity="priority",
        started_at="time",
        labels="output_fields",
        host="hostname",
    ),
    FieldMap(
        source="wazuh",
        matches=all_of("rule.level", "rule.description", first_of("agent", "manager")),
        effect=always(Effect.FIRING),
        title="rule.description",
        description="full_log",
        severity=_wazuh_severity,
        started_at="timestamp",
        labels="data",
        host="agent.name",
    ),
)
