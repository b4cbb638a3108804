"""What one channel is notified of about one incident: claimed, sent, recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from app.bootstrap import Services
from app.delivery import silenced
from app.delivery.retry import NOTIFICATIONS
from app.delivery.service import Job
from app.delivery.summaries import LEASE, UNKNOWN, in_summaries, log_notified
from app.destinations.base import Message
from app.domain.delivery import Delivery, Destination, InvalidTransition, Outcome, Step
from app.domain.incident import Incident
from app.domain.subscription import IN_WORDS, change_event
from app.domain.timeline import Entry
from app.store import UnitOfWork


class NotificationJob(Job):
    """What one channel is to be notified of, of one incident."""

    lease = LEASE

    def __init__(self, services: Services, unit: UnitOfWork, incident_id: str, channel: Destination) -> None:
        self._services = services
        self._unit = unit
        self._incident = unit.require(incident_id)
        self._channel = channel
        self._delivery = unit.delivery(incident_id, channel)

    def next_step(self) -> Step | None:
        """See `Job`, as for the others."""
        return self._incident.next_step(self._channel, self._delivery)

    def postpone(self, step: Step | None) -> None:
        """It is under way elsewhere, in a pause, or over."""
        self._save(lambda _, delivery: delivery)

    def acquire(self, step: Step, token: str) -> bool:
        """Unless a silence holds it."""
        return not silenced.hold(self._services, self._unit, self._incident)

    def claim(self, token: str) -> Step:
        """In the channel's own field, so that no page waits for it."""
        steps: list[Step] = []
        summaries = self._summaries()

        def claimed(incident: Incident, delivery: Delivery) -> Delivery:
            step = incident.next_step(self._channel, delivery)
            if step is None:
                raise InvalidTransition("There is nothing to notify of any more.")
            steps.append(step)
            for entry in summaries:
                delivery = delivery.noted(entry)
            return delivery.claimed(step, token, self._services.clock(), LEASE)

        if not self._save(claimed, unless_silenced=True):
            raise InvalidTransition("The incident was removed.")
        return steps[-1]

    def _summaries(self) -> list[Entry]:
        """What was said in summaries up to now: afterwards the message would hide it."""
        step = self.next_step()
        if step is None or step.since == step.at:
            return []
        return list(in_summaries(self._services.store, self._incident, self._channel, self._delivery))

    def send(self, step: Step, deadline: float) -> Outcome:
        """What the incident is now, under the newest change as heading."""
        found = self._services.channels.channel(self._channel)
        if found is None:
            return UNKNOWN
        channel, address = found
        now, incident = self._services.clock(), self._incident
        message = Message(
            event=change_event(step.event),
            incident=incident,
            now=now,
            ack_url=self._services.links.url(incident.id, now) if incident.can_be_acknowledged else None,
            subject=incident.mail_subject,
            reference=self._delivery.reference,
        )
        return channel.send(message, address)

    def record(self, step: Step, token: str, outcome: Outcome, now: datetime) -> None:
        """What is given up counts as notified."""
        claimed = self._delivery
        again_at = None if outcome.delivered else NOTIFICATIONS.again_at(claimed, outcome, now)

        def ended(_: Incident, delivery: Delivery) -> Delivery:
            over = outcome.delivered
            if delivery.holds(token):
                over = again_at is None
                delivery = (
                    delivery.succeeded() if outcome.delivered else delivery.refused(now, outcome, again_at)
                )
            if over:
                through = max(delivery.notified_through, step.through)
                delivery = replace(
                    delivery, notified_through=through, reference=outcome.reference or delivery.reference
                )
            # Attempts in between would push what matters off the timeline.
            return delivery.noted(entry) if over or claimed.failures == 0 else delivery

        entry = self._entry(step, outcome, now, given_up=again_at is None)
        self._save(ended, "delivered" if outcome.delivered else "failed")
        name, incident_id = "notified" if outcome.delivered else "not_notified", self._incident.id
        log_notified(name, self._channel, claimed, outcome, again_at, change=step.event, incident=incident_id)

    def _entry(self, step: Step, outcome: Outcome, now: datetime, *, given_up: bool) -> Entry:
        about = f"{self._channel} {IN_WORDS[change_event(step.event)]}"
        if outcome.delivered:
            return Entry(now, "notified", about)
        return Entry(
            now, "not_notified", f"{about}: {outcome.detail}, {'given up' if given_up else 'will try again'}"
        )

    def _save(
        self,
        change: Callable[[Incident, Delivery], Delivery],
        *count: str,
        unless_silenced: bool = False,
    ) -> bool:
        """False if the incident is gone."""
        incident_id = self._incident.id

        def work(unit: UnitOfWork) -> tuple[Incident, Delivery] | None:
            incident = unit.get(incident_id)
            if incident is None:
                return None
            if unless_silenced:
                silenced.require_none(self._services, unit, incident)
            delivery = change(incident, unit.delivery(incident_id, self._channel))
            unit.save_delivery(incident_id, self._channel, delivery, *count)
            return incident, delivery

        saved = self._services.update(work, self._unit)
        if saved is not None:
            self._incident, self._delivery = saved
        return saved is not None
