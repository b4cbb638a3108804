"""Falcosidekick and Wazuh, which report single events and never that one is over."""

from __future__ import annotations

import app.senders.fields as fields
from app.alert import Effect
from app.senders.fields import Json
from app.senders.row import Row, all_of, always, first_of

# Wazuh counts from 0 to 15; its own mail begins at 12.
_WAZUH_LEVELS = ((15, "critical"), (12, "high"), (7, "medium"), (4, "low"), (0, "info"))


def _wazuh_severity(body: Json) -> object:
    level = fields.at(body, ("rule", "level"))
    if not isinstance(level, int) or isinstance(level, bool):
        return None
    return next((severity for least, severity in _WAZUH_LEVELS if level >= least), None)


ROWS = (
    Row(
        source="falco",
        recognised=all_of(first_of("output_fields", all_of("output", "hostname")), "rule", "priority"),
        effect=always(Effect.FIRING),
        title="rule",
        description="output",
        severity="priority",
        started_at="time",
        labels="output_fields",
        host="hostname",
    ),
    Row(
        source="wazuh",
        recognised=all_of("rule.level", "rule.description", first_of("agent", "manager")),
        effect=always(Effect.FIRING),
        title="rule.description",
        description="full_log",
        severity=_wazuh_severity,
        started_at="timestamp",
        labels="data",
        host="agent.name",
    ),
)
