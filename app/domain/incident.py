"""An incident, and every change of it; pure, no clock and no storage.

A change takes the incident as it is and returns the new one, or raises `InvalidTransition`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.domain.alert import SEVERITIES, Alert, Severity, most_severe
from app.domain.delivery import Delivery, Destination, EventKind, InvalidTransition, Outcome
from app.domain.record import Record
from app.domain.state import Phase
from app.domain.subscription import ChangeEvent, Subscription
from app.domain.subscription import continued as changes_continued
from app.domain.timeline import Entry, continued, rfc3339


@dataclass(frozen=True, slots=True)
class Incident(Record):
    """Everything known of one incident. Times are UTC; the sender's body is stored beside it."""

    # -- what a webhook does -------------------------------------------------------------------------

    @staticmethod
    def opened(
        incident_id: str,
        alert: Alert,
        now: datetime,
        *,
        due_at: datetime | None,
        pager: Destination,
        subscriptions: tuple[Subscription, ...] = (),
        mail_subject: str | None = None,
        fallback: tuple[Destination, ...] = (),
        late_after: timedelta | None = None,
    ) -> Incident:
        """A new problem; it pages at `due_at` unless somebody acknowledges, or never when that is None."""
        incident = Incident(
            id=incident_id,
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
            pagers={pager: Delivery()},
            subscriptions=subscriptions,
            mail_subject=mail_subject,
            fallback=fallback,
            late_after=late_after,
            timeline=(Entry(now, "received", f"from {alert.source}"),),
        )
        return incident._awaiting(now, due_at)._changed("created", now)

    @staticmethod
    def lost(
        incident_id: str,
        now: datetime,
        title: str,
        pagers: Sequence[Destination],
        subscriptions: tuple[Subscription, ...] = (),
    ) -> Incident:
        """Stands in for a record that is gone though its page was due; in doubt, it pages."""
        alert = Alert(
            title=title,
            source="versus",
            description="The record of this incident was lost. Nobody is known to have acknowledged it.",
        )
        incident = Incident.opened(
            incident_id, alert, now, due_at=now, pager=pagers[0], subscriptions=subscriptions
        )
        return replace(incident, pagers={pager: Delivery() for pager in pagers}).noted(
            now, "record_lost", "paging, because nobody is known to have acknowledged"
        )

    def repeated(
        self, alert: Alert, now: datetime, *, due_at: datetime | None, pager: Destination, asked: bool
    ) -> Incident:
        """The same problem again: newer texts, never a lower severity, never another due time.

        One that nobody asked to escalate until now, or whose page was given up, starts its wait if this asks.
        `asked`: the request names `pager`, which is then paged as well.
        """
        if self.phase is Phase.RESOLVED:
            raise InvalidTransition("The incident is resolved; the alert is a new incident.")
        severity = most_severe(self.severity, alert.severity)
        repeated = replace(
            self,
            title=alert.title or self.title,
            description=alert.description or self.description,
            severity=severity,
            service=alert.service or self.service,
            source_url=alert.source_url or self.source_url,
            started_at=self.started_at or alert.started_at,
            labels={**self.labels, **alert.labels},
            occurrences=self.occurrences + 1,
        ).noted(now, "repeated", f"occurrence {self.occurrences + 1}")
        if _rank(severity) < _rank(self.severity):
            repeated = repeated._changed("severity_raised", now)
        if due_at is None:
            return repeated
        if self.phase is Phase.OPEN:
            return (
                replace(repeated, pagers={pager: Delivery()})._awaiting(now, due_at)._changed("created", now)
            )
        if asked and pager not in self.pagers:
            repeated = repeated._with(pager, Delivery(added_at=now)).noted(now, "pager_added", pager)
        # One that is still to be paged must not be put off.
        paging = [one for one in self.pagers.values() if one.accepted is None]
        gave_up = bool(paging) and all(one.given_up == "firing" for one in paging)
        return repeated._awaiting(now, due_at) if gave_up and self.phase is Phase.PENDING else repeated

    def commented(self, alert: Alert, now: datetime) -> Incident:
        """The sender said something that neither starts nor ends the problem."""
        return self.noted(now, "note", alert.heading)

    def _awaiting(self, now: datetime, due_at: datetime | None) -> Incident:
        if due_at is None:
            return self
        detail = f"pages at {rfc3339(due_at)} unless acknowledged"
        return replace(
            self, phase=Phase.PENDING, due_at=due_at, pagers=self._restarted(forget_failure=True)
        ).noted(now, "waiting", detail)

    # -- what a person does, or a sender in a person's name ------------------------------------------

    def acknowledged(self, by: str, now: datetime) -> Incident:
        """Somebody takes care: a page that has not left yet never will."""
        if self.phase is Phase.RESOLVED:
            raise InvalidTransition("The incident is resolved already; there is nothing left to acknowledge.")
        if self.phase is Phase.ACKNOWLEDGED:
            return self
        detail = f"by {by}"
        if self.escalated_at is not None:
            detail += ", after the page went out"
        elif self._in_flight(now):
            detail += ", while the page was being sent"
        # Claims stay: the worker that holds one still has to record how its attempt ended.
        acknowledged = replace(
            self,
            phase=Phase.ACKNOWLEDGED,
            acknowledged_at=now,
            acknowledged_by=by,
            pagers=self._restarted(),
        )
        return acknowledged.noted(now, "acknowledged", detail)._changed("acknowledged", now)

    def resolved(self, by: str, now: datetime) -> Incident:
        """The problem is over; every pager that has the page, or may have it, is sent the resolve event."""
        if self.phase is Phase.RESOLVED:
            return self
        resolved = replace(self, phase=Phase.RESOLVED, resolved_at=now, pagers=self._restarted())
        return resolved.noted(now, "resolved", f"by {by}")._changed("resolved", now)

    def escalated_now(self, by: str, now: datetime) -> Incident:
        """Somebody wants the page without waiting any longer."""
        if self.phase is Phase.RESOLVED:
            raise InvalidTransition("The incident is resolved; there is nothing to page for.")
        if self.escalated_at and all(map(self.chains.accepted, self.chains.targets)):
            raise InvalidTransition(f"The page went out at {rfc3339(self.escalated_at)} already.")
        if self._in_flight(now):
            raise InvalidTransition("The page is being sent right now.")
        return replace(
            self,
            phase=Phase.PENDING,
            due_at=now,
            acknowledged_at=None,
            acknowledged_by=None,
            pagers=self._restarted(forget_failure=True),
        ).noted(now, "escalate_now", f"by {by}")

    def claimed(self, pager: Destination, token: str, now: datetime, lease: timedelta) -> Incident:
        """Reserve a pager's step for one worker. The attempt is on the timeline before it is made."""
        step = self.next_step(pager)
        if step is None:
            raise InvalidTransition("Nothing is to be sent.")
        delivery = self.pagers[pager].claimed(step, token, now, lease)
        detail = f"{self.attempts + 1} to page" if step.event == "firing" else "to send the resolve event"
        return self._with(pager, delivery).noted(now, "attempt", detail)

    def delivered(
        self, pager: Destination, token: str, now: datetime, detail: str, event: EventKind = "firing"
    ) -> Incident:
        """The pager took the event. True whichever worker holds the claim by now."""
        delivery = self.pagers.get(pager, Delivery())
        in_time = delivery.holds(token)
        if event == "resolved":
            ended = delivery.page_accepted(now, event) if in_time else delivery
            late = "" if in_time else " (after its lease)"
            return self._with(pager, ended).noted(now, "resolve_event_sent", detail + late)
        ended = delivery.page_accepted(now, event) if in_time else delivery.page_accepted_late(now)
        paged = self._with(pager, ended).noted(now, "escalated" if in_time else "delivered_late", detail)
        first = self.escalated_at is None and paged.escalated_at is not None
        return paged._changed("escalated", now) if first else paged

    def refused(
        self, pager: Destination, token: str, now: datetime, outcome: Outcome, again_at: datetime | None
    ) -> Incident:
        """The attempt failed; the next one is at `again_at`, None to give up."""
        delivery = self.pagers.get(pager, Delivery())
        claim = delivery.claim
        if claim is None or claim.token != token:
            return self.noted(now, "attempt_failed", f"{outcome.detail} (after its lease)")
        ended = delivery.refused(now, outcome, again_at)
        wanted = self._page_step(pager, replace(delivery, claim=None))
        if wanted is None or wanted.event != claim.event:
            # Acknowledged or resolved meanwhile: what failed is not needed any more.
            return self._with(pager, ended.restarted()).noted(now, "attempt_failed", outcome.detail)
        if claim.event == "firing":
            ended = ended.page_failed(now, final=outcome.verdict == "misconfigured" or again_at is None)
        refused = self._with(pager, ended).noted(now, "attempt_failed", outcome.detail)
        if self.failed_at is None and refused.failed_at is not None:
            refused = refused._changed("failed", now)
        if claim.event == "firing" and (ended.failed or ended.fallback or ended.late_at):
            refused = refused._next_link(pager, now)
        return refused if again_at is not None else refused.noted(now, "gave_up", outcome.detail)

    def became_late(self, now: datetime) -> Incident:
        """The page does not get out: people are notified, and the next link of its chain is tried."""
        late = self
        for target in self.chains.stuck:
            delivery = replace(self.pagers[target], late_at=now)
            late = late._with(target, delivery)._next_link(target, now)
        detail = f"no pager has accepted it: {self.last_error or 'no reason is known'}"
        return late.noted(now, "late", detail)._changed("late", now)

    def _next_link(self, pager: Destination, now: datetime) -> Incident:
        link = self.chains.after(pager)
        if link is None:
            return self
        detail = f"{link}, because {pager} did not accept the page"
        return self._with(link, Delivery(added_at=now, fallback=True)).noted(now, "fallback", detail)

    def noted(self, now: datetime, event: str, detail: str = "") -> Incident:
        """With one more line on the timeline, and nothing else changed."""
        return replace(self, timeline=continued(self.timeline, Entry(now, event, detail)))

    def _changed(self, event: ChangeEvent, now: datetime) -> Incident:
        if not self.subscriptions:
            return self
        return replace(self, changes=changes_continued(self.changes, event, now))

    def _with(self, pager: Destination, delivery: Delivery) -> Incident:
        return replace(self, pagers={**self.pagers, pager: delivery})

    def _restarted(self, *, forget_failure: bool = False) -> dict[Destination, Delivery]:
        fresh = {pager: delivery.restarted() for pager, delivery in self.pagers.items()}
        if not forget_failure:
            return fresh
        forgotten = {p: replace(one, failed=False, failed_at=None, late_at=None) for p, one in fresh.items()}
        return {p: one for p, one in forgotten.items() if not one.fallback or one.may_have_page}

    def _in_flight(self, now: datetime) -> bool:
        claims = [delivery.claim for delivery in self.pagers.values()]
        return any(claim and claim.event == "firing" and now < claim.until for claim in claims)


def _rank(severity: Severity | None) -> int:
    return SEVERITIES.index(severity or "medium")
