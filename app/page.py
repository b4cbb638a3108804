"""Pages, and resolve events: what is delivered to an alert source of the on-call provider."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from app import deliver as delivering
from app.chains import CHANNEL
from app.channels import Message
from app.delivery import Destination, InvalidTransition, Outcome, Step
from app.delivery import Event as Kind
from app.gateway import Gateway
from app.incident import Incident
from app.providers import Event
from app.record import ITSELF
from app.retry import PAGES
from app.store import UnitOfWork, Unknown
from app.subscription import told
from app.telemetry import log

# Longer than an attempt may take: connect 3 s, whole 10 s.
LEASE = timedelta(seconds=15)
ATTEMPT_SECONDS = LEASE.total_seconds() - delivering.MARGIN


def deliver(
    gateway: Gateway, incident_id: str, pagers: Sequence[Destination] = (), title: str | None = None
) -> None:
    """Send each pager of the incident what is due for it; `pagers`: these alone.

    A record that is gone is made anew and paged, at `pagers` and with `title`: nobody is known to have
    acknowledged it. Raises `app.store.Unavailable`.
    """
    unit = gateway.store.incidents.unit_of_work([incident_id], channels=True)
    incident = unit.get(incident_id)
    if incident is None:
        if gateway.store.retention.was_forgotten(incident_id):
            # A message that came late, about what was over long ago.
            return
        incident = _remake(gateway, unit, incident_id, pagers, title)
    known = [pager for pager in pagers if pager in incident.pagers or pager == ITSELF]
    for pager in pagers:
        if pager not in known:
            gateway.store.agenda.remove(pager, incident_id)
    now = gateway.clock()
    due = [pager for pager, step in incident.steps() if step.at <= now and (pager in known or not known)]
    if ITSELF in due:
        due.remove(ITSELF)
        _advance(gateway, incident)
    # One that hangs must not delay the others.
    for pager in due[1:]:
        gateway.wakeup.enqueue(incident_id, 0, [pager], incident.title)
    if due:
        delivering.deliver(Page(gateway, unit, incident, due[0]), gateway.clock)


def _advance(gateway: Gateway, incident: Incident) -> None:
    """Let the incident take its own step; when one that continues another is over, so is that one."""
    ids = [incident.id, *([incident.previous_id] if incident.previous_id else [])]

    def work(unit: UnitOfWork) -> str:
        now, stored = gateway.clock(), unit.require(incident.id)
        step = stored.next_step(ITSELF)
        unit.save(stored.advanced(now))
        previous = unit.get(stored.previous_id or "")
        if step is not None and step.event == "previous_over" and previous is not None:
            unit.save(previous.resolved(f"incident {stored.id}, which continues it", now))
        return step.event if step is not None else ""

    with suppress(InvalidTransition, Unknown):
        event = gateway.update(work, ids=ids)
        log.error("page_late", incident=incident.id) if event == "late" else log.info(
            event, incident=incident.id
        )


class Page(delivering.Job):
    """What one pager is to be sent of one incident."""

    lease = LEASE

    def __init__(self, gateway: Gateway, unit: UnitOfWork, incident: Incident, pager: Destination) -> None:
        self._gateway = gateway
        self._unit = unit
        self._incident = incident
        self._pager = pager

    def next_step(self) -> Step | None:
        """See `Job`, as for the others."""
        return self._incident.next_step(self._pager)

    def acquire(self, step: Step, token: str) -> bool:
        """Within the rate limits of the alert source and its key; the most urgent go first."""
        limits, now = self._gateway.limits(self._pager), self._gateway.clock()
        taken = self._gateway.store.agenda.take(self._incident, self._pager, step, limits, now, token)
        if not taken:
            log.info("not_sent_now", incident=self._incident.id, pager=self._pager)
        return taken

    def claim(self, token: str) -> Step:
        """With the attempt on the timeline before it is made."""

        def work(unit: UnitOfWork) -> Step:
            stored = self._stored(unit)
            step = stored.next_step(self._pager)
            if step is None:
                raise InvalidTransition("Nothing is to be sent any more.")
            self._incident = unit.save(stored.claimed(self._pager, token, self._gateway.clock(), LEASE))
            return step

        return self._gateway.update(work, self._unit)

    def send(self, step: Step, deadline: float) -> Outcome:
        """Through the provider, under the incident's ID as deduplication key."""
        gateway, incident = self._gateway, self._incident
        if self._pager.name == CHANNEL:
            return self._through_channel()
        event = Event(
            _kind(step),
            incident,
            gateway.links.url(incident.id, gateway.clock()),
            self._pager.address or "default",
            told(self._unit.deliveries(incident.id)),
        )
        return gateway.provider.send(event, deadline=deadline)

    def _through_channel(self) -> Outcome:
        """As a last resort: with the text of a page that does not get out, and the link."""
        gateway, incident, now = self._gateway, self._incident, self._gateway.clock()
        found = gateway.channels.channel(Destination(self._pager.address or ""))
        if found is None:
            return Outcome("misconfigured", "There is no such channel: check oncall.fallback.", "not_found")
        return found[0].send(Message("late", incident, now, gateway.links.url(incident.id, now)), found[1])

    def record(self, step: Step, token: str, outcome: Outcome, now: datetime) -> None:
        """Also holds back everybody where the provider asks for it."""
        gateway, claimed = self._gateway, self._incident.pagers[self._pager]
        again_at = None if outcome.delivered else PAGES.again_at(claimed, outcome, now)
        _log(self._incident, self._pager, step, outcome, now)
        if outcome.hold_all:
            until = again_at or now + PAGES.pause(claimed.failures, outcome.not_before)
            gateway.store.agenda.hold_back(self._pager, gateway.limits(self._pager), until, now)

        def work(unit: UnitOfWork) -> Incident:
            stored = self._stored(unit)
            if outcome.delivered:
                return unit.save(stored.delivered(self._pager, token, now, outcome.detail, _kind(step)))
            return unit.save(stored.refused(self._pager, token, now, outcome, again_at))

        gateway.update(work, self._unit)

    def _stored(self, unit: UnitOfWork) -> Incident:
        """As it is stored; a record that was lost meanwhile is written again from what this worker has.

        Raises `InvalidTransition` if it was removed, as one that was over long ago: the worker was stopped.
        """
        stored = unit.get(self._incident.id)
        if stored is None and self._gateway.store.retention.was_forgotten(self._incident.id):
            raise InvalidTransition("The incident was over, and removed long ago.")
        return stored or self._incident


def deliver_unstored(gateway: Gateway, incident: Incident, now: datetime, deadline: float) -> Incident | None:
    """Page for an incident that can't be stored; what became of it, or None when it did not get through.

    There is no second attempt and no page to acknowledge on. `deadline`: of `time.monotonic()`, seconds.
    """
    token = secrets.token_hex(8)
    [(pager, step)] = incident.steps()
    claimed = incident.claimed(pager, token, now, LEASE)
    event = Event("firing", claimed, None, incident.alert_source)
    outcome = gateway.provider.send(event, deadline=deadline)
    _log(claimed, pager, step, outcome, now)
    return claimed.delivered(pager, token, now, outcome.detail) if outcome.delivered else None


def _remake(
    gateway: Gateway, unit: UnitOfWork, incident_id: str, pagers: Sequence[Destination], title: str | None
) -> Incident:
    named = dict.fromkeys([*pagers, *gateway.store.agenda.pagers_of(incident_id)])
    wanted = [pager for pager in named if pager != ITSELF] or [gateway.pager("default")]

    def work(unit: UnitOfWork) -> Incident:
        return unit.get(incident_id) or unit.save(
            Incident.lost(
                incident_id,
                gateway.clock(),
                title=title or f"Incident {incident_id}",
                pagers=wanted,
                subscriptions=gateway.channels.subscriptions(),
            )
        )

    log.error("record_lost", incident=incident_id)
    return gateway.update(work, unit)


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
