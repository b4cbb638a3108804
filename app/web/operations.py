"""/healthz and /readyz: does this process live, and is the whole pipeline well."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from app.gateway import Gateway
from app.health import clock_stepped, readiness

PATIENCE = 2.0


def blueprint(gateway: Gateway) -> Blueprint:
    """For load balancers and watchdogs; no secret is needed and none is told."""
    operations = Blueprint("operations", __name__)

    @operations.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @operations.get("/readyz")
    def readyz() -> tuple[dict[str, Any], int]:
        with gateway.store.patience(PATIENCE):
            checks = readiness(gateway)
        ready = all(verdict == "ok" for verdict in checks.values())
        clock = clock_stepped(gateway)
        answer = {"status": "ready" if ready else "not ready", "checks": checks}
        return answer | ({"clock": clock} if clock else {}), 200 if ready else 503

    return operations
