"""Waiting for an acknowledgement, what it covers, and what ends it; pure, no clock and no storage."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Self

from app.domain.alert import rank
from app.domain.delivery import Delivery, Destination, InvalidTransition
from app.domain.record import ITSELF, Record
from app.domain.state import Phase, State
from app.domain.subscription import ChangeEvent
from app.domain.subscription import continued as changes_continued
from app.domain.timeline import Entry, continued, rfc3339

SUCCESSOR = uuid.UUID("0b5f1c0e-5a0c-5d5e-9a53-6f0f2a1d7c44")
"""Namespace of the IDs of incidents that continue another one."""

NOT_ACKNOWLEDGED: dict[str, Any] = {
    "acknowledged_at": None,
    "acknowledged_by": None,
    "acknowledged_until": None,
}
"""The fields of an incident that nobody takes care of."""


@dataclass(frozen=True, slots=True)
class Acknowledgement(Record):
    """An incident that waits for an acknowledgement, has one, or is reopened."""

    def acknowledged(self, by: str, now: datetime, minutes: float | None = None, comment: str = "") -> Self:
        """Somebody takes care: a page that has not left yet never will, unless the incident is reopened.

        `minutes`: for so long; None: until it is resolved. Again, only a later end changes anything.
        `comment`: stands on the timeline.
        """
        if self.phase is Phase.RESOLVED:
            raise InvalidTransition("The incident is resolved already; there is nothing left to acknowledge.")
        until = None if minutes is None else now + timedelta(minutes=minutes)
        if self.phase is Phase.ACKNOWLEDGED and not _later(until, self.acknowledged_until):
            return self
        detail = f"by {by}" + (f" until {rfc3339(until)}" if until else "")
        if self.escalated_at is not None:
            detail += ", after the page went out"
        elif self._in_flight(now):
            detail += ", while the page was being sent"
        if comment:
            detail += f': "{comment}"'
        # Claims stay: the worker that holds one still has to record how its attempt ended.
        acknowledged = replace(
            self,
            phase=Phase.ACKNOWLEDGED,
            acknowledged_at=now,
            acknowledged_by=by,
            acknowledged_until=until,
            members=self.members.settled(),
            pagers=self._restarted(),
        )
        return acknowledged.noted(now, "acknowledged", detail)._changed("acknowledged", now)

    def unacknowledged(self, by: str, now: datetime) -> Self:
        """Nobody takes care any more: it is reopened. One that is not acknowledged stays as it is."""
        if self.phase is Phase.RESOLVED:
            raise InvalidTransition("The incident is resolved; there is no acknowledgement to take back.")
        if self.phase is not Phase.ACKNOWLEDGED:
            return self
        return self._reopened(f"{by} undid the acknowledgement", now)

    # -- reopening -----------------------------------------------------------------------------------

    def _why_reopened(self, before: Record, now: datetime) -> str | None:
        """Why this report reopens it, of what it was before; None if it does not."""
        report = f"it is still reported, more than {_span(self.reopening.after)} after the "
        if self.phase is not Phase.ACKNOWLEDGED:
            # A sender that knows no "resolved" must not be silent for ever.
            old = before.state is State.ESCALATED and self._is_old(self.escalated_at, now)
            return f"{report}page, and nobody has acknowledged" if old else None
        if "severity" in self.reopening.on and rank(self.severity) < rank(before.severity):
            return f"it became {self.severity}"
        step = self.next_step(ITSELF)
        if step is not None and step.event == "members_joined" and step.at <= now:
            return self._why_members()
        return f"{report}acknowledgement" if self._is_old(self.acknowledged_at, now) else None

    def _why_members(self) -> str:
        count = len(self.members.joined)
        return f"{count} alerts joined it" if count > 1 else "an alert joined it"

    def _is_old(self, since: datetime | None, now: datetime) -> bool:
        after = self.reopening.after
        return since is not None and after is not None and now - since > after

    def _reopened(self, why: str, now: datetime) -> Self:
        """It waits anew: itself, or, as providers collapse alerts with the same key, its successor."""
        reopened = replace(
            self,
            phase=Phase.OPEN,
            due_at=None,
            members=self.members.settled(),
            members_reopened_at=now if self.members.joined else self.members_reopened_at,
            **NOT_ACKNOWLEDGED,
        )
        if self.has_alert:
            reopened = replace(
                reopened,
                id=str(uuid.uuid5(SUCCESSOR, self.id)),
                created_at=now,
                occurrences=1,
                previous_id=self.id,
                previous_is_open=True,
                pagers={target: Delivery() for target in self.chains.targets},
                changes=(),
                timeline=(),
            )
        # Acknowledged or not: what a rule holds does not page before.
        held_until = self.held_until if self._is_held(now) else None
        due_at = None if self.wait is None else (held_until or now) + self.wait
        waits = reopened.noted(now, "reopened", why)._awaiting(now, due_at, held_until)
        return waits._changed("reopened", now)

    def continued(self, successor: Record) -> Self:
        """Its successor stands for the problem from now on."""
        kept = replace(self, identity=None, next_id=successor.id)
        return kept.noted(successor.created_at, "continued", f"by incident {successor.id}")

    # -- parts of every change --------------------------------------------------------------------------

    def noted(self, now: datetime, event: str, detail: str = "") -> Self:
        """With one more line on the timeline, and nothing else changed."""
        return replace(self, timeline=continued(self.timeline, Entry(now, event, detail)))

    def _changed(self, event: ChangeEvent, now: datetime) -> Self:
        if not self.subscriptions:
            return self
        return replace(self, changes=changes_continued(self.changes, event, now))

    def _is_held(self, now: datetime) -> bool:
        return self.held_until is not None and now < self.held_until

    def _awaiting(self, now: datetime, due_at: datetime | None, held_until: datetime | None = None) -> Self:
        if due_at is None:
            return self
        wait = due_at - (held_until or now) if self.wait is None else self.wait
        if self.silenced_until is not None:
            due_at = max(due_at, self.silenced_until + wait)
        return replace(
            self,
            phase=Phase.PENDING,
            due_at=due_at,
            held_until=held_until,
            wait=wait,
            page_asked=False,
            pagers=self._restarted(forget_failure=True),
            timeline=continued(self.timeline, waiting(now, due_at)),
        )

    def _with(self, pager: Destination, delivery: Delivery, now: datetime, event: str, detail: str) -> Self:
        timeline = continued(self.timeline, Entry(now, event, detail))
        return replace(self, pagers={**self.pagers, pager: delivery}, timeline=timeline)

    def _restarted(self, *, forget_failure: bool = False) -> dict[Destination, Delivery]:
        fresh = {pager: delivery.restarted() for pager, delivery in self.pagers.items()}
        if not forget_failure:
            return fresh
        forgiven = {pager: delivery.forgiven() for pager, delivery in fresh.items()}
        return {p: one for p, one in forgiven.items() if not one.fallback or one.may_have_page}

    def _in_flight(self, now: datetime) -> bool:
        claims = [delivery.claim for delivery in self.pagers.values()]
        return any(claim and claim.event == "firing" and now < claim.until for claim in claims)


def waiting(now: datetime, due_at: datetime) -> Entry:
    """The line on the timeline when a wait begins."""
    return Entry(now, "waiting", f"pages at {rfc3339(due_at)} unless acknowledged")


def _later(one: datetime | None, other: datetime | None) -> bool:
    """Of two ends; None is never."""
    return other is not None and (one is None or one > other)


def _span(time: timedelta | None) -> str:
    minutes = (time or timedelta()) / timedelta(minutes=1)
    return f"{minutes / 60:g} hours" if minutes >= 60 else f"{minutes:g} minutes"
