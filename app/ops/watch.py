"""A thread of each process, for what no request notices: Redis lost what it knew, or its clock stepped.

Or a newer version of the software took over. It also says that the process lives, and which version it is.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

from app.bootstrap import Services
from app.ingest.own_incident import report
from app.ingest.service import Options
from app.store import Kind, Loss, StoreUnavailable
from app.telemetry import log

EVERY = 1.0
"""Seconds."""
ANNOUNCED_EVERY = 10
"""Checks: where Redis takes no writes, to try takes longer than the checks."""

WHOLE = (
    "What Redis knew is gone: it was emptied, another server is at its address, or an old backup was "
    "restored. Nobody will be paged for incidents that only Redis knew, and nobody is known to have "
    "acknowledged what is there now. Check what is wrong in your monitoring. Until somebody acknowledges or "
    "resolves this, the service is not ready, and no heartbeat is sent."
)
MOMENTS = (
    "Redis does not know what it took in its last moments, as after a failover or a crash. Incidents, "
    "acknowledgements and pages of these seconds may be missing."
)


def start(services: Services, kind: Kind, when_lost: Callable[[], None] = lambda: None) -> None:
    """Watch for as long as the process lives. `when_lost`: what is to be done in this very process."""
    threading.Thread(target=_watch, args=(services, kind, when_lost), name="watch", daemon=True).start()


def _watch(services: Services, kind: Kind, when_lost: Callable[[], None]) -> None:
    pause, epoch = threading.Event(), services.store.epoch
    done = epoch.losses
    for n in itertools.count():
        pause.wait(EVERY)
        try:
            check(services)
            if epoch.losses > done:
                done = epoch.losses
                when_lost()
            if n % ANNOUNCED_EVERY == 0:
                services.store.processes.announce(kind, services.clock())
        except StoreUnavailable:
            # Others say so, too, and loudly.
            continue
        except Exception:
            log.exception("watch_failed")


def check(services: Services) -> None:
    """Report a loss, and correct a step of Redis's clock. Raises `StoreUnavailable`, and so `NewerSchema`."""
    services.store.schema.check()
    services.store.clock.check()
    loss = services.store.epoch.check()
    if loss is not None:
        # Once: while Redis takes no writes, each report is a page of its own, though under the same key.
        incident_id = services.store.epoch.report or _report(services, loss)
        services.store.epoch.reported(loss, incident_id)


def _report(services: Services, loss: Loss) -> str:
    were = "incident was" if loss.pending == 1 else "incidents were"
    title = f"Redis lost data: {loss.pending} {were} pending" if loss.whole else "Redis lost its last moments"
    incident = report(
        services,
        f"lost {loss.epoch}",
        title,
        WHOLE if loss.whole else MOMENTS,
        severity="critical" if loss.whole else "high",
        options=Options(oncall_enable=loss.whole and services.config.oncall.ready, wait_minutes=0),
    )
    return incident.id
