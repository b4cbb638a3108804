"""Asks a provider what became of a page that it took, and records what it says."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import datetime

from app.bootstrap import Services
from app.domain.delivery import Destination, InvalidTransition
from app.domain.incident import Incident
from app.domain.trace import CHECKS, Trace
from app.store import IncidentNotFound, UnitOfWork
from app.telemetry import log

SECONDS = 10.0
"""That a check may take."""


def checks_of(services: Services, now: datetime) -> int:
    """How many checks a page that was taken now gets. Raises `StoreUnavailable`."""
    return len(CHECKS) if services.store.traces.acquire(now) else 0


def trace(services: Services, incident_id: str, pager: Destination) -> None:
    """Make the check that is due, if it still is.

    Nothing is claimed, as asking changes nothing: of two workers that ask, one records the answer. Raises
    `StoreUnavailable`: then the check is made again.
    """
    unit = services.store.incidents.unit_of_work([incident_id])
    incident = unit.get(incident_id)
    step = incident.check_step(pager) if incident else None
    provider = services.providers.get(pager.name)
    if step is None or provider is None:
        services.store.traces.remove(incident_id, pager)
        return
    asked_at = services.clock()
    if step.at > asked_at:
        # Somebody else was faster, and the queue has the time of the next check.
        return
    found = provider.trace(incident_id, pager.address or "default", deadline=time.monotonic() + SECONDS)
    _record(services, unit, incident_id, pager, asked_at, found)


def _record(
    services: Services,
    unit: UnitOfWork,
    incident_id: str,
    pager: Destination,
    asked_at: datetime,
    found: Trace,
) -> None:
    def work(unit: UnitOfWork) -> tuple[Incident, Incident]:
        stored = unit.require(incident_id)
        return stored, unit.save(stored.traced(pager, asked_at, services.clock(), found))

    # Acknowledged or resolved meanwhile, or recorded by another worker.
    with suppress(InvalidTransition, IncidentNotFound):
        before, after = services.update(work, unit)
        lost = after.pagers[pager].missing and not before.pagers[pager].missing
        write = log.error if lost else log.info
        write(
            "page_lost" if lost else "page_traced",
            incident=incident_id,
            pager=pager,
            finding=found.finding,
            detail=found.detail or None,
        )
