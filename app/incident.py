"""The record of an incident, its states, and every move between them; pure, no clock and no storage.

A move takes the incident as it is and returns it as it shall be, or raises `NotAllowed`. What has to be
sent is one field, `owes` (a firing or a resolved event), and when to try is another, `next_attempt_at`:
first page, retry, all-clear and "page now" are all those two.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from app.alert import SEVERITIES, Alert, Severity, most_severe
from app.timeline import Entry, continued, rfc3339

Kind = Literal["firing", "resolved"]
"""What an event says to the provider."""


class State(StrEnum):
    """Where an incident stands."""

    OPEN = "open"
    """Nobody asked for on-call."""
    PENDING = "pending"
    """Waiting for an acknowledgement until `due_at`."""
    ACKNOWLEDGED = "acknowledged"
    ESCALATING = "escalating"
    """Its page is being sent, or will be tried again."""
    ESCALATED = "escalated"
    """The provider took the page."""
    FAILED = "failed"
    """The provider refused the page for good, or was out of reach for a day."""
    RESOLVED = "resolved"


class NotAllowed(Exception):
    """The move can't be made from the incident's state; the text says why in one sentence."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's loan of a due incident: until the lease ends, nobody else sends."""

    token: str
    kind: Kind
    until: datetime


@dataclass(frozen=True, slots=True)
class Incident:
    """Everything known of one incident. Times are UTC; the sender's body is stored beside it."""

    id: str
    state: State
    title: str
    source: str
    created_at: datetime
    description: str = ""
    severity: Severity | None = None
    service: str | None = None
    source_url: str | None = None
    started_at: datetime | None = None
    labels: dict[str, str] = field(default_factory=dict)
    identity: str | None = None
    alert_source: str = "default"
    """Name of the alternate alert source, or `default`."""
    occurrences: int = 1

    due_at: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    escalated_at: datetime | None = None
    failed_at: datetime | None = None
    resolved_at: datetime | None = None
    attempts: int = 0
    last_error: str | None = None
    last_reason: str | None = None
    """The one word for `last_error`, as in log and metrics."""

    channels: tuple[str, ...] | None = None
    """The targets of notices that a request named (see `app/notice.py`); None: the default channels."""
    mail_subject: str | None = None

    owes: Kind | None = None
    """The event that the provider has yet to take."""
    owed_since: datetime | None = None
    next_attempt_at: datetime | None = None
    """Set exactly while something is owed; while claimed, the end of the lease."""
    claim: Claim | None = None
    """The attempt under way; one whose worker died stays here until the next claim."""
    failures: int = 0
    """Failed attempts in a row to send what is owed."""
    failing_since: datetime | None = None
    """When the first of them failed, of those that another attempt might have mended by itself."""
    page_may_be_out: bool = False
    """An attempt to page ended, for all that is known, with the provider having it."""

    timeline: tuple[Entry, ...] = ()

    # -- what a webhook does -------------------------------------------------------------------------

    @staticmethod
    def opened(
        incident_id: str, alert: Alert, now: datetime, *, due_at: datetime | None, alert_source: str
    ) -> Incident:
        """A new problem; it pages at `due_at` unless somebody acknowledges, or never when that is None."""
        incident = Incident(
            id=incident_id,
            state=State.OPEN,
            title=alert.heading,
            source=alert.source,
            created_at=now,
            description=alert.description,
            severity=alert.severity,
            service=alert.service,
            source_url=alert.source_url,
            started_at=alert.started_at,
            labels=alert.labels,
            identity=alert.identity,
            alert_source=alert_source,
        )
        return incident.noted(now, "received", f"from {alert.source}")._awaiting(now, due_at, alert_source)

    @staticmethod
    def lost(incident_id: str, now: datetime, *, title: str, alert_source: str) -> Incident:
        """Stands in for a record that is gone though its page was due; in doubt, it pages."""
        alert = Alert(
            title=title,
            source="versus",
            description="The record of this incident was lost. Nobody is known to have acknowledged it.",
        )
        return Incident.opened(incident_id, alert, now, due_at=now, alert_source=alert_source).noted(
            now, "record_lost", "paging, because nobody is known to have acknowledged"
        )

    def repeated(
        self, alert: Alert, now: datetime, *, due_at: datetime | None, alert_source: str
    ) -> Incident:
        """The same problem again: newer texts, never a lower severity, never another due time.

        One that nobody asked to escalate until now, or whose page was given up, starts its wait if this asks.
        """
        if self.state is State.RESOLVED:
            raise NotAllowed("The incident is resolved; the alert is a new incident.")
        repeated = replace(
            self,
            title=alert.title or self.title,
            description=alert.description or self.description,
            severity=most_severe(self.severity, alert.severity),
            service=alert.service or self.service,
            source_url=alert.source_url or self.source_url,
            started_at=self.started_at or alert.started_at,
            labels={**self.labels, **alert.labels},
            occurrences=self.occurrences + 1,
        ).noted(now, "repeated", f"occurrence {self.occurrences + 1}")
        if self.state is State.FAILED and self.owes is None:
            return repeated._awaiting(now, due_at, self.alert_source)
        return repeated._awaiting(now, due_at, alert_source) if self.state is State.OPEN else repeated

    def commented(self, alert: Alert, now: datetime) -> Incident:
        """The sender told something that neither starts nor ends the problem."""
        return self.noted(now, "note", alert.heading)

    def _awaiting(self, now: datetime, due_at: datetime | None, alert_source: str) -> Incident:
        if due_at is None:
            return self
        waiting = replace(self, state=State.PENDING, due_at=due_at, failed_at=None, alert_source=alert_source)
        return waiting._owing("firing", since=due_at, at=due_at).noted(
            now, "waiting", f"pages at {rfc3339(due_at)} unless acknowledged"
        )

    # -- what a person does, or a sender in a person's name ------------------------------------------

    def acknowledged(self, by: str, now: datetime) -> Incident:
        """Somebody takes care: a page that has not left yet never will."""
        if self.state is State.RESOLVED:
            raise NotAllowed("The incident is resolved already; there is nothing left to acknowledge.")
        if self.state is State.ACKNOWLEDGED:
            return self
        detail = f"by {by}"
        if self.escalated_at is not None:
            detail += ", after the page went out"
        elif self._in_flight(now):
            detail += ", while the page was being sent"
        # The claim stays: the worker that holds it still has to write down how its attempt ended.
        return replace(
            self._owing_nothing(), state=State.ACKNOWLEDGED, acknowledged_at=now, acknowledged_by=by
        ).noted(now, "acknowledged", detail)

    def resolved(self, by: str, now: datetime) -> Incident:
        """The problem is over; if the provider has the page, or may have it, it is owed the all-clear."""
        if self.state is State.RESOLVED:
            return self
        resolved = replace(self._owing_nothing(), state=State.RESOLVED, resolved_at=now).noted(
            now, "resolved", f"by {by}"
        )
        if self.claim is not None and self._in_flight(now):
            # The all-clear must not overtake the page: it waits for the attempt to end, or for its lease.
            return resolved._owing("resolved", since=now, at=self.claim.until)
        if self.page_may_be_out or self.claim is not None:
            return resolved._owing("resolved", since=now, at=now)
        return resolved

    def paged_now(self, by: str, now: datetime) -> Incident:
        """Somebody wants the page without waiting any longer."""
        if self.state is State.RESOLVED:
            raise NotAllowed("The incident is resolved; there is nothing to page for.")
        if self.escalated_at is not None:
            raise NotAllowed(f"The page went out at {rfc3339(self.escalated_at)} already.")
        if self._in_flight(now):
            raise NotAllowed("The page is being sent right now.")
        pending = replace(
            self,
            state=State.PENDING,
            due_at=now,
            acknowledged_at=None,
            acknowledged_by=None,
            failed_at=None,
        )
        return pending._owing("firing", since=now, at=now).noted(now, "page_now", f"by {by}")

    # -- what a worker does --------------------------------------------------------------------------

    def is_due(self, now: datetime) -> bool:
        """Something is owed, its time has come, and no lease is running."""
        return self.owes is not None and self.next_attempt_at is not None and self.next_attempt_at <= now

    def claimed(self, token: str, now: datetime, lease: timedelta) -> Incident:
        """Borrow the incident to send what it owes. The attempt is on the timeline before it is made."""
        if self.owes is None or not self.is_due(now):
            raise NotAllowed("Nothing is to be sent now.")
        paging = self.owes == "firing"
        until = now + lease
        return replace(
            self,
            state=State.ESCALATING if paging else self.state,
            attempts=self.attempts + paging,
            # A claim that is still here belongs to a worker that never reported.
            page_may_be_out=self.page_may_be_out or self.claim is not None,
            claim=Claim(token, self.owes, until),
            next_attempt_at=until,
        ).noted(now, "attempt", f"{self.attempts + 1} to page" if paging else "to send the all-clear")

    def delivered(self, token: str, now: datetime, detail: str, kind: Kind = "firing") -> Incident:
        """The provider took the event of this kind. True whoever holds the claim by now."""
        if self.claim is None or self.claim.token != token:
            return self._delivered_late(now, detail, kind)
        ended = replace(self, claim=None, last_error=None, last_reason=None, failures=0)
        if self.claim.kind == "resolved":
            return ended._owing_nothing().noted(now, "all_clear_sent", detail)
        ended = replace(ended, escalated_at=self.escalated_at or now, page_may_be_out=True)
        ended = ended.noted(now, "escalated", detail)
        if self.state is State.RESOLVED:
            return ended._owing("resolved", since=now, at=now)
        if self.state is State.ACKNOWLEDGED:
            return ended._owing_nothing()
        return replace(ended._owing_nothing(), state=State.ESCALATED)

    def _delivered_late(self, now: datetime, detail: str, kind: Kind) -> Incident:
        if kind == "resolved":
            return self.noted(now, "all_clear_sent", f"{detail} (after its lease)")
        # A worker slept through its lease and then got its page through. If the problem is over, nobody else
        # would close the alert: an all-clear that is under way may have been there before.
        late = self.noted(now, "delivered_late", detail)
        late = replace(late, page_may_be_out=True, escalated_at=self.escalated_at or now)
        if self.state is State.RESOLVED:
            at = max(now, self.claim.until) if self.claim else now
            return replace(late, claim=None)._owing("resolved", since=now, at=at)
        return late

    def refused(
        self,
        token: str,
        now: datetime,
        detail: str,
        *,
        reason: str,
        again_at: datetime | None,
        failed: bool,
        uncertain: bool,
    ) -> Incident:
        """The attempt brought nothing.

        `detail`: a sentence, `reason`: one word for it. `again_at`: the next attempt, None to give up.
        `failed`: somebody has to mend the configuration, or we gave up. `uncertain`: the provider may have
        taken the event although no answer came.
        """
        if self.claim is None or self.claim.token != token:
            return self.noted(now, "attempt_failed", f"{detail} (after its lease)")
        paging = self.claim.kind == "firing"
        ended = replace(
            self,
            claim=None,
            last_error=detail,
            last_reason=reason,
            failures=self.failures + 1,
            failing_since=None if failed and again_at else self.failing_since or now,
            page_may_be_out=self.page_may_be_out or (paging and uncertain),
        ).noted(now, "attempt_failed", detail)
        if paging and self.state is State.RESOLVED:
            # Resolved meanwhile: the all-clear if the page may be out, else nothing is left to do.
            all_clear = ended._owing("resolved", since=now, at=now)
            return all_clear if ended.page_may_be_out else ended._owing_nothing()
        if self.owes is None:
            return ended
        if again_at is None:
            ended = ended._owing_nothing().noted(now, "gave_up", detail)
        else:
            ended = replace(ended, next_attempt_at=again_at)
        if paging and failed:
            return replace(ended, state=State.FAILED, failed_at=self.failed_at or now)
        return ended

    # -- what all of them need -----------------------------------------------------------------------

    @property
    def urgency(self) -> int:
        """0 is sent first when not everything may be sent at once; an all-clear goes last."""
        if self.owes == "resolved":
            return len(SEVERITIES)
        return SEVERITIES.index(self.severity or "medium")

    @property
    def can_be_acknowledged(self) -> bool:
        """Whether an acknowledgement would tell anybody anything new."""
        return self.due_at is not None and self.state not in (State.ACKNOWLEDGED, State.RESOLVED)

    @property
    def changed_at(self) -> datetime:
        """When the last thing happened to it."""
        return self.timeline[-1].at if self.timeline else self.created_at

    def _in_flight(self, now: datetime) -> bool:
        return self.claim is not None and self.claim.kind == "firing" and now < self.claim.until

    def _owing(self, kind: Kind, *, since: datetime, at: datetime) -> Incident:
        return replace(self, owes=kind, owed_since=since, next_attempt_at=at, failures=0, failing_since=None)

    def _owing_nothing(self) -> Incident:
        return replace(self, owes=None, owed_since=None, next_attempt_at=None, failures=0, failing_since=None)

    def noted(self, now: datetime, event: str, detail: str = "") -> Incident:
        """With one more line on the timeline, and nothing else changed."""
        return replace(self, timeline=continued(self.timeline, Entry(now, event, detail)))
