"""An incident, and every change of it; pure, no clock and no storage.

A change takes the incident as it is and returns the new one, or raises `InvalidTransition`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.acknowledgement import NOT_ACKNOWLEDGED, Acknowledgement
from app.alert import Alert, most_severe, rank
from app.delivery import Delivery, Destination, Event, InvalidTransition, Outcome
from app.members import Members
from app.record import ITSELF, Reopening
from app.state import Phase
from app.subscription import Subscription
from app.timeline import Entry, rfc3339

LINK_NOTED = timedelta(minutes=1)

MARKS_LIMIT = 2_000
"""Alerts that a group is recognised by, however many it has had."""


@dataclass(frozen=True, slots=True)
class Incident(Acknowledgement):
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
        reopening: Reopening = Reopening(),  # noqa: B008 (it can't be changed)
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
            marks=alert.marks[:MARKS_LIMIT],
            pagers={pager: Delivery()},
            subscriptions=subscriptions,
            mail_subject=mail_subject,
            fallback=fallback,
            late_after=late_after,
            reopening=reopening,
            members=Members().reported(alert, None, acknowledged=False),
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
        `asked`: the request names `pager`, which is then paged as well. What the acknowledgement does not
        cover reopens the incident.
        """
        if self.phase is Phase.RESOLVED:
            raise InvalidTransition("The incident is resolved; the alert is a new incident.")
        repeated = self._with_facts_of(alert).noted(now, "repeated", f"occurrence {self.occurrences + 1}")
        if rank(repeated.severity) < rank(self.severity):
            repeated = repeated._changed("severity_raised", now)
        if due_at is not None:
            repeated = repeated._asked_to_page(now, due_at, pager, asked=asked)
        why = repeated._why_reopened(self, now)
        return repeated._reopened(why, now) if why else repeated

    def _with_facts_of(self, alert: Alert) -> Incident:
        acknowledged = self.phase is Phase.ACKNOWLEDGED
        return replace(
            self,
            title=alert.title or self.title,
            description=alert.description or self.description,
            severity=most_severe(self.severity, alert.severity),
            service=alert.service or self.service,
            source_url=alert.source_url or self.source_url,
            started_at=self.started_at or alert.started_at,
            labels={**self.labels, **alert.labels},
            marks=tuple(dict.fromkeys((*alert.marks, *self.marks)))[:MARKS_LIMIT],
            occurrences=self.occurrences + 1,
            members=self.members.reported(alert, self.severity, acknowledged=acknowledged),
        )

    def _asked_to_page(self, now: datetime, due_at: datetime, pager: Destination, *, asked: bool) -> Incident:
        if self.phase is Phase.OPEN:
            fresh = replace(self, pagers={pager: Delivery()})
            return fresh._awaiting(now, due_at)._changed("created", now)
        wanted = self if self.wait is not None else replace(self, wait=due_at - now)
        if asked and pager not in self.pagers:
            wanted = wanted._with(pager, Delivery(added_at=now)).noted(now, "pager_added", pager)
        # One that is still to be paged must not be put off.
        paging = [one for one in self.pagers.values() if one.accepted is None]
        gave_up = bool(paging) and all(one.given_up == "firing" for one in paging)
        return wanted._awaiting(now, due_at) if gave_up and self.phase is Phase.PENDING else wanted

    def commented(self, alert: Alert, now: datetime) -> Incident:
        """The sender said something that neither starts nor ends the problem."""
        return self.noted(now, "note", alert.heading)

    # -- what a person does, or a sender in a person's name ------------------------------------------

    def link_opened(self, client: str, now: datetime) -> Incident:
        """A client opened the link; it is noted once a minute."""
        recent = (entry for entry in self.timeline if now - entry.at < LINK_NOTED)
        if any((entry.event, entry.detail) == ("link_opened", client) for entry in recent):
            return self
        return self.noted(now, "link_opened", client)

    def resolved(self, by: str, now: datetime) -> Incident:
        """The problem is over; every pager that has the page, or may have it, is sent the resolve event."""
        if self.phase is Phase.RESOLVED:
            return self
        resolved = replace(self, phase=Phase.RESOLVED, resolved_at=now, pagers=self._restarted())
        return resolved.noted(now, "resolved", f"by {by}")._changed("resolved", now)

    def paged_now(self, by: str, now: datetime) -> Incident:
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
            wait=self.wait or timedelta(0),
            pagers=self._restarted(forget_failure=True),
            **NOT_ACKNOWLEDGED,
        ).noted(now, "page_now", f"by {by}")

    def claimed(self, pager: Destination, token: str, now: datetime, lease: timedelta) -> Incident:
        """Reserve a pager's step for one worker. The attempt is on the timeline before it is made."""
        step = self.next_step(pager)
        if step is None:
            raise InvalidTransition("Nothing is to be sent.")
        delivery = self.pagers[pager].claimed(step, token, now, lease)
        detail = f"{self.attempts + 1} to page" if step.event == "firing" else "to send the all-clear"
        return self._with(pager, delivery).noted(now, "attempt", detail)

    def delivered(
        self, pager: Destination, token: str, now: datetime, detail: str, event: Event = "firing"
    ) -> Incident:
        """The pager took the event. True whichever worker holds the claim by now."""
        delivery = self.pagers.get(pager, Delivery())
        in_time = delivery.holds(token)
        if event == "resolved":
            ended = delivery.page_accepted(now, event) if in_time else delivery
            late = "" if in_time else " (after its lease)"
            return self._with(pager, ended).noted(now, "all_clear_sent", detail + late)
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

    # -- what time does ------------------------------------------------------------------------------

    def advanced(self, now: datetime) -> Incident:
        """Take its own step that is due. Raises `InvalidTransition` if none is."""
        step = self.next_step(ITSELF)
        if step is None or step.at > now:
            raise InvalidTransition("Nothing changes by itself now.")
        match step.event:
            case "late":
                return self.became_late(now)
            case "acknowledgement_ended":
                return self._reopened(
                    f"the time that {self.acknowledged_by} acknowledged it for is over", now
                )
            case "members_joined":
                return self._reopened(self._why_members(), now)
        return replace(self, previous_is_open=False)

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

    def _with(self, pager: Destination, delivery: Delivery) -> Incident:
        return replace(self, pagers={**self.pagers, pager: delivery})
