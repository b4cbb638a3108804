"""What is to be sent and when: the due list, the sweep's checks, rate budgets, pauses, living workers.

Sorted sets of members `<incident> <destination>`: `due` holds every pager's delivery that has a next step, by
its time; `queue:<destination>` the same for each destination, by urgency and then time; `next_check` says
when the sweep is to check it next, which is later than due when a message was published, and earlier when
none was. What is due but not in `next_check` is deferred: over budget or paused, until its turn comes.
`pagers` names the destinations with a queue. `refused` holds what failed, by when its event was first needed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf

from app.domain.alert import SEVERITIES
from app.domain.delivery import Delivery, Destination, Step
from app.domain.incident import Incident
from app.domain.record import ITSELF
from app.store.connection import PREFIX, Command, Connection
from app.store.lua import lua

DUE = PREFIX + "due"
NEXT_CHECK = PREFIX + "next_check"
FAILING = PREFIX + "failing"
QUEUE = PREFIX + "queue:"
SENT = PREFIX + "sent:"
PAUSED = PREFIX + "paused_until:"
OBSERVED = PREFIX + "observed:"
PROBES = PREFIX + "probes"
PAGERS = PREFIX + "pagers"
WORKERS = PREFIX + "workers"
ACQUIRED = PREFIX + "acquired"
HEARTBEAT = PREFIX + "heartbeat"
LAST_HEARTBEAT = PREFIX + "last_heartbeat"
FAILED_IN_A_ROW = PREFIX + "failed_in_a_row"

# A little less than the 30 s between two heartbeats, since workers check once a second.
HEARTBEAT_SECONDS = 29.5

# How long an enqueued incident may be late before the sweep acts; how long before it is due the sweep
# enqueues one for which no message was published.
GRACE_SECONDS = 0.5
GRACE = timedelta(seconds=GRACE_SECONDS)
AHEAD = timedelta(seconds=10)

# Checks of the same incident grow apart to so many seconds.
CHECK_AGAIN_SECONDS = 10.0

# A minute as the provider's clock may see it, with room for requests that travel at unequal speed.
WINDOW_SECONDS = 61

# The limit that answers 429 showed is remembered for so many seconds after the last one. Events that probe
# whether the provider takes more are so many seconds apart, at first and at last.
OBSERVED_SECONDS = 300
FIRST_GAP, LONGEST_GAP = 1.0, 4.0
# What was sent in so many seconds before a first refusal may be a burst of its own.
MOMENT = 2.0

NO_LIMIT = 10**9

# Where not all that is due may leave within the minute, so many of the more urgent may still be waiting for a
# worker when an incident is taken: as many as workers have on their way at a time. One that got stuck must
# not hold up all behind it.
AHEAD_AT_MOST = 100

Limit = tuple[str, int]
"""Name of a budget, and how many events a minute it allows; 0: no limit, they are only counted."""

# Ranks of one urgency lie this far apart; times, in seconds, stay below it until 2286.
SPAN = 10**10
URGENCIES = len(SEVERITIES) + 1


@dataclass(frozen=True, slots=True)
class DueDelivery:
    """A pager's delivery that the sweep is to enqueue, and when it is (or was) due, Unix time."""

    incident_id: str
    pager: Destination
    due_at: float
    deferred: bool = False
    """Its turn has come after it had to wait; nobody else will enqueue it."""


def moved(before: Incident | None, after: Incident) -> Iterator[datetime]:
    """The times of steps that are new; what is claimed has its worker already."""
    for pager, step in after.steps():
        was = before.next_step(pager) if before is not None else None
        if _has(after, pager).claim is None and (was is None or was.at != step.at):
            yield step.at


def index(before: Incident | None, after: Incident, *, enqueue_at: datetime | None) -> Iterator[Command]:
    """The commands that bring the delivery queue in line with an incident; part of the step that writes it.

    `enqueue_at`: the time for which a message is published, which leads a worker to what is due by then.
    """
    for pager in (*after.pagers, ITSELF):
        had, delivery = Delivery() if before is None else _has(before, pager), _has(after, pager)
        was = None if before is None else before.next_step(pager)
        step = after.next_step(pager)
        # The queue may still have what a record that was lost had there: of this incident, or of a pager.
        joined = before is not None and pager != ITSELF and pager not in before.pagers
        if was is None and step is None and had == delivery and (before is not None or _is_new(after)):
            continue
        member = member_of(after.id, pager)
        yield from _ended(had, delivery, step, member)
        if before is not None and was == step and not joined:
            if step is not None and before.urgency(step) != after.urgency(step):
                yield "ZADD", QUEUE + pager, "XX", _rank(after, step), member
        elif step is None:
            yield from (("ZREM", key, member) for key in (DUE, NEXT_CHECK, QUEUE + pager))
        else:
            yield "ZADD", DUE, step.at.timestamp(), member
            yield "ZADD", NEXT_CHECK, _check_at(delivery, step, enqueue_at).timestamp(), member
            yield "ZADD", QUEUE + pager, _rank(after, step), member
            yield "SADD", PAGERS, pager


def _is_new(incident: Incident) -> bool:
    """It was received, and waits; one that replaces a record that was lost has more behind it."""
    return len(incident.timeline) <= 2


def _has(incident: Incident, destination: Destination) -> Delivery:
    return incident.pagers.get(destination, Delivery())


def _check_at(delivery: Delivery, step: Step, enqueue_at: datetime | None) -> datetime:
    if delivery.claim is not None:
        return step.at
    return step.at + GRACE if enqueue_at is not None and step.at <= enqueue_at else step.at - AHEAD


def _ended(before: Delivery, after: Delivery, step: Step | None, member: str) -> Iterator[Command]:
    """Only what failed costs a command: what never failed is overdue by its next attempt.

    An acknowledgement that a provider does not take is no sign that pages do not leave.
    """
    if after.failures and step is not None and step.event != "acknowledged":
        yield "ZADD", FAILING, step.since.timestamp(), member
    elif step is None or before.failures > 0:
        yield "ZREM", FAILING, member
    if before.claim is not None and after.claim is None:
        if before.claim.event != "acknowledged":
            yield ("DEL", FAILED_IN_A_ROW) if after.last_error is None else ("INCR", FAILED_IN_A_ROW)
        if after.last_reason != "rate_limited":
            yield "HDEL", PROBES, before.claim.token


def member_of(incident_id: str, pager: str) -> str:
    """What a pager's delivery is called in the sorted sets."""
    return f"{incident_id} {pager}"


class DeliveryQueue:
    """Questions and changes that are not part of an incident's record."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._due_checks = connection.script(lua("next_check", "due_checks"))
        self._acquire_slot = connection.script(lua("believed", "capacity", "acquire_slot"))
        self._next_ready = connection.script(lua("next_check", "believed", "capacity", "next_ready"))
        self._every = connection.script(lua("every"))
        self._back_off = connection.script(lua("back_off"))
        self._pending = 0
        self._pending_counted = float("-inf")

    # -- the sweeper -----------------------------------------------------------------------------

    def next_checks(self, now: datetime, count: int, again: float = CHECK_AGAIN_SECONDS) -> list[DueDelivery]:
        """Up to `count` incidents that are late, or soon due and not enqueued. Each is given out once, then
        again after a while (`again` seconds at the most): two workers that check at the same time share the
        work."""
        found = self._due_checks([NEXT_CHECK, DUE], [now.timestamp(), count, again, GRACE_SECONDS])
        return [_due_delivery(member, due) for member, due in found]

    def pagers(self, now: datetime) -> list[Destination]:
        """Pagers that are to be sent something; the one for which the most urgent is due comes first: several
        may share what an API key allows."""
        names = sorted(self._connection.call("SMEMBERS", PAGERS))
        classes = [urgency * SPAN for urgency in range(URGENCIES)]
        firsts = self._connection.calls(
            ("ZRANGEBYSCORE", QUEUE + name, first, first + now.timestamp(), "WITHSCORES", "LIMIT", 0, 1)
            for name in names
            for first in classes
        )
        ranks = [
            min((float(one[1]) for one in firsts[start : start + URGENCIES] if one), default=inf)
            for start in range(0, len(firsts), URGENCIES)
        ]
        return [Destination(name) for _, name in sorted(zip(ranks, names, strict=True))]

    def turns(
        self,
        limits: Mapping[Destination, Sequence[Limit]],
        now: datetime,
        count: int,
        again: float = CHECK_AGAIN_SECONDS,
    ) -> list[DueDelivery]:
        """Up to `count` deliveries of each of these pagers, with their limits, that are late or deferred and
        may be sent now, the most urgent of a pager first. As with `next_checks`, each is given out once, and
        again after a while."""
        calls = []
        for pager, of_pager in limits.items():
            keys, args = _budget(pager, of_pager, now)
            calls.append((keys, [*args, pager, URGENCIES, count, again, GRACE_SECONDS]))
        found = self._next_ready.each(calls)
        return [_due_delivery(member, due, deferred) for checks in found for member, due, deferred in checks]

    def pagers_of(self, incident_id: str) -> list[Destination]:
        """The pagers that are to be sent something about the incident, though its record may be gone."""
        names = sorted(self._connection.call("SMEMBERS", PAGERS))
        scores = self._connection.calls([("ZSCORE", DUE, member_of(incident_id, name)) for name in names])
        return [Destination(name) for name, score in zip(names, scores, strict=True) if score is not None]

    # -- permission to send --------------------------------------------------------------------------

    def acquire_slot(
        self,
        incident: Incident,
        pager: Destination,
        step: Step,
        limits: Sequence[Limit],
        now: datetime,
        token: str,
    ) -> bool:
        """Whether the step may be sent now; if so it is counted, else deferred until its turn.

        Neither, if it is not due any more, or was given to somebody else a moment ago. Where not all that is
        due for the pager may leave, the more urgent go first.
        """
        keys, args = _budget(pager, limits, now)
        args += [member_of(incident.id, pager), _rank(incident, step), pager, token, AHEAD_AT_MOST]
        return bool(self._acquire_slot(keys, args))

    def back_off(
        self, pager: Destination, limits: Sequence[Limit], until: datetime, now: datetime, token: str
    ) -> None:
        """The provider refused the event with this token because there were too many.

        Every worker stays away from the pager until then (a longer pause stands); what is sent afterwards is
        adapted to what the provider took (`believed.lua`).
        """
        keys = [PAUSED + pager, OBSERVED + pager, *_windows(limits[:1])]
        learning = (OBSERVED_SECONDS, MOMENT, FIRST_GAP, LONGEST_GAP)
        self._back_off(keys, [until.timestamp(), now.timestamp(), token, *learning])

    def observes_limits(self, pagers: Iterable[Destination]) -> bool:
        """One of these pagers has answered 429 within the last minutes."""
        keys = [OBSERVED + pager for pager in pagers]
        return bool(keys) and self._connection.call("EXISTS", *keys) > 0

    def acquired(self) -> int:
        """How many incidents were taken since Redis began to count."""
        return int(self._connection.call("GET", ACQUIRED) or 0)

    # -- how things stand ----------------------------------------------------------------------------

    def pending(self) -> int:
        """Deliveries of pagers that have a next step, as counted within the last second."""
        if time.monotonic() - self._pending_counted > 1:
            self._pending = int(self._connection.call("ZCARD", DUE))
            self._pending_counted = time.monotonic()
        return self._pending

    def oldest_due(self) -> datetime | None:
        """When the event that waits longest was due, in the past when something is overdue.

        One that was refused is due since it was first needed, whenever its next attempt comes.
        """
        firsts = self._connection.calls([("ZRANGE", key, 0, 0, "WITHSCORES") for key in (DUE, FAILING)])
        scores = [float(first[1]) for first in firsts if first]
        return datetime.fromtimestamp(min(scores), UTC) if scores else None

    def worker_lives(self, name: str, now: datetime) -> None:
        """A worker says that it lives; names unheard of for a day are forgotten."""
        self._connection.calls(
            [
                ("ZADD", WORKERS, now.timestamp(), name),
                ("ZREMRANGEBYSCORE", WORKERS, "-inf", now.timestamp() - 86400),
            ]
        )

    def workers(self, now: datetime, within: timedelta) -> list[str]:
        """Names of the workers seen lately."""
        since = (now - within).timestamp()
        names: list[str] = self._connection.call("ZRANGEBYSCORE", WORKERS, since, "+inf")
        return names

    def failed_in_a_row(self) -> int:
        """How many attempts failed since the last one that got through."""
        return int(self._connection.call("GET", FAILED_IN_A_ROW) or 0)

    def acquire_heartbeat(self, now: datetime) -> bool:
        """True for one caller of all every 30 s."""
        return bool(self._every([HEARTBEAT], [now.timestamp(), HEARTBEAT_SECONDS]))

    def heartbeat_accepted(self, now: datetime) -> None:
        """The provider took the heartbeat. Raises `StoreUnavailable`."""
        self._connection.call("SET", LAST_HEARTBEAT, now.timestamp())


def _due_delivery(member: str, due: str, deferred: int = 0) -> DueDelivery:
    incident_id, _, pager = member.partition(" ")
    return DueDelivery(incident_id, Destination(pager), float(due), bool(deferred))


def _rank(incident: Incident, step: Step) -> float:
    """The smaller goes first: by urgency, then by time."""
    return incident.urgency(step) * SPAN + step.at.timestamp()


def _budget(
    pager: Destination, limits: Sequence[Limit], now: datetime
) -> tuple[list[str], list[str | float]]:
    keys = [QUEUE + pager, PAUSED + pager, OBSERVED + pager, NEXT_CHECK, PAGERS, DUE, ACQUIRED, PROBES]
    per_minute = [limit or NO_LIMIT for _, limit in limits]
    return [*keys, *_windows(limits)], [now.timestamp(), WINDOW_SECONDS, SPAN, *per_minute]


def _windows(limits: Sequence[Limit]) -> list[str]:
    return [SENT + name for name, _ in limits]
