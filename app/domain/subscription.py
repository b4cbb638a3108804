"""What people are notified of: the changes of an incident, and which of them each channel wants; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from app.domain.alert import SEVERITIES, Severity, rank
from app.domain.delivery import Delivery, Destination, Step
from app.domain.timeline import Entry

ChangeEvent = Literal[
    "created", "severity_raised", "acknowledged", "reopened", "late", "escalated", "failed", "resolved"
]
CHANGE_EVENTS: tuple[ChangeEvent, ...] = get_args(ChangeEvent)
IN_WORDS: dict[ChangeEvent, str] = {
    "created": "of the new incident",
    "severity_raised": "that it became more severe",
    "acknowledged": "of the acknowledgement",
    "reopened": "that it is open again",
    "escalated": "that the page went out",
    "late": "that the page does not get out",
    "failed": "that the page failed",
    "resolved": "that it is resolved",
}
"""What a channel was notified of, on the timeline."""

KEPT = 20
"""Changes that an incident remembers."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something that people are notified of, numbered from 1 within its incident."""

    sequence: int
    event: str
    """One of `CHANGE_EVENTS`; what only a newer version knows is left to that."""
    at: datetime


def continued(changes: tuple[Change, ...], event: ChangeEvent, now: datetime) -> tuple[Change, ...]:
    """The changes with one more."""
    last = changes[-1].sequence if changes else 0
    return (*changes, Change(last + 1, event, now))[-KEPT:]


@dataclass(frozen=True, slots=True)
class Subscription:
    """A channel, and what it wants to know of an incident; decided once, when the incident is opened."""

    destination: Destination
    events: tuple[str, ...]
    min_severity: Severity | None = None

    def wants(self, event: str, severity: Severity | None) -> bool:
        """Whether this change is for it. That nobody was paged is for everybody."""
        if event in ("failed", "late"):
            return True
        if event not in IN_WORDS:
            return False
        least = self.min_severity or SEVERITIES[-1]
        wanted = "created" if event in ("severity_raised", "reopened") else event
        return wanted in self.events and rank(severity) <= rank(least)

    def next_step(
        self, changes: tuple[Change, ...], severity: Severity | None, delivery: Delivery
    ) -> Step | None:
        """The newest change that it has not been notified of: one message is up to date for all of them."""
        pending = [
            change
            for change in changes
            if change.sequence > delivery.notified_through and self.wants(change.event, severity)
        ]
        if not pending:
            return None
        newest = pending[-1]
        at = since = pending[0].at
        if newest.sequence > delivery.tried_through:
            # A new change ends the pause after failures.
            at = newest.at
        elif delivery.retry_at is not None:
            at = delivery.retry_at
        if delivery.claim is not None:
            at = max(at, delivery.claim.until)
        return Step(newest.event, since, at, newest.sequence)


def change_event(event: str) -> ChangeEvent:
    """The event of a step or claim of a channel's."""
    return next(known for known in CHANGE_EVENTS if known == event)


def notified_entries(deliveries: Mapping[Destination, Delivery]) -> tuple[Entry, ...]:
    """What channels were notified of, and where that failed, in order."""
    return tuple(sorted((entry for one in deliveries.values() for entry in one.log), key=lambda one: one.at))
