"""Incidents of our own: what the service has to report goes the way of any webhook, as source `versus`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from app.bootstrap import Services
from app.domain.alert import LINE_LIMIT, VERSUS, Alert, Severity, own_identity
from app.domain.incident import Incident
from app.ingest.service import Options, ReceivedAlert, receive
from app.sanitize import one_line


def report(
    services: Services,
    key: str,
    title: str,
    description: str,
    *,
    severity: Severity = "medium",
    details: Mapping[str, Any] | None = None,
    options: Options | None = None,
) -> Incident:
    """Open an incident about a problem of our own, or join the one that is open for this key.

    `details` (no secrets) are kept as its payload. Without `options` it pages as configured, if on-call is
    ready. Raises as `receive` does.
    """
    alert = Alert(
        title=one_line(title, LINE_LIMIT),
        source=VERSUS,
        description=description,
        severity=severity,
        identity=own_identity(key),
    )
    asked = options or Options(oncall_enable=services.config.oncall.ready)
    [received] = receive(services, [ReceivedAlert(alert, json.dumps(details or {}))], asked)
    if received.incident is None:
        raise AssertionError("An alert that fires always becomes an incident.")
    return received.incident
