"""How things stand right now, in few round trips: for metrics and dashboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from app.incident import State
from app.store.agenda import (
    DUE,
    HELD_BACK,
    LAST_HEARTBEAT,
    LEARNED,
    REFUSED,
    SENT,
    WINDOW_SECONDS,
    WORKERS,
    Limit,
)
from app.store.connection import Command, Connection
from app.store.counters import COUNTS, LAST_PAGE, Counters, counted
from app.store.notices import NOTICES, TARGETS
from app.store.record import BY_STATE
from app.store.rejected import REJECTED

FETCHED = 1_000


@dataclass(frozen=True, slots=True)
class Budget:
    """What an alert source may still send within the minute; `limit` 0: there is none."""

    limit: int
    sent: int
    paused_until: float | None
    """After a 429, Unix time."""

    @property
    def left(self) -> int | None:
        """Events; None without a limit."""
        return max(0, self.limit - self.sent) if self.limit else None


@dataclass(frozen=True, slots=True)
class Gauges:
    """How things stand."""

    counters: Counters
    states: Mapping[State, int]
    """Incidents in each state."""
    pending: int
    """Incidents that owe an event."""
    overdue: int
    """Of these, how many are late, or were refused until now, for longer than `late`."""
    oldest_due: float | None
    """When the oldest of them was due, Unix time, in the past when it is late."""
    workers: int
    last_heartbeat: float | None
    """When the provider last accepted the heartbeat, Unix time."""
    rejected: int
    notices: Mapping[str, int]
    """Notices that wait, by target."""
    budgets: Mapping[str, Budget]
    """By alert source."""


def read(
    connection: Connection,
    now: datetime,
    late: timedelta,
    seen: timedelta,
    limits: Mapping[str, Sequence[Limit]],
) -> Gauges:
    """How things stand at `now`; a worker lives if it was seen within `seen`. Raises `Unavailable`."""
    sources = [(name, own[0]) for name, own in limits.items() if own]
    general: list[Command] = [
        ("HGETALL", COUNTS),
        ("GET", LAST_PAGE),
        ("ZCARD", DUE),
        ("ZCOUNT", DUE, "-inf", (now - late).timestamp()),
        ("ZCOUNT", REFUSED, "-inf", (now - late).timestamp()),
        ("ZRANGE", DUE, 0, 0, "WITHSCORES"),
        ("ZRANGE", REFUSED, 0, 0, "WITHSCORES"),
        ("ZCOUNT", WORKERS, (now - seen).timestamp(), "+inf"),
        ("ZCARD", REJECTED),
        ("SMEMBERS", TARGETS),
        ("GET", LAST_HEARTBEAT),
    ]
    of_states: list[Command] = [("ZCARD", BY_STATE + state) for state in State]
    of_sources = [command for name, (window, _) in sources for command in _of_source(name, window, now)]
    answers = iter(connection.calls([*general, *of_states, *of_sources]))
    counts, last, pending, late_now, in_vain, due, refused, workers, rejected, targets, beat = islice(
        answers, len(general)
    )
    states = {state: int(next(answers)) for state in State}
    firsts = [float(first[1]) for first in (due, refused) if first]
    return Gauges(
        counters=counted(counts, last),
        states=states,
        pending=int(pending),
        overdue=int(late_now) + int(in_vain),
        oldest_due=min(firsts, default=None),
        workers=int(workers),
        last_heartbeat=None if beat is None else float(beat),
        rejected=int(rejected),
        notices=_waiting(connection, sorted(targets)),
        budgets={name: _budget(now, limit, *islice(answers, 3)) for name, (_, limit) in sources},
    )


def _of_source(name: str, window: str, now: datetime) -> list[Command]:
    return [
        ("ZCOUNT", SENT + window, now.timestamp() - WINDOW_SECONDS, "+inf"),
        ("GET", LEARNED + name),
        ("GET", HELD_BACK + name),
    ]


def _waiting(connection: Connection, targets: Sequence[str]) -> Mapping[str, int]:
    some = targets[:FETCHED]
    return dict(zip(some, connection.calls([("ZCARD", NOTICES + t) for t in some]), strict=True))


def _budget(now: datetime, limit: int, sent: Any, learned: Any, paused: Any) -> Budget:
    limit = min(limit, int(learned)) if learned and limit else limit
    until = float(paused) if paused and float(paused) > now.timestamp() else None
    return Budget(limit, int(sent), until)
