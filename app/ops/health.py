"""Is the whole pipeline well: what `/readyz`, metrics and dashboard show, and what the heartbeat needs."""

from __future__ import annotations

from datetime import datetime, timedelta

from app.bootstrap import Services
from app.domain.delivery import Destination
from app.domain.state import Phase
from app.domain.timeline import rfc3339
from app.ops.agreement import difference
from app.store import Snapshot, StoreRefusesWrites, StoreUnavailable

WORKER_SEEN_WITHIN = timedelta(seconds=30)
OVERDUE_AFTER = timedelta(seconds=30)

# So many attempts to page that failed in a row, with none that got through, are no accident any more.
FAILED_ATTEMPTS = 5


def readiness(services: Services) -> dict[str, str]:
    """`ok`, or what is wrong, for each thing that must be well for a page to leave."""
    try:
        services.store.schema.require()
        services.store.server.require_writes()
        now = services.clock()
        workers = services.store.delivery_queue.workers(now, WORKER_SEEN_WITHIN)
        overdue = _overdue(services, now)
        lost = lost_data(services)
        differ = difference(services, workers)
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
    return {
        "redis": lost or "ok",
        "workers": "ok" if workers else f"no worker has been seen in the last {seen} s: start one",
        "overdue": overdue or "ok",
        **({"settings": differ} if differ else {}),
    }


def _overdue(services: Services, now: datetime) -> str | None:
    """That something is overdue, and of a page that got lost at its provider, which one it is."""
    oldest = services.store.delivery_queue.oldest_due()
    if oldest is None or (late := now.timestamp() - oldest.due_at) <= OVERDUE_AFTER.total_seconds():
        return None
    incident = services.store.incidents.get(oldest.incident_id)
    lost = incident is not None and incident.lost_since(oldest.pager) is not None
    why = f": {oldest.pager} took the page of {oldest.incident_id} and has no such alert" if lost else ""
    return f"an incident is overdue by {int(late)} s{why}"


def lost_data(services: Services) -> str | None:
    """What Redis lost, until somebody has acknowledged or resolved the incident that says so."""
    loss = services.store.epoch.loss()
    if loss is None or not loss.whole:
        return None
    if loss.incident_id is not None:
        incident = services.store.incidents.get(loss.incident_id)
        if incident is None or incident.phase in (Phase.ACKNOWLEDGED, Phase.RESOLVED):
            return None
    return (
        f"Redis lost data at {rfc3339(loss.at)}, when {loss.pending} incidents were pending: "
        f"acknowledge or resolve the incident {loss.incident_id or 'that will say so'}"
    )


def clock_stepped(services: Services) -> str | None:
    """What is to be said of Redis's clock, where it stepped since the service began."""
    seconds = round(services.store.clock.correction)
    return f"Redis's clock stepped, and is corrected by {seconds:+d} s" if seconds else None


def read_snapshot(services: Services) -> Snapshot:
    """How things stand, in numbers. Raises `StoreUnavailable`."""
    limits = {pager: services.limits(pager) for pager in map(Destination, services.config.oncall.pagers)}
    return services.store.snapshot(services.clock(), OVERDUE_AFTER, WORKER_SEEN_WITHIN, limits)


def heartbeat_due(services: Services) -> bool:
    """Whether it is the caller's turn to send the heartbeat, and all is well. Raises `StoreUnavailable`."""
    delivery_queue = services.store.delivery_queue
    if not delivery_queue.acquire_heartbeat(services.clock()):
        return False
    return delivery_queue.failed_in_a_row() < FAILED_ATTEMPTS and set(readiness(services).values()) == {"ok"}
