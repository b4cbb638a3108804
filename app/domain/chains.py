"""Chains: an alert source that is to be paged, and what is tried after it when its page does not get out.

Each alert source that was asked for is a target, and is paged for itself. It is the head of a chain: itself,
then the entries of `oncall.fallback`. A pager that accepts ends its chain; a channel as a last resort ends
none. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.delivery import Delivery, Destination, Step
from app.domain.state import WORST, State

CHANNEL = "channel"
"""The name of destinations that are channels as a last resort."""


@dataclass(frozen=True, slots=True)
class Chains:
    """The pagers of an incident, by chain."""

    pagers: Mapping[Destination, Delivery]
    fallback: tuple[Destination, ...]

    @property
    def targets(self) -> Iterator[Destination]:
        """The heads of the chains: what was asked for."""
        return (pager for pager, delivery in self.pagers.items() if not delivery.fallback)

    def links(self, target: Destination) -> list[Destination]:
        """The target, and what is tried after it by now."""
        return [target, *(link for link in self.fallback if link in self.pagers and link != target)]

    def states(self, target: Destination) -> set[State]:
        """How far the page has come at the pagers of the chain."""
        return {self.pagers[link].page_state for link in self.links(target) if link.name != CHANNEL}

    def accepted(self, target: Destination) -> bool:
        """Some pager of the chain has the page."""
        return State.ESCALATED in self.states(target)

    def wants(self, pager: Destination) -> bool:
        """The pager is still to be tried: no other one of its chain has the page."""
        heads = self.targets if self.pagers[pager].fallback else iter([pager])
        return any(not self.accepted(head) for head in heads)

    @property
    def stuck(self) -> list[Destination]:
        """Targets whose page failed, for which nobody has it, and of which people were not notified."""
        return [target for target in self.targets if self._is_stuck(target)]

    def late(self, due_at: datetime, late_after: timedelta) -> Step | None:
        """When a page is late: attempts failed, nobody accepted, and that much time has passed."""
        steps = [
            Step("late", since, since + late_after)
            for since in (self.pagers[target].wanted_since(due_at) for target in self.stuck)
        ]
        return min(steps, key=lambda step: step.at, default=None)

    def _is_stuck(self, target: Destination) -> bool:
        delivery = self.pagers[target]
        # What only waits for our own limits has not failed.
        tried = delivery.failures > 0 or delivery.given_up is not None
        return tried and delivery.late_at is None and not self.accepted(target)

    def after(self, pager: Destination) -> Destination | None:
        """The link that is tried after this one, if there is one that is not yet."""
        if not self.wants(pager):
            return None
        place = self.fallback.index(pager) + 1 if self.pagers[pager].fallback else 0
        return next((link for link in self.fallback[place:] if link not in self.pagers), None)

    @property
    def worst(self) -> Destination:
        """The target whose chain is worst off."""
        return min(self.targets, key=lambda target: WORST.index(self.state(target)))

    def state(self, target: Destination) -> State:
        """How far the page has come in the chain of a target."""
        states = self.states(target)
        if State.ESCALATED in states:
            return State.ESCALATED
        return states.pop() if len(states) == 1 else State.ESCALATING
