"""What a destination has been sent of an incident, and how the attempts to send it more are going; pure.

A page, a resolve event and a channel's message are all deliveries: claimed for a lease, sent, recorded, tried
again. What is to be sent next, and when, is `Incident.next_step`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic_core import CoreSchema, core_schema

from app.domain.state import Phase, State
from app.domain.timeline import Entry
from app.domain.trace import CHECKS

EventKind = Literal["firing", "acknowledged", "resolved"]
"""What a pager can be sent."""

HEAR_ACKNOWLEDGEMENTS = ("pagerduty", "webhook")
"""Providers that are sent an acknowledgement that comes after the page."""

Verdict = Literal["delivered", "try_again", "misconfigured", "final"]
"""`final`: it is not tried again, and nobody has to do anything."""

LOG = 20
"""Lines that a delivery keeps for the timeline."""


class InvalidTransition(Exception):
    """The incident can't change in this way from its state; the text says why in one sentence."""


class Destination(str):
    """Where an incident goes: `incident_io/default`, `ops`, or `slack/C0123`, another address of `slack`."""

    __slots__ = ()

    @classmethod
    def of(cls, name: str, address: str | None = None) -> Destination:
        """The destination of a provider or channel, and an address there."""
        return cls(name if address is None else f"{name}/{address}")

    @property
    def name(self) -> str:
        """The provider's or the channel's name."""
        return self.partition("/")[0]

    @property
    def address(self) -> str | None:
        """The alert source, or the address to use instead of the channel's own."""
        return self.partition("/")[2] or None

    @property
    def alert_source(self) -> str:
        """What a pager is called where incident.io is taken for granted: `infra`, but `pagerduty/infra`."""
        return (self.address or "default") if self.name == "incident_io" else str(self)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_after_validator_function(cls, core_schema.str_schema())


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt to send ended; `app/delivery/retry.py` decides what follows from it."""

    verdict: Verdict
    detail: str = ""
    """One sentence for log and timeline, with the provider's request ID; free of secrets."""
    reason: str = "ok"
    """One word of a small vocabulary, for logs and metrics: `ok`, `rate_limited`, `timeout`, …"""
    not_before: float | None = None
    """Seconds from now before which the destination does not want to be asked again."""
    back_off_all: bool = False
    """`not_before` is meant for everybody who uses this alert source, not for this event alone."""
    uncertain: bool = False
    """The destination may have taken the event although no answer came."""
    reference: str | None = None
    """What a channel calls the message, by which it can be changed later."""
    traceable: bool = False
    """The provider can be asked what became of the page, and can be sent an acknowledgement."""

    @property
    def delivered(self) -> bool:
        """Whether the destination took the event."""
        return self.verdict == "delivered"


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be sent next."""

    event: str
    since: datetime
    """When it came to be needed, UTC."""
    at: datetime
    """When to send it: later than `since` after a failure, or while an attempt is under way."""
    through: int = 0
    """For a channel: the last of the changes that it is about."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's right to send: until the lease ends, nobody else does."""

    token: str
    event: str
    until: datetime
    through: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one destination has of one incident. Times are UTC."""

    added_at: datetime | None = None
    """When it was asked for, if later than the incident's first webhook."""
    fallback: bool = False
    """Nobody asked for it: it is tried because another one's page did not get out."""
    late_at: datetime | None = None
    """When people were notified that the page does not get out."""
    accepted: EventKind | None = None
    """The last event that a pager took."""
    accepted_at: datetime | None = None
    """When it took the page."""
    uncertain: bool = False
    """An attempt to page ended without an answer: the pager may have the page."""
    notified_through: int = 0
    """The last change that a channel was notified of, or that was given up."""
    attempts: int = 0
    """To page, or to notify."""
    failures: int = 0
    """Failed attempts in a row."""
    failing_since: datetime | None = None
    """When the first of them failed, of those that another attempt might have cured by itself."""
    retry_at: datetime | None = None
    claim: Claim | None = None
    """The attempt under way; one whose worker died stays here until the next claim."""
    tried_through: int = 0
    """The last change that a channel's attempt was about."""
    failed: bool = False
    """The last attempt to page was refused for good, or was given up."""
    failed_at: datetime | None = None
    given_up: str | None = None
    """The event that is not tried any more."""
    last_error: str | None = None
    last_reason: str | None = None
    """The one word for `last_error`, as in log and metrics."""
    reference: str | None = None
    """What a channel calls its message about the incident."""
    log: tuple[Entry, ...] = ()
    """A channel's lines on the timeline."""
    traceable: bool = False
    """See `Outcome`; as it was when the page was taken."""
    checks_left: int = 0
    """The last so many of `CHECKS` are still to be made."""
    missing: bool = False
    """The provider took the page, and said at the last check that it has no such alert."""

    def holds(self, token: str) -> bool:
        """Whether the claim with this token stands."""
        return self.claim is not None and self.claim.token == token

    def claimed(self, step: Step, token: str, now: datetime, lease: timedelta) -> Delivery:
        """Reserve the step for one worker. Raises `InvalidTransition` if it is not due."""
        if step.at > now:
            raise InvalidTransition("Nothing is to be sent now.")
        # What is new has as many attempts before it as what was tried before had.
        base = self.restarted() if step.through > self.tried_through else self
        return replace(
            base,
            # A claim that is still here belongs to a worker that never reported.
            uncertain=self.uncertain or self.claim is not None,
            claim=Claim(token, step.event, now + lease, step.through),
            tried_through=step.through,
            attempts=self.attempts + (step.event == "firing" or step.through > 0),
        )

    def succeeded(self) -> Delivery:
        """The attempt under way got through."""
        return replace(self.restarted(), claim=None, failed=False, last_error=None, last_reason=None)

    def refused(self, now: datetime, outcome: Outcome, again_at: datetime | None) -> Delivery:
        """The attempt under way failed; the next one is at `again_at`, and there is none if that is None."""
        misconfigured = outcome.verdict == "misconfigured"
        event = self.claim.event if self.claim else None
        return replace(
            self,
            claim=None,
            uncertain=self.uncertain or (event == "firing" and outcome.uncertain),
            failures=self.failures + 1,
            failing_since=None if misconfigured and again_at else self.failing_since or now,
            retry_at=again_at,
            given_up=event if again_at is None else None,
            last_error=outcome.detail,
            last_reason=outcome.reason,
        )

    def restarted(self) -> Delivery:
        """With no failure behind it: what is to be sent now is another event."""
        return replace(self, failures=0, failing_since=None, retry_at=None, given_up=None)

    def noted(self, entry: Entry) -> Delivery:
        """With one more line for the timeline; the oldest of many goes."""
        return replace(self, log=(*self.log, entry)[-LOG:])

    # -- of a pager ----------------------------------------------------------------------------------

    @property
    def page_state(self) -> State:
        """How far the page has come."""
        if self.missing:
            return State.FAILED
        if self.has_page:
            return State.ESCALATED
        if self.claim is not None:
            return State.ESCALATING
        if self.failed:
            return State.FAILED
        return State.ESCALATING if self.failures else State.PENDING

    @property
    def may_have_page(self) -> bool:
        """The pager has an open alert, or may have one."""
        in_doubt = self.uncertain or self.claim is not None
        return self.has_page or (self.accepted is None and in_doubt)

    @property
    def has_page(self) -> bool:
        """The pager took the page, and has not been sent its end."""
        return self.accepted in ("firing", "acknowledged")

    def wanted_since(self, due_at: datetime) -> datetime:
        """When the pager is, or was, to be sent the page of an incident that was due then."""
        return max(due_at, self.added_at or due_at)

    def page_step(
        self,
        phase: Phase,
        due_at: datetime | None,
        acknowledged_at: datetime | None,
        resolved_at: datetime | None,
    ) -> Step | None:
        """What the pager is to be sent next, of an incident in this phase."""
        if phase is Phase.PENDING and due_at is not None and self.accepted is None:
            event: EventKind = "firing"
            since = self.wanted_since(due_at)
        elif phase is Phase.ACKNOWLEDGED and acknowledged_at is not None and self.accepted == "firing":
            event, since = "acknowledged", acknowledged_at
        elif phase is Phase.RESOLVED and resolved_at is not None and self.may_have_page:
            event, since = "resolved", resolved_at
        else:
            return None
        if self.given_up == event:
            return None
        # The resolve event must not overtake the page: it waits for the attempt to end, or for its lease.
        moments = (since, self.retry_at, self.claim.until if self.claim else None)
        return Step(event, since, max(moment for moment in moments if moment is not None))

    def page_accepted(self, now: datetime, event: EventKind) -> Delivery:
        """The attempt under way got through."""
        if event != "firing":
            return replace(self.succeeded(), accepted=event)
        return replace(self.succeeded(), accepted="firing", accepted_at=self.accepted_at or now)

    def check_step(self, phase: Phase) -> Step | None:
        """When to ask the provider what became of the page; None: not at all, or not any more."""
        if phase is not Phase.PENDING or self.accepted != "firing" or self.accepted_at is None:
            return None
        if not 0 < self.checks_left <= len(CHECKS):
            return None
        return Step("check", self.accepted_at, self.accepted_at + CHECKS[-self.checks_left])

    def checked(self, asked_at: datetime) -> Delivery:
        """The provider was asked then; checks that were due by then as well are not made up for."""
        taken = self.accepted_at or asked_at
        left = sum(taken + after > asked_at for after in CHECKS)
        return replace(self, checks_left=min(left, self.checks_left))

    def lost(self, now: datetime, detail: str) -> Delivery:
        """The provider has no such alert, though it took the page. It may still turn up, so it is sent the
        end, but is not sent the page again: it would take that as well."""
        return replace(
            self,
            missing=True,
            failed_at=self.failed_at or now,
            late_at=now,
            last_error=detail,
            last_reason="not_found",
        )

    def forgiven(self) -> Delivery:
        """As if it had not failed; a page that was lost is sent again."""
        fresh = replace(self, failed=False, failed_at=None, late_at=None)
        if not self.missing:
            return fresh
        return replace(fresh, missing=False, accepted=None, accepted_at=None, uncertain=True)

    def page_accepted_late(self, now: datetime) -> Delivery:
        """A worker was stopped for longer than its lease, and then got its page through.

        If the problem is over, nobody else would close the alert: a resolve event that is under way may have
        been there before.
        """
        late = replace(
            self, accepted="firing", accepted_at=self.accepted_at or now, uncertain=True, given_up=None
        )
        if late.claim is not None and late.claim.event == "resolved":
            return replace(late, claim=None, retry_at=late.claim.until)
        return late

    def page_failed(self, now: datetime, *, final: bool) -> Delivery:
        """The page was refused, `final` if a person has to do something, or it is tried no more: then people
        are notified of that, and need not be of its being late."""
        at = now if final else None
        return replace(self, failed=final, failed_at=self.failed_at or at, late_at=self.late_at or at)
