"""Tells people: claim a notice, send it through its channel, write down how it ended, choose the next try."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from app import backoff
from app.alert import SEVERITIES
from app.channels import Message, Summary, Told
from app.gateway import Gateway
from app.incident import Incident
from app.notice import SUMMARY, News, Notice
from app.store import Claimed, Draft
from app.telemetry import log

# Longer than a channel may take (15 s), so that a lease only runs out on a dead worker.
LEASE = timedelta(seconds=20)

# It is configured no more; or not yet in this worker, when another one knows it already.
UNKNOWN = Told(ok=False, detail="no such channel is configured here")

FIRST_PAUSE = 5.0
LONGEST_PAUSE = 300.0
GIVE_UP_AFTER = timedelta(hours=1)

# Between two summaries of a storm.
SUMMARY_PAUSE = timedelta(seconds=60)
# So many incidents are named in a summary, and so many are written to at a time.
NAMED = 10
AT_ONCE = 100

WORDS: dict[News, str] = {
    "created": "of the new incident",
    "severity_raised": "that it became more severe",
    "acknowledged": "of the acknowledgement",
    "escalated": "that the page went out",
    "failed": "that the page failed",
    "resolved": "that it is resolved",
}


def tell(gateway: Gateway, notice: Notice) -> None:
    """Tell one target one piece of news, unless it was told, is being told, or a storm holds it back.

    Called at any time, by any number of workers at once. Whoever dies in the middle leaves a lease that runs
    out; then the target may be told twice. Raises `Unavailable`.
    """
    now = gateway.clock()
    claimed = gateway.store.notices.claim(notice, now, LEASE, secrets.token_hex(8))
    if claimed is None:
        return
    if notice.news == SUMMARY:
        _summarise(gateway, claimed)
    else:
        _tell_of_one(gateway, claimed, now)


def _tell_of_one(gateway: Gateway, claimed: Claimed, now: datetime) -> None:
    notice = claimed.notice
    incident, found = gateway.store.incidents.get(notice.incident_id), gateway.channels.channel(notice.target)
    if incident is None:
        # There is nothing left to tell of.
        gateway.store.notices.ended(claimed, now, None)
        return
    if found is None:
        _ended(gateway, claimed, UNKNOWN, [notice])
        return
    channel, address = found
    message = Message(
        news=_news(notice),
        incident=incident,
        now=now,
        ack_url=gateway.links.url(incident.id, now) if incident.can_be_acknowledged else None,
        subject=incident.mail_subject,
        reference=gateway.store.notices.reference(notice),
    )
    told = channel.send(message, address)
    if told.reference is not None and told.reference != message.reference:
        gateway.store.notices.remember(notice, told.reference)
    _ended(gateway, claimed, told, [notice])


def _summarise(gateway: Gateway, claimed: Claimed) -> None:
    target = claimed.notice.target
    held, found = gateway.store.notices.held(target), gateway.channels.channel(target)
    if not held:
        told = Told(ok=True)
    elif found is None:
        told = UNKNOWN
    else:
        channel, address = found
        told = channel.summarise(_summary(gateway, held), address)
    _ended(gateway, claimed, told, held)


def _summary(gateway: Gateway, held: Sequence[Notice]) -> Summary:
    counts = Counter(_news(notice) for notice in held)
    named: list[tuple[News, Incident]] = []
    for some in _some(held):
        draft = gateway.store.incidents.draft([notice.incident_id for notice in some])
        incidents = [(_news(notice), draft.get(notice.incident_id)) for notice in some]
        named += [(news, incident) for news, incident in incidents if incident is not None]
        named = sorted(named, key=lambda one: SEVERITIES.index(one[1].severity or "medium"))[:NAMED]
    return Summary(
        incidents=named,
        total=len(held),
        counts=counts.most_common(),
        now=gateway.clock(),
        dashboard_url=f"{gateway.config.public_base}/",
    )


def _ended(gateway: Gateway, claimed: Claimed, told: Told, notices: Sequence[Notice]) -> None:
    now = gateway.clock()
    target = claimed.notice.target
    given_up = not told.ok and (not told.again or now - claimed.since >= GIVE_UP_AFTER)
    done = told.ok or given_up
    pause = backoff.pause(
        claimed.tries - 1, first=FIRST_PAUSE, longest=LONGEST_PAUSE, not_before=told.not_before
    )
    again_at = None if done else now + pause
    if done and claimed.notice.news == SUMMARY:
        if given_up and told.again:
            # What was held back only lately has its hour yet to come.
            notices = gateway.store.notices.held(target, now - GIVE_UP_AFTER)
        gateway.store.notices.summarised(target, notices, now)
        again_at = now + SUMMARY_PAUSE
    gateway.store.notices.ended(claimed, now, again_at, anew=done)
    gateway.store.notices.count(target, "told" if told.ok else "failed")
    (log.info if told.ok else log.warning)(
        "told" if told.ok else "not_told",
        target=target,
        news=claimed.notice.news,
        incident=claimed.notice.incident_id or None,
        incidents=len(notices) if claimed.notice.news == SUMMARY else None,
        attempt=claimed.tries,
        detail=told.detail or None,
        again_at=again_at.isoformat() if again_at and not told.ok else None,
    )
    # Tries in between would push what matters off the timeline.
    if done or claimed.tries == 1:
        _note(gateway, notices, told, given_up, summary=claimed.notice.news == SUMMARY, now=now)


def _note(
    gateway: Gateway, notices: Sequence[Notice], told: Told, given_up: bool, *, summary: bool, now: datetime
) -> None:
    """Write on each timeline what became of its notice."""
    event = "told" if told.ok else "not_told"
    then = "" if told.ok else f": {told.detail}, {'given up' if given_up else 'will try again'}"
    in_summary = ", in a summary" if summary and told.ok else ""

    for some in _some(notices):

        def work(draft: Draft, some: Sequence[Notice] = some) -> None:
            for notice in some:
                incident = draft.get(notice.incident_id)
                if incident is not None:
                    detail = f"{notice.target} {WORDS[_news(notice)]}{in_summary}{then}"
                    draft.put(incident.noted(now, event, detail))

        gateway.change(work, ids=[notice.incident_id for notice in some])


def _some(notices: Sequence[Notice]) -> Iterator[Sequence[Notice]]:
    return (notices[start : start + AT_ONCE] for start in range(0, len(notices), AT_ONCE))


def _news(notice: Notice) -> News:
    return next(news for news in WORDS if news == notice.news)
