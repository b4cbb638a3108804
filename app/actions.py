"""What a person can do to an incident: acknowledge, take that back, resolve, page now."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from app.bootstrap import Services
from app.domain.incident import Incident
from app.store import StoreRefusesWrites, StoreUnavailable, UnitOfWork
from app.telemetry import log


def acknowledge(
    services: Services, incident_id: str, by: str, minutes: float | None = None, comment: str = ""
) -> Incident:
    """Stop the page, or let the others know that somebody is on it: for so many minutes, or until it is over.

    The same again changes nothing. What is done to one that another incident continues is done to that one.
    `comment`: stands on the timeline. Raises `IncidentNotFound`, `InvalidTransition` (resolved already),
    `StoreUnavailable`, like the other actions.
    """
    try:
        return _act(
            services, incident_id, "acknowledged", lambda i, now: i.acknowledged(by, now, minutes, comment)
        )
    except StoreUnavailable as error:
        raise StoreUnavailable(
            "Your acknowledgement could not be stored, and the page will go out if it has not already. "
            f"Try again in a moment. ({error})"
        ) from error


def unacknowledge(services: Services, incident_id: str, by: str) -> Incident:
    """Nobody takes care any more: it waits anew. The same again changes nothing."""
    return _act(services, incident_id, "unacknowledged", lambda i, now: i.unacknowledged(by, now))


def resolve(services: Services, incident_id: str, by: str) -> Incident:
    """The problem is over; the provider is sent a resolve event if it has the page. The same again changes
    nothing.
    """
    return _act(services, incident_id, "resolved", lambda i, now: i.resolved(by, now))


def escalate_now(services: Services, incident_id: str, by: str) -> Incident:
    """Page without waiting any longer."""
    return _act(services, incident_id, "escalate_now", lambda i, now: i.escalated_now(by, now))


def note_link_opened(services: Services, incident_id: str, client: str) -> Incident:
    """Put on the timeline that a client, a person's or a program, opened the acknowledgement link.

    Where Redis takes no writes, it can be opened all the same.
    """
    try:
        return _act(services, incident_id, "link_opened", lambda i, now: i.link_opened(client, now))
    except StoreRefusesWrites:
        return services.store.incidents.require(incident_id)


def _act(
    services: Services, incident_id: str, event: str, move: Callable[[Incident, datetime], Incident]
) -> Incident:
    now = services.clock()

    def work(unit: UnitOfWork) -> tuple[Incident, bool]:
        before = unit.require(incident_id)
        after = before if before.next_id else move(before, now)
        return (after, False) if after is before else (unit.save(after), True)

    incident, changed = services.update(work, ids=[incident_id])
    while incident.next_id:
        incident_id = incident.next_id
        incident, changed = services.update(work, ids=[incident_id])
    if changed:
        log.info(event, incident=incident.id, state=incident.state.value)
    return incident
