"""/healthz and /readyz: does this process live, and is the whole pipeline well."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from app.bootstrap import Services
from app.ops.health import clock_stepped, readiness

STORE_SECONDS = 2.0


def blueprint(services: Services) -> Blueprint:
    """For load balancers and watchdogs; no secret is needed and none is shown."""
    operations = Blueprint("operations", __name__)

    @operations.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @operations.get("/readyz")
    def readyz() -> tuple[dict[str, Any], int]:
        with services.store.deadline(STORE_SECONDS):
            checks = readiness(services)
        ready = all(verdict == "ok" for verdict in checks.values())
        clock = clock_stepped(services)
        answer = {"status": "ready" if ready else "not ready", "checks": checks}
        return answer | ({"clock": clock} if clock else {}), 200 if ready else 503

    return operations
