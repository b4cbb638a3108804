"""Sends what an incident owes: claim, send, write down how it ended, choose the next attempt."""

from __future__ import annotations

import secrets
import time
from datetime import datetime, timedelta

from app import backoff
from app.gateway import Gateway
from app.incident import Incident, Kind, NotAllowed
from app.providers import Event, Outcome
from app.store import Draft
from app.telemetry import log

# Longer than an attempt may take (connect 3 s, whole 10 s), so that a lease only runs out on a dead worker.
LEASE = timedelta(seconds=15)
# From just before the claim; what has not left by then must not leave at all: the lease is about to end.
ATTEMPT_SECONDS = 13.0

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
MISCONFIGURED_PAUSE = 300.0
GIVE_UP_AFTER = timedelta(hours=24)


def deliver(
    gateway: Gateway, incident_id: str, alert_source: str | None = None, title: str | None = None
) -> None:
    """Send what the incident owes, if it is due and nobody else is sending it.

    1. Read it; a record that is gone is made anew and paged: nobody is known to have acknowledged it.
    2. Ask the rate budget; without permission it is parked, and the sweep calls again.
    3. Claim it for a lease, with the attempt on its timeline.
    4. Send, and write down the outcome with the time of the next attempt.

    Called at any time, by any number of workers at once, for any ID. Raises `app.store.Unavailable`: then the
    lease runs out, and the event is sent again under the same deduplication key.
    """
    draft = gateway.store.incidents.draft([incident_id])
    incident = draft.get(incident_id)
    if incident is None:
        if gateway.store.retention.was_forgotten(incident_id):
            # A message that came late, about what was over long ago.
            return
        incident = _remake(gateway, draft, incident_id, alert_source, title)
    if alert_source not in (None, incident.alert_source):
        gateway.store.agenda.leave(alert_source, incident_id)
    if not incident.is_due(gateway.clock()):
        return
    token, limits = secrets.token_hex(8), gateway.limits(incident.alert_source)
    if not gateway.store.agenda.take(incident, limits, gateway.clock(), token):
        log.info("not_sent_now", incident=incident_id, alert_source=incident.alert_source)
        return
    deadline = time.monotonic() + ATTEMPT_SECONDS
    try:
        claimed = _claim(gateway, draft, incident, token)
    except NotAllowed:
        # Acknowledged, resolved or claimed by another worker since it was read.
        return
    _attempt(gateway, draft, claimed, token, deadline)


def _claim(gateway: Gateway, draft: Draft, incident: Incident, token: str) -> Incident:
    def work(draft: Draft) -> Incident:
        return draft.put(_stored(gateway, draft, incident).claimed(token, gateway.clock(), LEASE))

    return gateway.change(work, draft)


def deliver_unstored(gateway: Gateway, incident: Incident, now: datetime, deadline: float) -> Incident | None:
    """Page for an incident that can't be stored; what became of it, or None when it did not get through.

    There is no second attempt and no page to acknowledge on. `deadline`: of `time.monotonic()`, seconds.
    """
    token = secrets.token_hex(8)
    claimed = incident.claimed(token, now, LEASE)
    outcome = gateway.provider.send(Event("firing", claimed, page_url=None), deadline=deadline)
    _tell(claimed, "firing", outcome, now)
    return claimed.delivered(token, now, outcome.detail) if outcome.verdict == "delivered" else None


def _attempt(gateway: Gateway, draft: Draft, incident: Incident, token: str, deadline: float) -> None:
    kind = incident.claim.kind if incident.claim else "firing"
    page_url = gateway.links.url(incident.id, gateway.clock())
    outcome = gateway.provider.send(Event(kind, incident, page_url), deadline=deadline)
    now = gateway.clock()
    pause = pause_after(outcome, incident.failures)
    _tell(incident, kind, outcome, now)
    if outcome.hold_all:
        source = incident.alert_source
        gateway.store.agenda.hold_back(source, gateway.limits(source), now + pause, now)

    def work(draft: Draft) -> Incident:
        return draft.put(recorded(_stored(gateway, draft, incident), token, kind, outcome, now, pause))

    try:
        gateway.change(work, draft)
    except NotAllowed as error:
        log.warning("attempt_not_noted", incident=incident.id, reason=str(error))


def _stored(gateway: Gateway, draft: Draft, incident: Incident) -> Incident:
    """As it is stored; a record that was lost meanwhile is written again from what this worker has in hand.

    Raises `NotAllowed` if it was removed, as one that was over long ago: the worker had been stopped.
    """
    stored = draft.get(incident.id)
    if stored is None and gateway.store.retention.was_forgotten(incident.id):
        raise NotAllowed("The incident was over, and removed long ago.")
    return stored or incident


def recorded(
    incident: Incident, token: str, kind: Kind, outcome: Outcome, now: datetime, pause: timedelta
) -> Incident:
    """The incident after its attempt ended with this outcome; `pause` until the next one, if there is one."""
    if outcome.verdict == "delivered":
        return incident.delivered(token, now, outcome.detail, kind)
    misconfigured = outcome.verdict == "misconfigured"
    # From the first attempt in vain on: a page that was due while no worker lived has its day yet to come.
    too_old = incident.failing_since is not None and now - incident.failing_since >= GIVE_UP_AFTER
    give_up = too_old and not misconfigured
    return incident.refused(
        token,
        now,
        outcome.detail,
        reason=outcome.reason,
        again_at=None if give_up else now + pause,
        failed=misconfigured or give_up,
        uncertain=outcome.uncertain,
    )


def pause_after(outcome: Outcome, failures: int) -> timedelta:
    """How long to wait before the next attempt, after `failures` earlier ones in a row."""
    if outcome.verdict == "misconfigured":
        return timedelta(seconds=MISCONFIGURED_PAUSE)
    return backoff.pause(failures, first=FIRST_PAUSE, longest=LONGEST_PAUSE, not_before=outcome.not_before)


def _remake(
    gateway: Gateway, draft: Draft, incident_id: str, alert_source: str | None, title: str | None
) -> Incident:
    def work(draft: Draft) -> Incident:
        return draft.get(incident_id) or draft.put(
            Incident.lost(
                incident_id,
                gateway.clock(),
                title=title or f"Incident {incident_id}",
                alert_source=alert_source or "default",
            )
        )

    log.error("record_lost", incident=incident_id)
    return gateway.change(work, draft)


def _tell(incident: Incident, kind: Kind, outcome: Outcome, now: datetime) -> None:
    delivered = outcome.verdict == "delivered"
    tell = log.info if delivered else log.error
    tell(
        "event_sent" if delivered else "event_failed",
        incident=incident.id,
        kind=kind,
        owed_for=round((now - incident.owed_since).total_seconds(), 3) if incident.owed_since else None,
        verdict=outcome.verdict,
        reason=outcome.reason,
        alert_source=incident.alert_source,
        attempt=incident.attempts,
        detail=outcome.detail,
    )
