"""Is the whole pipeline well: what `/readyz`, metrics and dashboard tell, and what the heartbeat needs."""

from __future__ import annotations

from datetime import timedelta

from app.agreement import difference
from app.delivery import Destination
from app.gateway import Gateway
from app.state import Phase
from app.store import Gauges, Refused, Unavailable
from app.timeline import rfc3339

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
        lost = lost_data(gateway)
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
        "redis": lost or "ok",
        "workers": "ok" if workers else f"no worker has been seen in the last {seen} s: start one",
        "overdue": overdue,
        **({"settings": differ} if differ else {}),
    }


def lost_data(gateway: Gateway) -> str | None:
    """What Redis lost, until somebody has acknowledged or resolved the incident that says so."""
    loss = gateway.store.epoch.loss()
    if loss is None or not loss.whole:
        return None
    if loss.incident_id is not None:
        incident = gateway.store.incidents.get(loss.incident_id)
        if incident is None or incident.phase in (Phase.ACKNOWLEDGED, Phase.RESOLVED):
            return None
    return (
        f"Redis lost data at {rfc3339(loss.at)}, when {loss.pending} incidents were pending: "
        f"acknowledge or resolve the incident {loss.incident_id or 'that will say so'}"
    )


def clock_stepped(gateway: Gateway) -> str | None:
    """What is to be said of Redis's clock, where it stepped since the service began."""
    seconds = round(gateway.store.clock.correction)
    return f"Redis's clock stepped, and is corrected by {seconds:+d} s" if seconds else None


def standing(gateway: Gateway) -> Gauges:
    """How things stand, in numbers. Raises `Unavailable`."""
    limits = {pager: gateway.limits(pager) for pager in map(Destination, gateway.config.oncall.pagers)}
    return gateway.store.gauges(gateway.clock(), OVERDUE_AFTER, WORKER_SEEN_WITHIN, limits)


def heartbeat_due(gateway: Gateway) -> bool:
    """Whether it is the caller's turn to send the heartbeat, and all is well. Raises `Unavailable`."""
    agenda = gateway.store.agenda
    if not agenda.heartbeat_turn(gateway.clock()):
        return False
    return agenda.failed_in_a_row() < FAILED_ATTEMPTS and set(readiness(gateway).values()) == {"ok"}
