"""/healthz and /readyz: does this process live, and is the whole pipeline well."""

from typing import Any

from flask import Blueprint

from app.gateway import Gateway
from app.health import readiness

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
        return {"status": "ready" if ready else "not ready", "checks": checks}, 200 if ready else 503

    return operations
