"""A page that does not get out, or that gets lost at the provider: who is notified and tried next; pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from app.domain.delivery import Delivery, Destination, InvalidTransition
from app.domain.silenced import Silenced
from app.domain.trace import Trace


@dataclass(frozen=True, slots=True)
class Lateness(Silenced):
    """The changes of an incident that lead to the next link of a chain."""

    def became_late(self, now: datetime) -> Self:
        """The page does not get out: people are notified, and the next link of its chain is tried."""
        late = self
        for target in self.chains.stuck:
            delivery = replace(self.pagers[target], late_at=now)
            late = replace(late, pagers={**late.pagers, target: delivery})._next_link(target, now)
        detail = f"no pager has accepted it: {self.last_error or 'no reason is known'}"
        return late.noted(now, "late", detail)._changed("late", now)

    def traced(self, pager: Destination, asked_at: datetime, now: datetime, trace: Trace) -> Self:
        """The provider was asked what became of the page. Raises `InvalidTransition` if that was not due.

        Only at the last check, "no such alert" counts as late: until then the provider may still be at work.
        """
        step = self.check_step(pager)
        if step is None or step.at > asked_at:
            raise InvalidTransition("What became of the page is not to be asked now.")
        delivery = self.pagers[pager].checked(asked_at)
        match trace.finding:
            case "notified":
                confirmed = replace(delivery, checks_left=0)
                return self._with(pager, confirmed, now, "confirmed", trace.detail)
            case "no_alert" if delivery.checks_left == 0:
                return self._lost(pager, delivery.lost(now, trace.detail), now)
            case "nobody_yet" if not any(entry.event == "not_confirmed" for entry in self.timeline):
                return self._with(pager, delivery, now, "not_confirmed", trace.detail)
        return replace(self, pagers={**self.pagers, pager: delivery})

    def _lost(self, pager: Destination, delivery: Delivery, now: datetime) -> Self:
        late = self._with(pager, delivery, now, "late", delivery.last_error or "")
        return late._changed("late", now)._next_link(pager, now)

    def _next_link(self, pager: Destination, now: datetime) -> Self:
        link = self.chains.after(pager)
        if link is None:
            return self
        detail = f"{link}, because {pager} did not accept the page"
        return self._with(link, Delivery(added_at=now, fallback=True), now, "fallback", detail)
