"""What one pager is sent of one incident: claimed, sent through its provider, recorded."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import cast

from app.bootstrap import Services
from app.delivery import service, silenced
from app.delivery.retry import PAGES
from app.delivery.traces import checks_of
from app.destinations.base import Message, PagerEvent
from app.domain.chains import CHANNEL
from app.domain.delivery import Destination, InvalidTransition, Outcome, Step
from app.domain.delivery import EventKind as Kind
from app.domain.incident import Incident
from app.domain.subscription import notified_entries
from app.store import StoreUnavailable, UnitOfWork
from app.telemetry import log

# Longer than an attempt may take: connect 3 s, whole 10 s.
LEASE = timedelta(seconds=15)
ATTEMPT_SECONDS = LEASE.total_seconds() - service.MARGIN

SIZE = 1_000
"""Bytes that an attempt takes in the backlog, about."""


class PageJob(service.Job):
    """What one pager is to be sent of one incident."""

    lease = LEASE

    def __init__(
        self,
        services: Services,
        unit: UnitOfWork,
        incident: Incident,
        pager: Destination,
        *,
        linked: bool = True,
    ) -> None:
        self._services = services
        self._linked = linked
        self._unit = unit
        self._incident = incident
        self._pager = pager

    def next_step(self) -> Step | None:
        """See `Job`, as for the others."""
        return self._incident.next_step(self._pager)

    def acquire(self, step: Step, token: str) -> bool:
        """Unless a silence holds it: within the rate limits of the alert source and its key; the most urgent
        go first."""
        if step.event == "firing" and silenced.hold(self._services, self._unit, self._incident):
            return False
        limits, now = self._services.limits(self._pager), self._services.clock()
        acquired = self._services.store.delivery_queue.acquire_slot(
            self._incident, self._pager, step, limits, now, token
        )
        if not acquired:
            log.info("not_sent_now", incident=self._incident.id, pager=self._pager)
        return acquired

    def claim(self, token: str) -> Step:
        """With the attempt on the timeline before it is made."""

        def work(unit: UnitOfWork) -> Step:
            stored = self._stored(unit)
            step = stored.next_step(self._pager)
            if step is None:
                raise InvalidTransition("Nothing is to be sent any more.")
            if step.event == "firing":
                silenced.require_none(self._services, unit, stored)
            self._incident = unit.save(stored.claimed(self._pager, token, self._services.clock(), LEASE))
            return step

        return self._services.update(work, self._unit)

    def send(self, step: Step, deadline: float) -> Outcome:
        """Through the provider, under the incident's ID as deduplication key."""
        services, incident = self._services, self._incident
        if self._pager.name == CHANNEL:
            return self._through_channel()
        provider = services.providers.get(self._pager.name)
        if provider is None:
            # One of a newer version, which another worker may know, or will after a rollback is over.
            return Outcome("try_again", f"This version has no provider {self._pager.name}.", "not_found")
        has = incident.pagers[self._pager]
        event = PagerEvent(
            kind_of(step),
            incident,
            self._link(),
            self._pager.address or "default",
            notified_entries(self._unit.deliveries(incident.id)),
            has.reference,
            has.uncertain,
            has.failures,
        )
        return provider.send(event, deadline=deadline)

    def _through_channel(self) -> Outcome:
        """As a last resort: with the text of a page that does not get out, and the link."""
        services, incident, now = self._services, self._incident, self._services.clock()
        found = services.channels.channel(Destination(self._pager.address or ""))
        if found is None:
            return Outcome("misconfigured", "There is no such channel: check oncall.fallback.", "not_found")
        return found[0].send(Message("late", incident, now, self._link()), found[1])

    def _link(self) -> str | None:
        """To acknowledge with; one that is not stored has none."""
        if not self._linked:
            return None
        return self._services.links.url(self._incident.id, self._services.clock())

    def record(self, step: Step, token: str, outcome: Outcome, now: datetime) -> None:
        """Also lets everybody pause where the provider asks for it."""
        services, claimed = self._services, self._incident.pagers[self._pager]
        again_at = None if outcome.delivered else PAGES.again_at(claimed, outcome, now)
        log_attempt(self._incident, self._pager, step, outcome, now)

        followed = outcome.traceable and outcome.delivered and step.event == "firing"
        checks = 0

        def work(unit: UnitOfWork) -> Incident:
            stored = self._stored(unit)
            if outcome.delivered:
                delivered = stored.delivered(
                    self._pager,
                    token,
                    now,
                    outcome.detail,
                    kind_of(step),
                    outcome.reference,
                    traceable=outcome.traceable,
                    checks=checks,
                )
                return unit.save(delivered)
            return unit.save(stored.refused(self._pager, token, now, outcome, again_at))

        try:
            if outcome.back_off_all:
                until = now + PAGES.pause(claimed.failures, outcome)
                services.store.delivery_queue.back_off(
                    self._pager, services.limits(self._pager), until, now, token
                )
            checks = checks_of(services, now) if followed else 0
            services.update(work, self._unit)
        except StoreUnavailable:
            ids = [self._incident.id]
            services.backlog.add((*ids, self._pager, token), lambda: services.update(work, ids=ids), SIZE)
            raise

    def _stored(self, unit: UnitOfWork) -> Incident:
        """As it is stored; a record that was lost meanwhile is written again from what this worker has.

        Pagers that joined since are still due. Raises `InvalidTransition` if it was removed, as one that was
        over long ago: the worker was stopped.
        """
        incident, store = self._incident, self._services.store
        stored = unit.get(incident.id)
        if stored is None and store.retention.was_forgotten(incident.id):
            raise InvalidTransition("The incident was over, and removed long ago.")
        due = store.delivery_queue.pagers_of(incident.id) if stored is None else []
        return stored or incident.joined_by(due, self._services.clock())


def kind_of(step: Step) -> Kind:
    """The event that a pager is sent in this step."""
    return cast(Kind, step.event)


def log_attempt(incident: Incident, pager: Destination, step: Step, outcome: Outcome, now: datetime) -> None:
    """Log how an attempt at a pager ended."""
    write = log.info if outcome.delivered else log.error
    write(
        "event_sent" if outcome.delivered else "event_failed",
        incident=incident.id,
        kind=step.event,
        pending_for=round((now - step.since).total_seconds(), 3),
        verdict=outcome.verdict,
        reason=outcome.reason,
        alert_source=pager.alert_source,
        attempt=incident.attempts,
        detail=outcome.detail,
    )
