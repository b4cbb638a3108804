"""/healthz and /readyz: does this process live, and is the whole pipeline well."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Blueprint

from app.gateway import Gateway
from app.store import Unavailable

WORKER_SEEN_WITHIN = timedelta(seconds=30)
OVERDUE_AFTER = timedelta(seconds=30)

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


def readiness(gateway: Gateway) -> dict[str, str]:
    """`ok`, or what is wrong, for each thing that must be well for a page to leave."""
    try:
        now = gateway.clock()
        workers = gateway.store.agenda.workers(now, WORKER_SEEN_WITHIN)
        oldest = gateway.store.agenda.oldest_due()
    except Unavailable as error:
        return {"redis": str(error), "workers": "unknown without Redis", "overdue": "unknown without Redis"}
    seen = int(WORKER_SEEN_WITHIN.total_seconds())
    overdue = "ok"
    if oldest is not None and now - oldest > OVERDUE_AFTER:
        overdue = f"an incident is overdue by {int((now - oldest).total_seconds())} s"
    return {
        "redis": "ok",
        "workers": "ok" if workers else f"no worker has been seen in the last {seen} s: start one",
        "overdue": overdue,
    }
