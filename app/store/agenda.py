"""What is to be sent and when: the due list, the sweep's looks, rate budgets, pauses, living workers.

Four sorted sets. `due`: every incident that owes an event, by its next attempt. `look`: when the sweep shall
look at it next, which is later than due when a message was published, and earlier when none was.
`parked:<alert source>`: due, but over budget or paused; not in `look` until its turn comes. `workers`: who
lives. An incident in `due` is always in `look` or in `parked`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.incident import Incident
from app.store.connection import PREFIX, Command, Connection

DUE = PREFIX + "due"
LOOK = PREFIX + "look"
PARKED = PREFIX + "parked"
WORKERS = PREFIX + "workers"
HEARTBEAT = PREFIX + "heartbeat"
FAILED = PREFIX + "failed_in_a_row"

# A little less than the 30 s between two heartbeats, since workers look once a second.
HEARTBEAT_MILLISECONDS = 29_500

# How long an announced incident may be late before the sweep minds; how long before it is due the sweep
# announces one for which no message was published.
GRACE = timedelta(seconds=1)
AHEAD = timedelta(seconds=10)

# A minute as the provider's clock may see it, with room for requests that travel at unequal speed.
WINDOW_SECONDS = 61

Limit = tuple[str, int]
"""Name of a budget, and how many events a minute it allows."""

# The next look comes after 2 s, 4 s, 8 s, …: as far away as the incident is late.
LOOK_SCRIPT = """
local now, found = tonumber(ARGV[1]), {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])) do
  local due = redis.call('ZSCORE', KEYS[2], id)
  if due then
    local late = math.max(2, now - due)
    redis.call('ZADD', KEYS[1], math.max(now, due) + late, id)
    found[#found + 1] = {id, due}
  else
    redis.call('ZREM', KEYS[1], id)
  end
end
return found
"""

# KEYS: parked, pause, look, parked sources, due, window...; ARGV: now, window length, limit...
ROOM = """
local now, room = tonumber(ARGV[1]), 1e9
if tonumber(redis.call('GET', KEYS[2]) or 0) > now then
  room = 0
end
for i = 6, #KEYS do
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now - ARGV[2])
  room = math.min(room, ARGV[i - 3] - redis.call('ZCARD', KEYS[i]))
end
"""

# More ARGV: ID, urgency, name of the alert source, a token.
TAKE_SCRIPT = (
    ROOM
    + """
local n = #ARGV
local id, urgency, source, token = ARGV[n - 3], ARGV[n - 2], ARGV[n - 1], ARGV[n]
-- Acknowledged, or claimed, since it was read: it must not stand in the way of those that wait.
local due = redis.call('ZSCORE', KEYS[5], id)
if not due or tonumber(due) > now then
  return 0
end
redis.call('ZADD', KEYS[1], urgency, id)
if redis.call('ZRANK', KEYS[1], id) >= room then
  redis.call('ZREM', KEYS[3], id)
  redis.call('SADD', KEYS[4], source)
  return 0
end
redis.call('ZREM', KEYS[1], id)
redis.call('ZADD', KEYS[3], now + 2, id)
for i = 6, #KEYS do
  redis.call('ZADD', KEYS[i], now, token)
  redis.call('EXPIRE', KEYS[i], 120)
end
return 1
"""
)

# More ARGV: name of the alert source, how many at the most.
TURN_SCRIPT = (
    ROOM
    + """
local n = #ARGV
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('SREM', KEYS[4], ARGV[n - 1])
end
local count = math.min(room, tonumber(ARGV[n]))
local turn = {}
for _, id in ipairs(count < 1 and {} or redis.call('ZRANGE', KEYS[1], 0, count - 1)) do
  if redis.call('ZSCORE', KEYS[5], id) then
    turn[#turn + 1] = id
  else
    redis.call('ZREM', KEYS[1], id)
  end
end
return turn
"""
)

PAUSE_SCRIPT = """
if tonumber(redis.call('GET', KEYS[1]) or 0) < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
end
"""


@dataclass(frozen=True, slots=True)
class Look:
    """An incident that the sweep shall announce, and when it is (or was) due."""

    incident_id: str
    due_at: float


def index(before: Incident | None, after: Incident, *, announced: bool) -> list[Command]:
    """The commands that bring the agenda in line with an incident; part of the step that writes it."""
    parked = f"{PARKED}:{after.alert_source}"
    if before is not None and before.next_attempt_at == after.next_attempt_at:
        worse = after.owes is not None and before.urgency != after.urgency
        return [("ZADD", parked, "XX", _rank(after), after.id)] if worse else []
    unpark: Command = ("ZREM", parked, after.id)
    if after.next_attempt_at is None:
        # Also for a new record: it may replace one that was lost, and whose traces are still here.
        return [("ZREM", DUE, after.id), ("ZREM", LOOK, after.id), unpark]
    look_at = after.next_attempt_at
    if announced:
        look_at += GRACE
    elif after.claim is None:
        look_at -= AHEAD
    return [
        ("ZADD", DUE, after.next_attempt_at.timestamp(), after.id),
        ("ZADD", LOOK, look_at.timestamp(), after.id),
        *([unpark] if before is not None else []),
    ]


class Agenda:
    """Questions and changes that are not part of an incident's record."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._look = connection.script(LOOK_SCRIPT)
        self._take = connection.script(TAKE_SCRIPT)
        self._turn = connection.script(TURN_SCRIPT)
        self._pause = connection.script(PAUSE_SCRIPT)
        self._pending = 0
        self._pending_counted = float("-inf")

    # -- the second hand -----------------------------------------------------------------------------

    def looks(self, now: datetime, count: int) -> list[Look]:
        """Up to `count` incidents that are late, or soon due and not announced. Each is given out once, then
        again after a while: two workers that look at the same time share the work."""
        found = self._look([LOOK, DUE], [now.timestamp(), count])
        return [Look(incident_id, float(due)) for incident_id, due in found]

    def parked_sources(self) -> list[str]:
        """Alert sources for which something waits for its turn."""
        return sorted(self._connection.call("SMEMBERS", PARKED))

    def turn(self, source: str, limits: Sequence[Limit], now: datetime, count: int) -> list[str]:
        """The IDs of parked incidents that may be sent now, most urgent first."""
        keys, args = _budget(source, limits, now)
        ids: list[str] = self._turn(keys, [*args, source, count])
        return ids

    # -- permission to send --------------------------------------------------------------------------

    def take(self, incident: Incident, limits: Sequence[Limit], now: datetime, token: str) -> bool:
        """Whether the incident may be sent now; if so it is counted, else parked until its turn.

        Neither, if it is not due any more. Nobody overtakes a more urgent incident that is parked for the
        same alert source.
        """
        keys, args = _budget(incident.alert_source, limits, now)
        args += [incident.id, _rank(incident), incident.alert_source, token]
        return bool(self._take(keys, args))

    def pause(self, source: str, until: datetime, now: datetime) -> None:
        """Hold back every worker for this alert source; a longer pause stands."""
        seconds = max(1, int((until - now).total_seconds()) + 1)
        key = f"{PREFIX}pause:{source}"
        self._pause([key], [until.timestamp(), seconds])

    # -- how things stand ----------------------------------------------------------------------------

    def pending(self) -> int:
        """Incidents that owe an event, as counted within the last second."""
        if time.monotonic() - self._pending_counted > 1:
            self._pending = int(self._connection.call("ZCARD", DUE))
            self._pending_counted = time.monotonic()
        return self._pending

    def oldest_due(self) -> datetime | None:
        """The earliest next attempt of all, in the past when something is overdue."""
        first = self._connection.call("ZRANGE", DUE, 0, 0, "WITHSCORES")
        return datetime.fromtimestamp(float(first[1]), UTC) if first else None

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

    def attempt_ended(self, *, delivered: bool) -> None:
        """Count attempts to send that failed in a row; one that got through starts the count anew."""
        self._connection.call(*(("DEL", FAILED) if delivered else ("INCR", FAILED)))

    def failed_in_a_row(self) -> int:
        """How many attempts failed since the last one that got through."""
        return int(self._connection.call("GET", FAILED) or 0)

    def heartbeat_turn(self) -> bool:
        """True for one caller of all every 30 s."""
        taken = self._connection.call("SET", HEARTBEAT, "sent", "NX", "PX", HEARTBEAT_MILLISECONDS)
        return bool(taken)


def _rank(incident: Incident) -> float:
    """The smaller goes first: by urgency, then by due time (seconds, which stay below 1e10 until 2286)."""
    due = incident.next_attempt_at.timestamp() if incident.next_attempt_at else 0.0
    return incident.urgency * 1e10 + due


def _budget(source: str, limits: Sequence[Limit], now: datetime) -> tuple[list[str], list[str | float]]:
    keys = [f"{PARKED}:{source}", f"{PREFIX}pause:{source}", LOOK, PARKED, DUE]
    keys += [f"{PREFIX}sent:{name}" for name, _ in limits]
    return keys, [now.timestamp(), WINDOW_SECONDS, *(per_minute for _, per_minute in limits)]
