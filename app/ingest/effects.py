"""What one alert does to its problem: opens it, repeats it, acknowledges it or ends it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from app.domain.alert import Alert, Effect, End
from app.domain.incident import Incident
from app.domain.timeline import rfc3339
from app.ingest.plan import Plan, Planner
from app.store import UnitOfWork

DIRECT = uuid.UUID("5f1c2d0e-8a57-5b0c-9d3e-6c1b7a4f2e90")
"""Namespace of the deduplication keys of alerts that are paged without being stored."""

Became = Literal["created", "updated", "resolved", "acknowledged", "recorded", "escalated_directly"]


@dataclass(frozen=True, slots=True)
class ReceivedAlert:
    """One alert and the sender's body that it was read from, as JSON."""

    alert: Alert
    payload: str
    repaired: str = ""
    """What was wrong with the body, if it was broken JSON."""

    @property
    def direct_key(self) -> str:
        """The deduplication key if it is paged without being stored.

        The same problem again, or the same body, has the same key: it must be one alert at the provider.
        """
        identity, installation = self.alert.identity, self.alert.installation or ""
        return str(uuid.uuid5(DIRECT, identity + installation if identity else self.payload))


@dataclass(frozen=True, slots=True)
class Received:
    """What one alert became; the incident is None for an event about nothing that is known."""

    became: Became
    incident: Incident | None


def apply(
    unit: UnitOfWork, message: ReceivedAlert, fresh_id: str, now: datetime, planner: Planner
) -> Received:
    """Do it; a new incident has the ID `fresh_id`."""
    alert = message.alert
    incident = unit.find(alert.identity, alert.marks)
    if alert.effect is Effect.FIRING:
        plan = planner.plan(alert, now, incident)
        if incident is None and (over := _late(unit, message, fresh_id, now, plan)):
            return Received("resolved", over)
        if incident is None:
            opened = plan.opened(fresh_id, alert, now)
            return Received("created", unit.save(_as_stored(unit, opened, message, now), message.payload))
        incident = plan.repeated(incident, alert, now)
        return Received("updated", unit.save(_as_stored(unit, incident, message, now), message.payload))
    if alert.effect is Effect.RESOLVED and alert.identity is not None:
        if alert.can_be_late:
            unit.remember_end(alert.identity, End(now, alert.said_at))
        # There may be a page that another process sent directly, and that is yet to be stored.
        unit.remember_end(alert.identity, End(now, None), message.direct_key)
    if incident is None:
        return Received("recorded", None)
    if alert.effect is Effect.RESOLVED:
        return Received("resolved", unit.save(incident.resolved(alert.source, now)))
    if alert.effect is Effect.ACKNOWLEDGED:
        return Received("acknowledged", unit.save(incident.acknowledged(alert.source, now)))
    if alert.effect is Effect.UNACKNOWLEDGED:
        return Received("updated", unit.save(incident.unacknowledged(alert.source, now)))
    return Received("recorded", unit.save(incident.commented(alert, now)))


def _late(
    unit: UnitOfWork, message: ReceivedAlert, fresh_id: str, now: datetime, plan: Plan
) -> Incident | None:
    """The incident of a problem that is known to be over: it pages nobody."""
    end = unit.end(message.alert.identity)
    if end is None or not message.alert.was_over(end, now):
        return None
    opened = Incident.opened(fresh_id, message.alert, now, due_at=None, pager=plan.decision.pager)
    opened = opened.noted(now, "note", f"the sender said at {rfc3339(end.at)} that it is over")
    return unit.save(opened.resolved(message.alert.source, now), message.payload)


def _as_stored(unit: UnitOfWork, incident: Incident, message: ReceivedAlert, now: datetime) -> Incident:
    incident = incident.noted(now, "repaired", message.repaired) if message.repaired else incident
    return incident.under(unit.silences, now)
