"""Pages without a claim, while Redis does not take writes: sent first, and stored once it does.

If no pager takes one, the channels are notified in the same way.

What is sent carries the key that it always has, so that a page which somebody else sent too is one alert.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from app.bootstrap import Services
from app.delivery.page_job import ATTEMPT_SECONDS, LEASE, SIZE, PageJob, kind_of, log_attempt
from app.delivery.retry import PAGES
from app.delivery.summaries import NAMED, UNKNOWN
from app.destinations.base import Message, Summary
from app.domain.alert import rank
from app.domain.delivery import Destination, Outcome, Step
from app.domain.incident import Incident
from app.domain.subscription import ChangeEvent
from app.store import UnitOfWork


def page_stored(
    services: Services, unit: UnitOfWork, incident: Incident, pager: Destination, step: Step
) -> Incident:
    """Send a pager what is due for an incident that can be read; the incident as it is then.

    Whether the pager has the page, or may have it, is stored later. Raises `StoreUnavailable` before it is
    sent.
    """
    now, deadline = services.clock(), time.monotonic() + ATTEMPT_SECONDS
    ended = _sent(PageJob(services, unit, incident, pager), incident, pager, step, now, deadline, again=True)

    def work(unit: UnitOfWork) -> None:
        stored = unit.get(incident.id)
        if stored is not None:
            unit.save(stored.sent_unclaimed({pager: ended.pagers[pager]}, ended.changed_at))

    key = incident.id, pager, step.event
    services.backlog.add(key, lambda: services.update(work, ids=[incident.id]), SIZE)
    return ended


def page_unstored(services: Services, incident: Incident, now: datetime, deadline: float) -> Incident | None:
    """Page for what can't be stored, and try its fallback if that fails; None when no pager took it.

    There is no second attempt and no link to acknowledge with. `deadline`: of `time.monotonic()`, seconds,
    for the whole chain.
    """
    services, left = replace(services, clock=lambda: now), 1 + len(incident.fallback)
    while due := next(incident.steps(), None):
        page = PageJob(services, UnitOfWork(), incident, due[0], linked=False)
        share = (deadline - time.monotonic()) / max(1, left)
        # A fallback is due since the attempt before it ended.
        at = max(now, due[1].at)
        incident = _sent(page, incident, *due, at, time.monotonic() + share, again=False)
        left -= 1
    return incident if incident.escalated_at is not None else None


def notify_stuck(services: Services, channel: Destination, incidents: Sequence[Incident]) -> Outcome:
    """Notify a channel that these pages do not get out, of several in one message. Nothing is stored."""
    found, now = services.channels.channel(channel), services.clock()
    if found is None:
        return UNKNOWN
    stuck = sorted(((_late_event(one), one) for one in incidents), key=lambda each: rank(each[1].severity))
    if len(stuck) == 1:
        event, incident = stuck[0]
        link = services.links.url(incident.id, now)
        return found[0].send(Message(event, incident, now, link), found[1])
    counts = Counter(event for event, _ in stuck).most_common()
    dashboard = f"{services.config.public_base}/"
    return found[0].send(Summary(stuck[:NAMED], len(stuck), counts, now, dashboard), found[1])


def _late_event(incident: Incident) -> ChangeEvent:
    """Whether its page failed for good, or is late."""
    return "failed" if incident.failed_at is not None else "late"


def _sent(
    page: PageJob,
    incident: Incident,
    pager: Destination,
    step: Step,
    now: datetime,
    deadline: float,
    *,
    again: bool,
) -> Incident:
    """The incident after an attempt; `again`: one that fails is followed by another."""
    token, began = secrets.token_hex(8), time.monotonic()
    claimed = incident.claimed(pager, token, now, LEASE)
    outcome = page.send(step, deadline)
    now += timedelta(seconds=time.monotonic() - began)
    log_attempt(claimed, pager, step, outcome, now)
    if outcome.delivered:
        return claimed.delivered(pager, token, now, outcome.detail, kind_of(step), outcome.reference)
    again_at = PAGES.again_at(claimed.pagers[pager], outcome, now) if again else None
    return claimed.refused(pager, token, now, outcome, again_at)
