"""What is known of an incident, and what follows from it; pure, no clock and no storage.

What a destination is to be sent, and when, is derived from the phase and from what it has: `next_step`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from app.domain.alert import SEVERITIES, Severity, facts_of, rank
from app.domain.chains import CHANNEL, Chains
from app.domain.delivery import HEAR_ACKNOWLEDGEMENTS, Delivery, Destination, Step
from app.domain.members import Members
from app.domain.state import Phase, State
from app.domain.subscription import Change, Subscription
from app.domain.timeline import Entry

ITSELF = Destination("itself")
"""Stands for the incident among the destinations: its own steps are what changes as time goes by."""

REST = timedelta(minutes=15)
"""Members reopen an incident no sooner than this after they did before."""


@dataclass(frozen=True, slots=True)
class Reopening:
    """What ends an acknowledgement, besides its own end; decided when the incident is opened."""

    on: tuple[str, ...] = ("severity", "members")
    after: timedelta | None = timedelta(days=1)
    """A report so long after the acknowledgement, or after a page that nobody acknowledged; None: never."""


@dataclass(frozen=True, slots=True)
class Record:
    """Everything known of one incident. Times are UTC; the sender's body is stored beside it."""

    id: str
    title: str
    source: str
    created_at: datetime
    phase: Phase = Phase.OPEN
    description: str = ""
    severity: Severity | None = None
    service: str | None = None
    source_url: str | None = None
    started_at: datetime | None = None
    labels: dict[str, str] = field(default_factory=dict)
    identity: str | None = None
    marks: tuple[str, ...] = ()
    """By which a group differs from others with its identity (see `Alert.marks`), the newest first."""
    namespace: str | None = None
    """Of the installation that reported it, where its sender names one."""
    occurrences: int = 1

    due_at: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    acknowledged_until: datetime | None = None
    """None: until it is resolved, or reopened."""
    members: Members = Members()  # noqa: RUF009 (it can't be changed)
    members_reopened_at: datetime | None = None
    previous_id: str | None = None
    """The incident that this one continues."""
    previous_is_open: bool = False
    next_id: str | None = None
    """The incident that continues this one; what people and senders do is done to that one."""
    resolved_at: datetime | None = None
    silence_id: str | None = None
    """The silence that holds it."""
    silenced_at: datetime | None = None
    """Since when it is held without a break."""
    silenced_until: datetime | None = None
    """Nobody is notified or paged before that."""
    page_asked: bool = False
    """Somebody asked for its page: no silence holds it."""

    pagers: dict[Destination, Delivery] = field(default_factory=dict)
    """The alert sources that are to be paged, what is tried in their place, and what each has."""
    fallback: tuple[Destination, ...] = ()
    """Tried one after the other when a page does not get out."""
    late_after: timedelta | None = None
    """After its due time, people are notified that a page does not get out."""
    wait: timedelta | None = None
    """The time to acknowledge, also when it is reopened; None: nobody asked for on-call."""
    held_until: datetime | None = None
    """A rule lets no wait begin before; `due_at` is after it."""
    rule: str | None = None
    """The name of the rule that decided, when it was opened or when a repeat last changed what follows."""
    reopening: Reopening = Reopening()
    subscriptions: tuple[Subscription, ...] = ()
    """The channels that are notified, as configured and asked for when the incident was opened."""
    mail_subject: str | None = None
    changes: tuple[Change, ...] = ()
    """What channels are notified of; kept only if there is a channel."""
    timeline: tuple[Entry, ...] = ()

    # -- what is to be sent --------------------------------------------------------------------------

    def next_step(self, destination: Destination, delivery: Delivery | None = None) -> Step | None:
        """What the destination is to be sent next, and when; None if nothing.

        `delivery`: what it has; may be left out for a pager, whose delivery is part of the incident.
        """
        if destination in self.pagers:
            return self._page_step(destination, delivery or self.pagers[destination])
        if destination == ITSELF:
            return min(self._own_steps(), key=lambda step: step.at, default=None)
        for subscription in self.subscriptions:
            if subscription.destination == destination:
                step = subscription.next_step(self.changes, self.severity, delivery or Delivery())
                return step and self._after_silence(step, delivery or Delivery())
        return None

    def _after_silence(self, step: Step, delivery: Delivery) -> Step | None:
        """What a channel is to be notified of waits for the end of the silence, if it is still so then."""
        if self.silenced_until is None:
            return step
        over = self.resolved_at is not None and self.resolved_at <= self.silenced_until
        # It may have been in a summary, which its delivery does not know.
        heard = delivery.tried_through > 0 or self.changes[0].at < (self.silenced_at or self.created_at)
        if over and not heard:
            return None
        return replace(step, at=max(step.at, self.silenced_until))

    def _page_step(self, pager: Destination, delivery: Delivery) -> Step | None:
        step = delivery.page_step(self.phase, self.due_at, self.acknowledged_at, self.resolved_at)
        if step is None:
            return None
        if step.event == "firing":
            wanted = self.chains.wants(pager)
        elif step.event == "acknowledged":
            wanted = pager.name in HEAR_ACKNOWLEDGEMENTS or delivery.traceable
        else:
            # A channel as a last resort is notified of the end like any other channel.
            wanted = pager.name != CHANNEL
        return step if wanted else None

    def check_step(self, pager: Destination) -> Step | None:
        """When to ask a provider what became of the page; None if that is not to be asked."""
        return self.pagers[pager].check_step(self.phase) if pager in self.pagers else None

    def lost_since(self, pager: Destination) -> datetime | None:
        """Since when a page was due that its provider took and has no alert of; None if it has, or if nobody
        needs it any more: another pager of the chain has the page, or the incident is looked after."""
        delivery = self.pagers.get(pager, Delivery())
        if self.phase is not Phase.PENDING or self.due_at is None or not delivery.missing:
            return None
        return delivery.wanted_since(self.due_at) if self.chains.wants(pager) else None

    def _late_step(self) -> Step | None:
        if self.phase is not Phase.PENDING or self.due_at is None or self.late_after is None:
            return None
        return self.chains.late(self.due_at, self.late_after)

    def _own_steps(self) -> Iterator[Step]:
        """What becomes of it by itself, if nothing happens until then."""
        if self.previous_is_open and self.phase is Phase.RESOLVED and self.resolved_at:
            yield Step("previous_over", self.resolved_at, self.resolved_at)
        if late := self._late_step():
            yield late
        if self.phase is not Phase.ACKNOWLEDGED or self.acknowledged_at is None or self.next_id:
            return
        if self.acknowledged_until:
            yield Step("acknowledgement_ended", self.acknowledged_until, self.acknowledged_until)
        if self.members.joined and "members" in self.reopening.on:
            at = self.members_reopened_at + REST if self.members_reopened_at else self.acknowledged_at
            yield Step("members_joined", at, at)

    def steps(self) -> Iterator[tuple[Destination, Step]]:
        """What its pagers are to be sent, and its own next step."""
        for destination in (*self.pagers, ITSELF):
            step = self.next_step(destination)
            if step is not None:
                yield destination, step

    def urgency(self, step: Step) -> int:
        """0 is sent first when not everything may be sent at once; what is no page goes last."""
        return len(SEVERITIES) if step.event != "firing" else rank(self.severity)

    # -- what is derived -----------------------------------------------------------------------------

    @property
    def facts(self) -> dict[str, str]:
        """What rules and silences match."""
        return facts_of(
            self.labels,
            source=self.source,
            service=self.service,
            severity=self.severity,
            title=self.title,
            namespace=self.namespace,
        )

    def has_any(self, marks: Sequence[str]) -> bool:
        """Whether this is about the group with these marks; where there are none, the identity is enough."""
        return not marks or not self.marks or not set(marks).isdisjoint(self.marks)

    @property
    def chains(self) -> Chains:
        """Its pagers, by chain."""
        return Chains(self.pagers, self.fallback)

    @property
    def state(self) -> State:
        """Its phase, or how far the page has come at the pager that is worst off."""
        if self.phase is not Phase.PENDING:
            return State(self.phase.value)
        return self.chains.state(self.chains.worst)

    @property
    def alert_source(self) -> str:
        """Name of the first alert source that was asked for: an alternate, or `default`."""
        return next(iter(self.pagers)).alert_source

    @property
    def attempts(self) -> int:
        """Attempts to page."""
        return sum(delivery.attempts for delivery in self.pagers.values())

    @property
    def worst(self) -> Delivery:
        """The delivery of the pager that is worst off."""
        return self.pagers[self.chains.worst]

    @property
    def escalated_at(self) -> datetime | None:
        """When the first pager took the page."""
        taken = (d.accepted_at for pager, d in self.pagers.items() if pager.name != CHANNEL)
        return min((at for at in taken if at is not None), default=None)

    @property
    def failed_at(self) -> datetime | None:
        """When a pager first refused the page for good, or was given up."""
        return min((d.failed_at for d in self.pagers.values() if d.failed_at), default=None)

    @property
    def is_late(self) -> bool:
        """A page of it is late, or was; one that failed for good is late at once."""
        return any(delivery.late_at for delivery in self.pagers.values())

    @property
    def last_error(self) -> str | None:
        """Why the last attempt failed, at the pager that is worst off."""
        return self.worst.last_error

    @property
    def has_alert(self) -> bool:
        """Some pager has an open alert, or may have one."""
        return any(d.may_have_page for pager, d in self.pagers.items() if pager.name != CHANNEL)

    @property
    def in_flight(self) -> bool:
        """An attempt is under way, or its worker died."""
        return any(delivery.claim is not None for delivery in self.pagers.values())

    @property
    def may_be_paged(self) -> bool:
        """A page is on its way, or may be."""
        return self.in_flight or any(delivery.uncertain for delivery in self.pagers.values())

    @property
    def is_over(self) -> bool:
        """Resolved, and no pager is to be sent anything any more."""
        return self.phase is Phase.RESOLVED and not any(self.steps())

    @property
    def can_be_acknowledged(self) -> bool:
        """Whether an acknowledgement would say anything new."""
        return self.due_at is not None and self.phase not in (Phase.ACKNOWLEDGED, Phase.RESOLVED)

    @property
    def changed_at(self) -> datetime:
        """When the last thing happened to it."""
        return self.timeline[-1].at if self.timeline else self.created_at
