"""An incident, and every change of it; pure, no clock and no storage.

A change takes the incident as it is and returns the new one, or raises `InvalidTransition`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.domain.acknowledgement import NOT_ACKNOWLEDGED
from app.domain.alert import VERSUS, Alert, with_labels
from app.domain.chains import CHANNEL
from app.domain.delivery import Delivery, Destination, EventKind, InvalidTransition, Outcome
from app.domain.members import Members
from app.domain.record import ITSELF, Reopening
from app.domain.report import MARKS_LIMIT, Report, beginning
from app.domain.silenced import NOT_SILENCED
from app.domain.state import Phase, State
from app.domain.subscription import Subscription
from app.domain.subscription import continued as changes_continued
from app.domain.timeline import rfc3339

LINK_NOTED = timedelta(minutes=1)

UNREADABLE = "The record of this incident can't be read. The sender's newest body may say what it was about."


@dataclass(frozen=True, slots=True)
class Incident(Report):
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
        held_until: datetime | None = None,
        rule: str | None = None,
    ) -> Incident:
        """A new problem; it pages at `due_at` unless somebody acknowledges, or never when that is None.

        `rule`: the one that decided; `held_until`: it lets the wait begin then.
        """
        return Incident(
            id=incident_id,
            title=alert.heading,
            source=alert.source,
            created_at=now,
            phase=Phase.OPEN if due_at is None else Phase.PENDING,
            description=alert.description,
            severity=alert.severity,
            service=alert.service,
            source_url=alert.source_url,
            started_at=alert.started_at,
            labels=with_labels({}, alert.labels),
            identity=alert.identity,
            marks=alert.marks[:MARKS_LIMIT],
            namespace=alert.namespace,
            due_at=due_at,
            wait=None if due_at is None else due_at - (held_until or now),
            held_until=held_until,
            rule=rule,
            pagers={pager: Delivery()},
            fallback=fallback,
            late_after=late_after,
            reopening=reopening,
            members=Members().reported(alert, None, acknowledged=False),
            subscriptions=subscriptions,
            mail_subject=mail_subject,
            changes=changes_continued((), "created", now) if subscriptions else (),
            timeline=tuple(beginning(alert, now, rule, due_at, held_until)),
        )

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
            source=VERSUS,
            description="The record of this incident was lost. Nobody is known to have acknowledged it.",
        )
        incident = Incident.opened(
            incident_id, alert, now, due_at=now, pager=pagers[0], subscriptions=subscriptions
        )
        return replace(incident, pagers={pager: Delivery() for pager in pagers}).noted(
            now, "record_lost", "paging, because nobody is known to have acknowledged"
        )

    @staticmethod
    def unreadable(
        incident_id: str,
        created_at: datetime,
        state: State,
        due: Mapping[Destination, datetime],
        pager: Destination,
        subscriptions: tuple[Subscription, ...] = (),
    ) -> Incident:
        """Stands in for a record that can't be read: what is known is its state, and what is `due` when.

        `pager`: where it goes, or went, when nothing is due.
        """
        alert = Alert(title=f"Incident {incident_id}", source=VERSUS, description=UNREADABLE)
        alert = replace(alert, labels={"unreadable": "true"})
        at, has = min(due.values(), default=created_at), Delivery()
        phase = next((one for one in Phase if one.value == state.value), Phase.PENDING)
        if phase is Phase.ACKNOWLEDGED:
            has = Delivery(uncertain=True)
        elif state is State.ESCALATED or (due and phase is Phase.RESOLVED):
            has = Delivery(accepted="firing", accepted_at=created_at)
        return replace(
            Incident.opened(
                incident_id, alert, created_at, due_at=None, pager=pager, subscriptions=subscriptions
            ),
            phase=phase,
            due_at=None if phase is Phase.OPEN else at,
            acknowledged_at=at if phase is Phase.ACKNOWLEDGED else None,
            resolved_at=at if phase is Phase.RESOLVED else None,
            pagers=dict.fromkeys(due or (pager,), has),
        ).noted(created_at, "record_unreadable", "what its indexes say of it is all that is known")

    def joined_by(self, pagers: Sequence[Destination], now: datetime) -> Incident:
        """It is due at these pagers, too, though the record that said so was lost; in doubt, they page."""
        joined = self
        for pager in pagers:
            if pager not in (*self.pagers, ITSELF):
                delivery = Delivery(added_at=now, fallback=pager.name == CHANNEL)
                joined = joined._with(pager, delivery, now, "pager_added", pager)
        return joined

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
            wait=self.wait or timedelta(0),
            held_until=None,
            pagers=self._restarted(forget_failure=True),
            page_asked=True,
            **NOT_SILENCED,
            **NOT_ACKNOWLEDGED,
        ).noted(now, "escalate_now", f"by {by}")

    def claimed(self, pager: Destination, token: str, now: datetime, lease: timedelta) -> Incident:
        """Reserve a pager's step for one worker. The attempt is on the timeline before it is made."""
        step = self.next_step(pager)
        if step is None:
            raise InvalidTransition("Nothing is to be sent.")
        delivery = self.pagers[pager].claimed(step, token, now, lease)
        detail = f"{self.attempts + 1} to page" if step.event == "firing" else _SENDING[step.event]
        return self._with(pager, delivery, now, "attempt", detail)

    def delivered(
        self,
        pager: Destination,
        token: str,
        now: datetime,
        detail: str,
        event: EventKind = "firing",
        reference: str | None = None,
        *,
        traceable: bool = False,
        checks: int = 0,
    ) -> Incident:
        """The pager took the event. True whichever worker holds the claim by now.

        `reference`: what the pager calls its record of it. `traceable`, `checks`: see `Delivery`.
        """
        delivery = self.pagers.get(pager, Delivery())
        delivery = replace(
            delivery,
            reference=reference or delivery.reference,
            traceable=traceable or delivery.traceable,
            checks_left=checks if event == "firing" else 0,
        )
        in_time = delivery.holds(token)
        if event != "firing":
            ended = delivery.page_accepted(now, event) if in_time else delivery
            late = "" if in_time else " (after its lease)"
            return self._with(pager, ended, now, _SENT[event], detail + late)
        ended = delivery.page_accepted(now, event) if in_time else delivery.page_accepted_late(now)
        paged = self._with(pager, ended, now, "escalated" if in_time else "delivered_late", detail)
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
            return self._with(pager, ended.restarted(), now, "attempt_failed", outcome.detail)
        if claim.event == "firing":
            ended = ended.page_failed(now, final=outcome.verdict == "misconfigured" or again_at is None)
        refused = self._with(pager, ended, now, "attempt_failed", outcome.detail)
        if self.failed_at is None and refused.failed_at is not None:
            refused = refused._changed("failed", now)
        if claim.event == "firing" and (ended.failed or ended.fallback or ended.late_at):
            refused = refused._next_link(pager, now)
        return refused if again_at is not None else refused.noted(now, "gave_up", outcome.detail)

    def sent_unclaimed(self, pagers: Mapping[Destination, Delivery], now: datetime) -> Incident:
        """What pagers have, or may have, of it, by attempts without a claim; they ended by `now`."""
        new = {p: replace(one, claim=None) for p, one in pagers.items() if self._says_more(p, one)}
        if not new:
            return self
        sent = replace(self, pagers={**self.pagers, **new})
        sent = sent.noted(now, "sent_unclaimed", f"to {', '.join(new)}, while Redis did not take writes")
        first = self.escalated_at is None and sent.escalated_at is not None
        return sent._changed("escalated", now) if first else sent

    def _says_more(self, pager: Destination, delivery: Delivery) -> bool:
        """Whether this is more than the pager is known to have."""
        had = self.pagers.get(pager, Delivery())
        if delivery.accepted == "resolved":
            return self.phase is Phase.RESOLVED and had.accepted != "resolved"
        return had.accepted is None and delivery.may_have_page

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


_SENDING = {"acknowledged": "to send the acknowledgement", "resolved": "to send the resolve event"}
_SENT = {"acknowledged": "acknowledgement_sent", "resolved": "resolve_event_sent"}
