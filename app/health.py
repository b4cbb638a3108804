"""Is the whole pipeline well: what `/readyz`, metrics and dashboard tell, and what the heartbeat needs."""

from __future__ import annotations

from datetime import timedelta

from app.agreement import difference
from app.gateway import Gateway
from app.store import Gauges, Refused, Unavailable

WORKER_SEEN_WITHIN = timedelta(seconds=30)
OVERDUE_AFTER = timedelta(seconds=30)

# So many attempts to page that failed in a row, with none that got through, are no accident any more.
FAILED_ATTEMPTS = 5


def readiness(gateway: Gateway) -> dict[str, str]:
    """`ok`, or what is wrong, for each thing that must be well for a page to leave."""
    try:
        gateway.store.server.require_writes()
        now = gateway.clock()
        workers = gateway.store.agenda.workers(now, WORKER_SEEN_WITHIN)
        oldest = gateway.store.agenda.oldest_due()
        differ = difference(gateway, workers)
    except Refused as error:
        unknown = "unknown while Redis refuses"
        return {
            "redis": f"Redis does not take writes: {error.answer}",
            "workers": unknown,
            "overdue": unknown,
        }
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
        **({"settings": differ} if differ else {}),
    }


def standing(gateway: Gateway) -> Gauges:
    """How things stand, in numbers. Raises `Unavailable`."""
    pagers = [gateway.pager(name) for name in gateway.config.oncall.incident_io.alert_sources]
    limits = {pager: gateway.limits(pager) for pager in pagers}
    return gateway.store.gauges(gateway.clock(), OVERDUE_AFTER, WORKER_SEEN_WITHIN, limits)


def heartbeat_due(gateway: Gateway) -> bool:
    """Whether it is the caller's turn to send the heartbeat, and all is well. Raises `Unavailable`."""
    agenda = gateway.store.agenda
    if not agenda.heartbeat_turn():
        return False
    return agenda.failed_in_a_row() < FAILED_ATTEMPTS and set(readiness(gateway).values()) == {"ok"}
