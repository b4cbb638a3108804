"""Is the whole pipeline well: what `/readyz`, metrics and dashboard tell, and what the heartbeat needs."""

from __future__ import annotations

from datetime import timedelta

from app.bootstrap import Services
from app.store import Snapshot, StoreRefusesWrites, StoreUnavailable

WORKER_SEEN_WITHIN = timedelta(seconds=30)
OVERDUE_AFTER = timedelta(seconds=30)

# So many attempts to page that failed in a row, with none that got through, are no accident any more.
FAILED_ATTEMPTS = 5


def readiness(services: Services) -> dict[str, str]:
    """`ok`, or what is wrong, for each thing that must be well for a page to leave."""
    try:
        services.store.server.require_writes()
        now = services.clock()
        workers = services.store.delivery_queue.workers(now, WORKER_SEEN_WITHIN)
        oldest = services.store.delivery_queue.oldest_due()
    except StoreRefusesWrites as error:
        unknown = "unknown while Redis refuses"
        return {
            "redis": f"Redis does not take writes: {error.answer}",
            "workers": unknown,
            "overdue": unknown,
        }
    except StoreUnavailable as error:
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


def read_snapshot(services: Services) -> Snapshot:
    """How things stand, in numbers. Raises `StoreUnavailable`."""
    pagers = [services.pager(name) for name in services.config.oncall.incident_io.alert_sources]
    limits = {pager: services.limits(pager) for pager in pagers}
    return services.store.snapshot(services.clock(), OVERDUE_AFTER, WORKER_SEEN_WITHIN, limits)


def heartbeat_due(services: Services) -> bool:
    """Whether it is the caller's turn to send the heartbeat, and all is well. Raises `StoreUnavailable`."""
    delivery_queue = services.store.delivery_queue
    if not delivery_queue.acquire_heartbeat():
        return False
    return delivery_queue.failed_in_a_row() < FAILED_ATTEMPTS and set(readiness(services).values()) == {"ok"}
