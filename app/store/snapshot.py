"""How things stand right now, in few round trips: for metrics and dashboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from app.domain.delivery import Destination
from app.domain.state import State
from app.store.connection import Command, Connection
from app.store.counters import COUNTS, LAST_PAGE, Counters, counted
from app.store.delivery_queue import (
    DUE,
    FAILING,
    LAST_HEARTBEAT,
    OBSERVED,
    PAUSED,
    SENT,
    WINDOW_SECONDS,
    WORKERS,
    Limit,
)
from app.store.keys import BY_STATE, PAYLOAD_BYTES, VERSION
from app.store.notifications import CHANNELS, HELD
from app.store.notifications import QUEUE as NOTIFICATIONS
from app.store.rejected import BYTES, REJECTED
from app.store.silences import SilenceList

FETCHED = 1_000
LONGEST_PAUSE = 600.0


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
class Snapshot:
    """How things stand."""

    counters: Counters
    states: Mapping[State, int]
    """Incidents in each state."""
    pending: int
    """Deliveries of pagers that have a next step."""
    overdue: int
    """Of these, how many are late, or failed until now, for longer than `late`."""
    oldest_due: float | None
    """When the oldest of them was due, Unix time, in the past when it is late."""
    workers: int
    last_heartbeat: float | None
    """When the provider last accepted the heartbeat, Unix time."""
    rejected: int
    last_rejected_at: float | None
    """Unix time."""
    rejected_bytes: int
    payload_bytes: int
    """Of the bodies of incidents that are not resolved."""
    notifications: Mapping[Destination, int]
    """Incidents that each channel has yet to be notified of."""
    budgets: Mapping[Destination, Budget]
    """By pager."""
    silenced: tuple[int, ...]
    """For each silence that is active, how many incidents it holds."""
    version: str
    """Another one whenever an incident has changed; read before everything else."""


def _general(now: datetime, late: timedelta, seen: timedelta) -> list[Command]:
    return [
        ("GET", VERSION),
        ("HGETALL", COUNTS),
        ("GET", LAST_PAGE),
        ("ZCARD", DUE),
        ("ZCOUNT", DUE, "-inf", (now - late).timestamp()),
        ("ZCOUNT", FAILING, "-inf", (now - late).timestamp()),
        ("ZRANGE", DUE, 0, 0, "WITHSCORES"),
        ("ZRANGE", FAILING, 0, 0, "WITHSCORES"),
        ("ZCOUNT", WORKERS, (now - seen).timestamp(), "+inf"),
        ("ZCARD", REJECTED),
        ("ZREVRANGE", REJECTED, 0, 0, "WITHSCORES"),
        ("GET", BYTES),
        ("SMEMBERS", CHANNELS),
        ("GET", LAST_HEARTBEAT),
        ("GET", PAYLOAD_BYTES),
    ]


def read(
    connection: Connection,
    now: datetime,
    late: timedelta,
    seen: timedelta,
    limits: Mapping[Destination, Sequence[Limit]],
    silences: SilenceList,
) -> Snapshot:
    """How things stand at `now`; a worker lives if it was seen within `seen`. Raises `StoreUnavailable`."""
    pagers = [(pager, own[0]) for pager, own in limits.items() if own]
    general = _general(now, late, seen)
    of_states: list[Command] = [("ZCARD", BY_STATE + state) for state in State]
    of_pagers = [command for pager, (window, _) in pagers for command in _of_pager(pager, window, now)]
    answers = iter(connection.calls([*general, *of_states, *of_pagers]))
    stored = islice(answers, len(general))
    version, counts, last, pending, late_now, failing, due, refused, workers, *rest = stored
    rejected, last_rejected, size, channels, beat, payload_bytes = rest
    states = {state: int(next(answers)) for state in State}
    firsts = [float(first[1]) for first in (due, refused) if first]
    return Snapshot(
        version=version or "0",
        counters=counted(counts, last),
        states=states,
        pending=int(pending),
        overdue=int(late_now) + int(failing),
        oldest_due=min(firsts, default=None),
        workers=int(workers),
        last_heartbeat=None if beat is None else float(beat),
        rejected=int(rejected),
        last_rejected_at=float(last_rejected[1]) if last_rejected else None,
        rejected_bytes=int(size or 0),
        payload_bytes=int(payload_bytes or 0),
        notifications=_waiting(connection, sorted(channels), now),
        silenced=_silenced(silences, now),
        budgets={pager: _budget(now, limit, *islice(answers, 3)) for pager, (_, limit) in pagers},
    )


def _silenced(silences: SilenceList, now: datetime) -> tuple[int, ...]:
    active = [one.id for one in silences.read().all if one.is_active(now)]
    return tuple(silences.counts(active).values())


def _of_pager(pager: Destination, window: str, now: datetime) -> list[Command]:
    return [
        ("ZCOUNT", SENT + window, now.timestamp() - WINDOW_SECONDS, "+inf"),
        ("HMGET", OBSERVED + pager, "burst", "period"),
        ("GET", PAUSED + pager),
    ]


def _waiting(connection: Connection, channels: Sequence[str], now: datetime) -> Mapping[Destination, int]:
    some = [Destination(channel) for channel in channels[:FETCHED]]
    # What comes later than any pause after a failure waits for the end of a silence.
    until = now.timestamp() + LONGEST_PAUSE
    counts = connection.calls(
        ("ZCOUNT", key + channel, "-inf", until) for channel in some for key in (NOTIFICATIONS, HELD)
    )
    return {
        channel: queued + held for channel, queued, held in zip(some, counts[::2], counts[1::2], strict=True)
    }


def _budget(now: datetime, limit: int, sent: Any, observed: Any, paused: Any) -> Budget:
    burst, period = observed
    if burst is not None:
        per_minute = int(60 * float(burst) / float(period))
        limit = min(limit or per_minute, per_minute)
    until = float(paused) if paused and float(paused) > now.timestamp() else None
    return Budget(limit, int(sent), until)
