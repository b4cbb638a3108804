"""What is to be sent and when: the due list, the sweep's looks, rate budgets, pauses, living workers.

Sorted sets: `due` holds every incident that owes an event, by its next attempt; `queue:<alert source>` the
same for each alert source, by urgency and then next attempt; `look` tells when the sweep shall look at it
next, which is later than due when a message was published, and earlier when none was. What is due but not in
`look` is parked: over budget or paused, until its turn comes. `sources` names the alert sources with a queue.
`refused` holds what was attempted in vain, by when its event was first owed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf

from app.alert import SEVERITIES
from app.incident import Incident
from app.store import scripts
from app.store.connection import PREFIX, Command, Connection

DUE = PREFIX + "due"
LOOK = PREFIX + "look"
REFUSED = PREFIX + "refused"
QUEUE = PREFIX + "queue:"
SENT = PREFIX + "sent:"
HELD_BACK = PREFIX + "pause:"
LEARNED = PREFIX + "learned:"
SOURCES = PREFIX + "sources"
WORKERS = PREFIX + "workers"
TAKEN = PREFIX + "taken"
HEARTBEAT = PREFIX + "heartbeat"
LAST_HEARTBEAT = PREFIX + "last_heartbeat"
FAILED = PREFIX + "failed_in_a_row"

# A little less than the 30 s between two heartbeats, since workers look once a second.
HEARTBEAT_MILLISECONDS = 29_500

# How long an announced incident may be late before the sweep minds; how long before it is due the sweep
# announces one for which no message was published.
GRACE = timedelta(seconds=scripts.GRACE_SECONDS)
AHEAD = timedelta(seconds=10)

# Looks at the same incident grow apart to so many seconds.
LOOK_AGAIN = 10.0

# A minute as the provider's clock may see it, with room for requests that travel at unequal speed.
WINDOW_SECONDS = 61

# What a 429 teaches is never less than the limit that incident.io documents: one that comes sooner speaks of
# something else, and must not slow us down for a minute.
LEAST_LEARNED = 120

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
class Look:
    """An incident that the sweep shall announce, and when it is (or was) due, Unix time."""

    incident_id: str
    due_at: float
    parked: bool = False
    """Its turn has come after it had to wait; nobody else will announce it."""


def _refused(before: Incident | None, after: Incident) -> Iterator[Command]:
    """Only what failed costs a command: what never failed is overdue by its next attempt."""
    if after.failures and after.owed_since is not None:
        yield "ZADD", REFUSED, after.owed_since.timestamp(), after.id
    elif after.next_attempt_at is None or (before is not None and before.failures > 0):
        yield "ZREM", REFUSED, after.id


def index(before: Incident | None, after: Incident, *, announced: bool) -> Iterator[Command]:
    """The commands that bring the agenda in line with an incident; part of the step that writes it."""
    yield from _refused(before, after)
    queue = QUEUE + after.alert_source
    if before is not None and before.claim is not None and after.claim is None:
        # The attempt ended, one way or the other.
        yield ("DEL", FAILED) if after.last_error is None else ("INCR", FAILED)
    if before is not None and before.next_attempt_at == after.next_attempt_at:
        if after.owes is not None and before.urgency != after.urgency:
            yield "ZADD", queue, "XX", _rank(after), after.id
    elif after.next_attempt_at is None:
        # Also for a new record: it may replace one that was lost, and whose traces are still here.
        yield from (("ZREM", key, after.id) for key in (DUE, LOOK, queue))
    else:
        look_at = after.next_attempt_at
        if announced:
            look_at += GRACE
        elif after.claim is None:
            look_at -= AHEAD
        yield "ZADD", DUE, after.next_attempt_at.timestamp(), after.id
        yield "ZADD", LOOK, look_at.timestamp(), after.id
        yield "ZADD", queue, _rank(after), after.id
        yield "SADD", SOURCES, after.alert_source


class Agenda:
    """Questions and changes that are not part of an incident's record."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._look = connection.script(scripts.LOOK)
        self._take = connection.script(scripts.TAKE)
        self._turn = connection.script(scripts.TURN)
        self._hold_back = connection.script(scripts.HOLD_BACK)
        self._pending = 0
        self._pending_counted = float("-inf")

    # -- the second hand -----------------------------------------------------------------------------

    def looks(self, now: datetime, count: int, again: float = LOOK_AGAIN) -> list[Look]:
        """Up to `count` incidents that are late, or soon due and not announced. Each is given out once, then
        again after a while (`again` seconds at the most): two workers that look at the same time share the
        work."""
        found = self._look([LOOK, DUE], [now.timestamp(), count, again])
        return [Look(incident_id, float(due)) for incident_id, due in found]

    def sources(self, now: datetime) -> list[str]:
        """Alert sources for which something is owed; the one for which the most urgent is due comes first:
        several may share what an API key allows."""
        names = sorted(self._connection.call("SMEMBERS", SOURCES))
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
        return [name for _, name in sorted(zip(ranks, names, strict=True))]

    def turn(
        self, source: str, limits: Sequence[Limit], now: datetime, count: int, again: float = LOOK_AGAIN
    ) -> list[Look]:
        """Up to `count` incidents of this alert source that are late or parked and may be sent now, the most
        urgent first. As with `looks`, each is given out once, and again after a while."""
        keys, args = _budget(source, limits, now)
        found = self._turn(keys, [*args, source, URGENCIES, count, again])
        return [Look(incident_id, float(due), bool(parked)) for incident_id, due, parked in found]

    def leave(self, source: str, incident_id: str) -> None:
        """Take an incident out of a queue that it is not in any more: its record was lost, and made anew."""
        self._connection.call("ZREM", QUEUE + source, incident_id)

    # -- permission to send --------------------------------------------------------------------------

    def take(self, incident: Incident, limits: Sequence[Limit], now: datetime, token: str) -> bool:
        """Whether the incident may be sent now; if so it is counted, else parked until its turn.

        Neither, if it is not due any more, or was given to somebody else a moment ago. Where not all that is
        due for the alert source may leave, the more urgent go first.
        """
        keys, args = _budget(incident.alert_source, limits, now)
        args += [incident.id, _rank(incident), incident.alert_source, token, AHEAD_AT_MOST]
        return bool(self._take(keys, args))

    def hold_back(self, source: str, limits: Sequence[Limit], until: datetime, now: datetime) -> None:
        """The provider refused an event because there were too many.

        Every worker stays away from the alert source until then (a longer pause stands), and for a minute
        sends no more within a minute than the provider took this time.
        """
        keys = [HELD_BACK + source, LEARNED + source, *_windows(limits[:1])]
        seconds = max(1, int((until - now).total_seconds()) + 1)
        self._hold_back(keys, [until.timestamp(), seconds, LEAST_LEARNED, WINDOW_SECONDS])

    def taken(self) -> int:
        """How many incidents were taken since Redis began to count."""
        return int(self._connection.call("GET", TAKEN) or 0)

    # -- how things stand ----------------------------------------------------------------------------

    def pending(self) -> int:
        """Incidents that owe an event, as counted within the last second."""
        if time.monotonic() - self._pending_counted > 1:
            self._pending = int(self._connection.call("ZCARD", DUE))
            self._pending_counted = time.monotonic()
        return self._pending

    def oldest_due(self) -> datetime | None:
        """When the event that waits longest was due, in the past when something is overdue.

        One that was refused is due since it was owed first, whenever its next attempt comes.
        """
        firsts = self._connection.calls([("ZRANGE", key, 0, 0, "WITHSCORES") for key in (DUE, REFUSED)])
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
        return int(self._connection.call("GET", FAILED) or 0)

    def heartbeat_turn(self) -> bool:
        """True for one caller of all every 30 s."""
        taken = self._connection.call("SET", HEARTBEAT, "sent", "NX", "PX", HEARTBEAT_MILLISECONDS)
        return bool(taken)

    def heartbeat_accepted(self, now: datetime) -> None:
        """The provider took the heartbeat. Raises `Unavailable`."""
        self._connection.call("SET", LAST_HEARTBEAT, now.timestamp())


def _rank(incident: Incident) -> float:
    """The smaller goes first: by urgency, then by due time."""
    due = incident.next_attempt_at.timestamp() if incident.next_attempt_at else 0.0
    return incident.urgency * SPAN + due


def _budget(source: str, limits: Sequence[Limit], now: datetime) -> tuple[list[str], list[str | float]]:
    keys = [QUEUE + source, HELD_BACK + source, LEARNED + source, LOOK, SOURCES, DUE, TAKEN]
    per_minute = [limit or NO_LIMIT for _, limit in limits]
    return [*keys, *_windows(limits)], [now.timestamp(), WINDOW_SECONDS, SPAN, *per_minute]


def _windows(limits: Sequence[Limit]) -> list[str]:
    return [SENT + name for name, _ in limits]
