"""Pages, acknowledgements and resolve events: what is due for an incident's pagers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from app.bootstrap import Services
from app.delivery import service
from app.delivery.page_job import PageJob
from app.domain.delivery import Destination, InvalidTransition
from app.domain.incident import Incident
from app.domain.record import ITSELF
from app.store import IncidentNotFound, UnitOfWork
from app.telemetry import log


def deliver(
    services: Services, incident_id: str, pagers: Sequence[Destination] = (), title: str | None = None
) -> None:
    """Send each pager of the incident what is due for it; `pagers`: these alone.

    A record that is gone is made anew and paged, at `pagers` and with `title`: nobody is known to have
    acknowledged it. Raises `app.store.StoreUnavailable`.
    """
    unit = services.store.incidents.unit_of_work([incident_id], channels=True)
    incident = unit.get(incident_id)
    if incident is None:
        if services.store.retention.was_forgotten(incident_id):
            # A message that came late, about what was over long ago.
            return
        incident = _remake(services, unit, incident_id, pagers, title)
    if not {ITSELF, *incident.pagers}.issuperset(pagers):
        incident = _join(services, unit, incident_id, pagers)
    now = services.clock()
    due = [pager for pager, step in incident.steps() if step.at <= now and (pager in pagers or not pagers)]
    if ITSELF in due:
        due.remove(ITSELF)
        _advance(services, incident)
    # One that hangs must not delay the others.
    for pager in due[1:]:
        services.task_queue.enqueue(incident_id, 0, [pager], incident.title)
    if due:
        service.deliver(PageJob(services, unit, incident, due[0]), services.clock)


def _advance(services: Services, incident: Incident) -> None:
    """Let the incident take its own step; when one that continues another is over, so is that one."""
    ids = [incident.id, *([incident.previous_id] if incident.previous_id else [])]

    def work(unit: UnitOfWork) -> str:
        now, stored = services.clock(), unit.require(incident.id)
        step = stored.next_step(ITSELF)
        unit.save(stored.advanced(now))
        previous = unit.get(stored.previous_id or "")
        if step is not None and step.event == "previous_over" and previous is not None:
            unit.save(previous.resolved(f"incident {stored.id}, which continues it", now))
        return step.event if step is not None else ""

    with suppress(InvalidTransition, IncidentNotFound):
        event = services.update(work, ids=ids)
        write = log.error if event == "late" else log.info
        write("page_late" if event == "late" else event, incident=incident.id)


def _remake(
    services: Services, unit: UnitOfWork, incident_id: str, pagers: Sequence[Destination], title: str | None
) -> Incident:
    named = dict.fromkeys([*pagers, *services.store.delivery_queue.pagers_of(incident_id)])
    wanted = [pager for pager in named if pager != ITSELF] or [services.pager()]

    def work(unit: UnitOfWork) -> Incident:
        return unit.get(incident_id) or unit.save(
            Incident.lost(
                incident_id,
                services.clock(),
                title=title or f"Incident {incident_id}",
                pagers=wanted,
                subscriptions=services.channels.subscriptions(),
            )
        )

    log.error("record_lost", incident=incident_id)
    return services.update(work, unit)


def _join(services: Services, unit: UnitOfWork, incident_id: str, pagers: Sequence[Destination]) -> Incident:
    """One that does not know of a pager was made anew, or is of an old backup: in doubt, the pager pages."""

    def work(unit: UnitOfWork) -> Incident:
        return unit.save(unit.require(incident_id).joined_by(pagers, services.clock()))

    return services.update(work, unit)
