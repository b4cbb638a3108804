"""Pages, and resolve events: what is delivered to an alert source of the on-call provider."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from app.bootstrap import Services
from app.delivery import service
from app.delivery.retry import PAGES
from app.destinations.base import Message, PagerEvent
from app.domain.chains import CHANNEL, LATE
from app.domain.delivery import Destination, InvalidTransition, Outcome, Step
from app.domain.delivery import EventKind as Kind
from app.domain.incident import Incident
from app.domain.subscription import notified_entries
from app.store import UnitOfWork
from app.telemetry import log

# Longer than an attempt may take: connect 3 s, whole 10 s.
LEASE = timedelta(seconds=15)
ATTEMPT_SECONDS = LEASE.total_seconds() - service.MARGIN


def deliver(
    services: Services, incident_id: str, pagers: Sequence[Destination] = (), title: str | None = None
) -> None:
    """Send each pager of the incident what is due for it; `pagers`: these alone.

    A record that is gone is made anew and paged, at `pagers` and with `title`: nobody is known to have
    acknowledged it. Raises `app.store.StoreUnavailable`.
    """
    unit = services.store.incidents.unit_of_work([incident_id], channels=True)
    incident = unit.get(incident_id)
    if incident is None:
        if services.store.retention.was_forgotten(incident_id):
            # A message that came late, about what was over long ago.
            return
        incident = _remake(services, unit, incident_id, pagers, title)
    known = [pager for pager in pagers if pager in incident.pagers or pager == LATE]
    for pager in pagers:
        if pager not in known:
            services.store.delivery_queue.remove(pager, incident_id)
    now = services.clock()
    due = [pager for pager, step in incident.steps() if step.at <= now and (pager in known or not known)]
    if LATE in due:
        due.remove(LATE)
        _became_late(services, unit, incident_id)
    # One that hangs must not delay the others.
    for pager in due[1:]:
        services.task_queue.enqueue(incident_id, 0, [pager], incident.title)
    if due:
        service.deliver(PageJob(services, unit, incident, due[0]), services.clock)


def _became_late(services: Services, unit: UnitOfWork, incident_id: str) -> None:
    def work(unit: UnitOfWork) -> bool:
        incident, now = unit.require(incident_id), services.clock()
        step = incident.next_step(LATE)
        if step is None or step.at > now:
            return False
        unit.save(incident.became_late(now))
        return True

    if services.update(work, unit):
        log.error("page_late", incident=incident_id)


class PageJob(service.Job):
    """What one pager is to be sent of one incident."""

    lease = LEASE

    def __init__(self, services: Services, unit: UnitOfWork, incident: Incident, pager: Destination) -> None:
        self._services = services
        self._unit = unit
        self._incident = incident
        self._pager = pager

    def next_step(self) -> Step | None:
        """See `Job`, as for the others."""
        return self._incident.next_step(self._pager)

    def acquire(self, step: Step, token: str) -> bool:
        """Within the rate limits of the alert source and its key; the most urgent go first."""
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
            self._incident = unit.save(stored.claimed(self._pager, token, self._services.clock(), LEASE))
            return step

        return self._services.update(work, self._unit)

    def send(self, step: Step, deadline: float) -> Outcome:
        """Through the provider, under the incident's ID as deduplication key."""
        services, incident = self._services, self._incident
        if self._pager.name == CHANNEL:
            return self._through_channel()
        event = PagerEvent(
            _kind(step),
            incident,
            services.links.url(incident.id, services.clock()),
            self._pager.address or "default",
            notified_entries(self._unit.deliveries(incident.id)),
        )
        return services.provider.send(event, deadline=deadline)

    def _through_channel(self) -> Outcome:
        """As a last resort: with the text of a page that does not get out, and the link."""
        services, incident, now = self._services, self._incident, self._services.clock()
        found = services.channels.channel(Destination(self._pager.address or ""))
        if found is None:
            return Outcome("misconfigured", "There is no such channel: check oncall.fallback.", "not_found")
        return found[0].send(Message("late", incident, now, services.links.url(incident.id, now)), found[1])

    def record(self, step: Step, token: str, outcome: Outcome, now: datetime) -> None:
        """Also holds back everybody where the provider asks for it."""
        services, claimed = self._services, self._incident.pagers[self._pager]
        again_at = None if outcome.delivered else PAGES.again_at(claimed, outcome, now)
        _log(self._incident, self._pager, step, outcome, now)
        if outcome.back_off_all:
            until = again_at or now + PAGES.pause(claimed.failures, outcome.not_before)
            services.store.delivery_queue.back_off(self._pager, services.limits(self._pager), until, now)

        def work(unit: UnitOfWork) -> Incident:
            stored = self._stored(unit)
            if outcome.delivered:
                return unit.save(stored.delivered(self._pager, token, now, outcome.detail, _kind(step)))
            return unit.save(stored.refused(self._pager, token, now, outcome, again_at))

        services.update(work, self._unit)

    def _stored(self, unit: UnitOfWork) -> Incident:
        """As it is stored; a record that was lost meanwhile is written again from what this worker has.

        Raises `InvalidTransition` if it was removed, as one that was over long ago: the worker was stopped.
        """
        stored = unit.get(self._incident.id)
        if stored is None and self._services.store.retention.was_forgotten(self._incident.id):
            raise InvalidTransition("The incident was over, and removed long ago.")
        return stored or self._incident


def deliver_unstored(
    services: Services, incident: Incident, now: datetime, deadline: float
) -> Incident | None:
    """Page for an incident that can't be stored; what became of it, or None when it did not get through.

    There is no second attempt and no page to acknowledge on. `deadline`: of `time.monotonic()`, seconds.
    """
    token = secrets.token_hex(8)
    [(pager, step)] = incident.steps()
    claimed = incident.claimed(pager, token, now, LEASE)
    event = PagerEvent("firing", claimed, None, incident.alert_source)
    outcome = services.provider.send(event, deadline=deadline)
    _log(claimed, pager, step, outcome, now)
    return claimed.delivered(pager, token, now, outcome.detail) if outcome.delivered else None


def _remake(
    services: Services, unit: UnitOfWork, incident_id: str, pagers: Sequence[Destination], title: str | None
) -> Incident:
    named = dict.fromkeys([*pagers, *services.store.delivery_queue.pagers_of(incident_id)])
    wanted = [pager for pager in named if pager != LATE] or [services.pager("default")]

    def work(unit: UnitOfWork) -> Incident:
        return unit.get(incident_id) or unit.save(
            Incident.lost(
                incident_id,
                services.clock(),
                title=title or f"Incident {incident_id}",
                pagers=wanted,
                subscriptions=services.channels.subscriptions(),
            )
        )

    log.error("record_lost", incident=incident_id)
    return services.update(work, unit)


def _kind(step: Step) -> Kind:
    return "resolved" if step.event == "resolved" else "firing"


def _log(incident: Incident, pager: Destination, step: Step, outcome: Outcome, now: datetime) -> None:
    write = log.info if outcome.delivered else log.error
    write(
        "event_sent" if outcome.delivered else "event_failed",
        incident=incident.id,
        kind=step.event,
        pending_for=round((now - step.since).total_seconds(), 3),
        verdict=outcome.verdict,
        reason=outcome.reason,
        alert_source=pager.address,
        attempt=incident.attempts,
        detail=outcome.detail,
    )
