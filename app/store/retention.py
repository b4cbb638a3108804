"""How long resolved incidents are kept: so many days, and so many of them; then every trace is removed.

`ended` (sorted set) has each resolved incident by when it was resolved, from the step that resolves it.
`forgotten` (sorted set) remembers for a while which IDs were removed: a knock for a record that Redis lost
must page, and one for a record that we removed must not.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from app.incident import Incident, State
from app.store.agenda import QUEUE, REFUSED
from app.store.connection import PREFIX, Command, Connection
from app.store.counters import Sources
from app.store.record import ALL, BY_STATE, INCIDENT, RECORD, VERSION

ENDED = PREFIX + "ended"
FORGOTTEN = PREFIX + "forgotten"
TURN = PREFIX + "retention_turn"

BATCH = 500
MINUTE_MILLISECONDS = 59_500

# Whatever is configured, an incident stays until nothing that speaks of it is still on its way.
LEAST = timedelta(hours=1)
# Longer than a link is good, and than any message lives.
REMEMBERED = timedelta(days=8)

# KEYS: the record, ARGV: its version, then for each command its length and its words. Nothing is removed that
# somebody has written to since it was read.
REMOVE = """
if redis.call('HGET', KEYS[1], 'v') ~= ARGV[1] then
  return 0
end
redis.call('UNLINK', KEYS[1])
local i = 2
while i <= #ARGV do
  local last = i + tonumber(ARGV[i])
  redis.call(unpack(ARGV, i + 1, last))
  i = last + 1
end
return 1
"""


def index(before: Incident | None, after: Incident) -> Iterator[Command]:
    """The command that notes when an incident ended; part of the step that writes it."""
    resolved = before is not None and before.state is State.RESOLVED
    if after.state is State.RESOLVED and not resolved and after.resolved_at is not None:
        yield "ZADD", ENDED, after.resolved_at.timestamp(), after.id


class Retention:
    """Removes what is old, a little at a time."""

    def __init__(self, connection: Connection, sources: Sources) -> None:
        self._connection = connection
        self._sources = sources
        self._remove = connection.script(REMOVE)

    def turn(self) -> bool:
        """True for one caller of all every minute."""
        return bool(self._connection.call("SET", TURN, "taken", "NX", "PX", MINUTE_MILLISECONDS))

    def forget(self, now: datetime, keep: timedelta, most: int) -> int:
        """Remove a batch of what ended longer ago than `keep`, or is not among the newest `most`.

        Returns how many were looked at; fewer than `BATCH` means that there are no more. What still owes an
        event stays, and whatever ended within the last hour. Raises `Unavailable`.
        """
        self._connection.call("ZREMRANGEBYSCORE", FORGOTTEN, "-inf", (now - REMEMBERED).timestamp())
        old = self._old(now, keep, most)
        rows = self._connection.calls([("HMGET", INCIDENT + i, "v", "doc") for i in old])
        for incident_id, (version, doc) in zip(old, rows, strict=True):
            if doc is None:
                # Redis lost the record; its traces go as well.
                self._connection.calls([("ZREM", key, incident_id) for key in _lists()])
                continue
            incident = RECORD.validate_json(doc)
            if incident.owes is None and incident.state is State.RESOLVED:
                self._remove([INCIDENT + incident_id], [version, *_flat(self._traces(incident, now))])
            else:
                # Looked at again in an hour, so that it does not stand before others.
                self._connection.call("ZADD", ENDED, "XX", (now - keep + LEAST).timestamp(), incident_id)
        return len(old)

    def was_forgotten(self, incident_id: str) -> bool:
        """Whether the incident was removed because it was old. Raises `Unavailable`."""
        return self._connection.call("ZSCORE", FORGOTTEN, incident_id) is not None

    def _old(self, now: datetime, keep: timedelta, most: int) -> list[str]:
        cutoff = (now - max(keep, LEAST)).timestamp()
        settled = (now - LEAST).timestamp()
        too_many = int(self._connection.call("ZCARD", ENDED)) - most
        found: list[str] = self._connection.call("ZRANGEBYSCORE", ENDED, "-inf", cutoff, "LIMIT", 0, BATCH)
        if len(found) < min(too_many, BATCH):
            count = min(too_many, BATCH)
            found = self._connection.call("ZRANGEBYSCORE", ENDED, "-inf", settled, "LIMIT", 0, count)
        return found

    def _traces(self, incident: Incident, now: datetime) -> Iterator[Command]:
        yield from (("ZREM", key, incident.id) for key in (ENDED, ALL, REFUSED, BY_STATE + State.RESOLVED))
        yield "ZREM", QUEUE + incident.alert_source, incident.id
        yield "ZADD", FORGOTTEN, now.timestamp(), incident.id
        yield "INCR", VERSION
        yield self._sources.gone(incident)


def _lists() -> Iterator[str]:
    yield from (ENDED, ALL, REFUSED, *(BY_STATE + state for state in State))


def _flat(commands: Iterator[Command]) -> Iterator[str | float]:
    for command in commands:
        yield from (len(command), *command)
