"""What a person can do to an incident: acknowledge, take that back, resolve, page now."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from app.gateway import Gateway
from app.incident import Incident
from app.store import UnitOfWork
from app.telemetry import log


def acknowledge(gateway: Gateway, incident_id: str, by: str, minutes: float | None = None) -> Incident:
    """Stop the page, or let the others know that somebody is on it: for so many minutes, or until it is over.

    The same again changes nothing. What is done to one that another incident continues is done to that one.
    Raises `Unknown`, `InvalidTransition` (resolved already), `Unavailable`, like the other actions.
    """
    return _act(gateway, incident_id, "acknowledged", lambda i, now: i.acknowledged(by, now, minutes))


def unacknowledge(gateway: Gateway, incident_id: str, by: str) -> Incident:
    """Nobody takes care any more: it waits anew. The same again changes nothing."""
    return _act(gateway, incident_id, "unacknowledged", lambda i, now: i.unacknowledged(by, now))


def resolve(gateway: Gateway, incident_id: str, by: str) -> Incident:
    """The problem is over; the provider is told if it has the page. The same again changes nothing."""
    return _act(gateway, incident_id, "resolved", lambda i, now: i.resolved(by, now))


def page_now(gateway: Gateway, incident_id: str, by: str) -> Incident:
    """Page without waiting any longer."""
    return _act(gateway, incident_id, "page_now", lambda i, now: i.paged_now(by, now))


def note_link_opened(gateway: Gateway, incident_id: str, client: str) -> Incident:
    """Put on the timeline that a client, a person's or a program, opened the acknowledgement link."""
    return _act(gateway, incident_id, "link_opened", lambda i, now: i.link_opened(client, now))


def _act(
    gateway: Gateway, incident_id: str, event: str, move: Callable[[Incident, datetime], Incident]
) -> Incident:
    now = gateway.clock()

    def work(unit: UnitOfWork) -> tuple[Incident, bool]:
        before = unit.require(incident_id)
        after = before if before.next_id else move(before, now)
        return (after, False) if after is before else (unit.save(after), True)

    incident, changed = gateway.update(work, ids=[incident_id])
    while incident.next_id:
        incident_id = incident.next_id
        incident, changed = gateway.update(work, ids=[incident_id])
    if changed:
        log.info(event, incident=incident.id, state=incident.state.value)
    return incident
