"""What a person can do to an incident: acknowledge, resolve, page now."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from app.bootstrap import Services
from app.domain.incident import Incident
from app.store import UnitOfWork
from app.telemetry import log


def acknowledge(services: Services, incident_id: str, by: str) -> Incident:
    """Stop the page, or tell the others that somebody is on it. The same again changes nothing.

    Raises `IncidentNotFound`, `InvalidTransition` (resolved already), `StoreUnavailable`, like the other
    actions.
    """
    return _act(services, incident_id, "acknowledged", lambda i, now: i.acknowledged(by, now))


def resolve(services: Services, incident_id: str, by: str) -> Incident:
    """The problem is over; the provider is sent a resolve event if it has the page. The same again changes
    nothing.
    """
    return _act(services, incident_id, "resolved", lambda i, now: i.resolved(by, now))


def escalate_now(services: Services, incident_id: str, by: str) -> Incident:
    """Page without waiting any longer."""
    return _act(services, incident_id, "escalate_now", lambda i, now: i.escalated_now(by, now))


def note_link_opened(services: Services, incident_id: str) -> Incident:
    """Put on the timeline that somebody, or a program, opened the acknowledgement link."""
    return _act(services, incident_id, "link_opened", lambda i, now: i.noted(now, "link_opened"))


def _act(
    services: Services, incident_id: str, event: str, move: Callable[[Incident, datetime], Incident]
) -> Incident:
    now = services.clock()

    def work(unit: UnitOfWork) -> tuple[Incident, bool]:
        before = unit.require(incident_id)
        after = move(before, now)
        return (after, False) if after is before else (unit.save(after), True)

    incident, changed = services.update(work, ids=[incident_id])
    if changed:
        log.info(event, incident=incident_id, state=incident.state.value)
    return incident
