"""Holds what is due and silenced: a silence may have been made since the incident was stored."""

from __future__ import annotations

from app.bootstrap import Services
from app.domain.delivery import InvalidTransition
from app.domain.incident import Incident
from app.store import UnitOfWork


def hold(services: Services, unit: UnitOfWork, incident: Incident) -> bool:
    """Whether a silence holds the incident; then it is stored so, and due when the silence ends."""
    now = services.clock()
    if incident.silence_in(unit.silences, now) is None:
        return False
    # It may have ended: only what writes compares the list with the newest one, and this would write nothing.
    unit.go_by(services.store.silences.read())
    if incident.silence_in(unit.silences, now) is None:
        return False

    def work(unit: UnitOfWork) -> None:
        stored = unit.get(incident.id)
        if stored is not None and (held := stored.under(unit.silences, now)) is not stored:
            unit.save(held)

    services.update(work, ids=[incident.id])
    return True


def require_none(services: Services, unit: UnitOfWork, incident: Incident) -> None:
    """Raises `InvalidTransition` if a silence holds it.

    What is written then is not, if the list of silences has changed: so a silence and a claim are one after
    the other.
    """
    if incident.silence_in(unit.silences, services.clock()) is not None:
        raise InvalidTransition("A silence holds it.")
