"""Summaries: in a storm, one message to a channel about all that waits for a turn of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from app.bootstrap import Services
from app.delivery.retry import NOTIFICATIONS
from app.delivery.service import Job
from app.destinations.base import Summary
from app.domain.alert import rank
from app.domain.delivery import Delivery, Destination, InvalidTransition, Outcome, Step
from app.domain.incident import Incident
from app.domain.subscription import IN_WORDS, ChangeEvent, change_event
from app.domain.timeline import Entry
from app.store import Store
from app.telemetry import log

# Longer than a channel may take, 15 s.
LEASE = timedelta(seconds=20)

# It is not configured any more; or not yet in this worker, when another one knows it already.
UNKNOWN = Outcome("try_again", "no such channel is configured here", "not_found")

# So many incidents are named in a summary, and so many are read at a time.
NAMED = 10
READ_AT_ONCE = 100


class SummaryJob(Job):
    """One channel's next summary. How it is going is kept beside the incidents, not in them."""

    lease = LEASE

    def __init__(self, services: Services, channel: Destination) -> None:
        self._services = services
        self._store = services.store.notifications
        self._channel = channel
        self._delivery = self._store.summary(channel)
        self._named = 0

    def next_step(self) -> Step:
        """See `Job`, as for the others."""
        now, claim = self._services.clock(), self._delivery.claim
        moments = [moment for moment in (self._delivery.retry_at, claim.until if claim else None) if moment]
        return Step("summary", now, max(moments, default=now), through=1)

    def postpone(self, step: Step | None) -> None:
        """It is under way elsewhere, or in a pause."""
        if step is not None:
            self._store.postpone_summary(self._channel, step.at)

    def claim(self, token: str) -> Step:
        """From now on it is about all that waits."""
        step, now = self.next_step(), self._services.clock()
        claimed = self._delivery.claimed(step, token, now, LEASE)
        if not self._store.save_summary(self._channel, self._delivery, claimed, now + LEASE):
            raise InvalidTransition("Another worker sends this summary.")
        self._delivery = claimed
        self._store.hold(self._channel, now)
        return step

    def send(self, step: Step, deadline: float) -> Outcome:
        """Counts of all, and the most severe by name."""
        summary = self._summary(self._store.held(self._channel))
        self._named = summary.total
        if not summary.total:
            return Outcome("delivered")
        found = self._services.channels.channel(self._channel)
        return UNKNOWN if found is None else found[0].send(summary, found[1])

    def record(self, step: Step, token: str, outcome: Outcome, now: datetime) -> None:
        """A summary that is given up takes with it what waited for as long as it was tried."""
        again_at = None if outcome.delivered else NOTIFICATIONS.again_at(self._delivery, outcome, now)
        if again_at is not None:
            after = self._delivery.refused(now, outcome, again_at)
            self._store.save_summary(self._channel, self._delivery, after, again_at, "failed")
        else:
            began = now if self._delivery.claim is None else self._delivery.claim.until - LEASE
            until = began if outcome.delivered else began - NOTIFICATIONS.give_up_after
            count = ("delivered" if outcome.delivered else "failed") if self._named else None
            self._store.end_summary(self._channel, self._delivery, began, until, count)
        if self._named:
            name = "summary_sent" if outcome.delivered else "summary_failed"
            log_notified(name, self._channel, self._delivery, outcome, again_at, incidents=self._named)

    def _summary(self, held: Sequence[str]) -> Summary:
        counts: Counter[ChangeEvent] = Counter()
        named: list[tuple[ChangeEvent, Incident]] = []
        for some in _some(held):
            waiting = list(self._waiting(some))
            counts.update(event for event, _ in waiting)
            named = sorted([*named, *waiting], key=lambda one: rank(one[1].severity))[:NAMED]
        return Summary(
            incidents=named,
            total=counts.total(),
            counts=counts.most_common(),
            now=self._services.clock(),
            dashboard_url=f"{self._services.config.public_base}/",
        )

    def _waiting(self, ids: Sequence[str]) -> Iterator[tuple[ChangeEvent, Incident]]:
        # Nothing is claimed here that could compare the list of silences, so it must be the newest.
        silences = self._services.store.silences.read()
        unit = self._services.store.incidents.unit_of_work(ids, channels=True)
        now, under_way = self._services.clock(), {}
        for incident_id in ids:
            incident = unit.get(incident_id)
            delivery = unit.delivery(incident_id, self._channel)
            step = incident.next_step(self._channel, delivery) if incident is not None else None
            if step is not None and step.at > now:
                # A message of its own is being sent; what came meanwhile follows it.
                under_way[incident_id] = step.at
            elif incident and step and (silence := incident.silence_in(silences, now)):
                under_way[incident_id] = silence.until
            elif incident is not None and step is not None:
                yield change_event(step.event), incident
        if under_way:
            self._store.release(self._channel, under_way)


def log_notified(
    name: str,
    channel: Destination,
    claimed: Delivery,
    outcome: Outcome,
    again_at: datetime | None,
    **about: object,
) -> None:
    """Log how an attempt to send something to a channel ended; `about`: what it was."""
    (log.info if outcome.delivered else log.warning)(
        name,
        channel=channel,
        **about,
        attempt=claimed.failures + 1,
        detail=outcome.detail or None,
        again_at=again_at.isoformat() if again_at else None,
    )


def _some(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + READ_AT_ONCE] for start in range(0, len(ids), READ_AT_ONCE))


def in_summaries(
    store: Store, incident: Incident, channel: Destination, delivery: Delivery
) -> Iterator[Entry]:
    """The lines for the timeline about changes that were in a summary, and not in a message since.

    A summary is written down once for its channel, not with each of its incidents. Raises `StoreUnavailable`.
    """
    while step := incident.next_step(channel, delivery):
        failed = delivery.claim is not None or delivery.retry_at is not None
        found = store.notifications.summarized(channel, step.at if failed else step.since)
        then = found and replace(incident, changes=tuple(c for c in incident.changes if c.at <= found.until))
        newest = then and then.next_step(channel, delivery)
        if not found or not newest:
            return
        about = f"{channel} {IN_WORDS[change_event(newest.event)]}, in a summary"
        if found.sent:
            yield Entry(found.at, "notified", about)
        else:
            yield Entry(found.at, "not_notified", f"{about}: given up")
        delivery = Delivery(notified_through=newest.through)
