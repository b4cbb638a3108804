"""What people have yet to be told: notices for each target, their claims, and what storms hold together.

`notices:<target>` (sorted set): each notice by when to look at it next; written by the step that writes the
incident. `notice:<target>` (hash): of each that was tried, how often, since when, until when it is claimed or
put off, and by whose token. `told:<target>:<news>`: when it was told such news within the last minute.
`held:<target>` (sorted set): what a storm holds back for the next summary. `targets`: who has notices.
`bell` (list): rings when there is a new one, so that a worker needs no message from the web.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.incident import Incident
from app.notice import SUMMARY, News, Notice
from app.store import counters
from app.store.connection import PREFIX, Command, Connection
from app.store.record import INCIDENT

NOTICES = PREFIX + "notices:"
TRIED = PREFIX + "notice:"
TOLD = PREFIX + "told:"
HELD = PREFIX + "held:"
SUMMARISED = PREFIX + "summarised:"
TARGETS = PREFIX + "targets"
BELL = PREFIX + "bell"

# More of one kind than this within a minute are a storm: the rest is told in one message a minute.
SINGLY = 20
MINUTE = 60
# The first summary of a storm comes soon, since people have minutes to acknowledge.
FIRST_SUMMARY = 10

# A notice that was handed out is handed out again after so many seconds, if nobody claimed it.
HANDED_OUT = 3
BELL_RINGS = 32

DUE = """
local found = {}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])) do
  redis.call('ZADD', KEYS[1], ARGV[1] + ARGV[3], member)
  found[#found + 1] = member
end
if #found == 0 and redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('SREM', KEYS[2], ARGV[4])
end
return found
"""

# KEYS: notices, tried, told, held, summarised; ARGV: member, now, end of the lease, token, how many singly,
# a minute, seconds until the first summary, the summary's member. Answers how often and since when it was
# tried, this time included; 0 when somebody else has it, when it is done, or when the storm holds it.
CLAIM = """
local member, now = ARGV[1], tonumber(ARGV[2])
if not redis.call('ZSCORE', KEYS[1], member) then
  return {0, '0'}
end
local tries, since, wait = 0, ARGV[2], '0'
local tried = redis.call('HGET', KEYS[2], member)
if tried then
  tries, since, wait = string.match(tried, '^(%d+) (%S+) (%S+)')
end
if tonumber(wait) > now then
  redis.call('ZADD', KEYS[1], wait, member)
  return {0, '0'}
end
if member ~= ARGV[8] and tonumber(tries) == 0 then
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - ARGV[6])
  if redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[5]) then
    redis.call('ZADD', KEYS[4], now, member)
    redis.call('ZREM', KEYS[1], member)
    local next = math.max(now + ARGV[7], tonumber(redis.call('GET', KEYS[5]) or 0) + ARGV[6])
    redis.call('ZADD', KEYS[1], 'NX', next, ARGV[8])
    return {0, '0'}
  end
  redis.call('ZADD', KEYS[3], now, member)
  redis.call('EXPIRE', KEYS[3], ARGV[6])
end
redis.call('ZADD', KEYS[1], ARGV[3], member)
redis.call('HSET', KEYS[2], member, (tries + 1) .. ' ' .. since .. ' ' .. ARGV[3] .. ' ' .. ARGV[4])
return {tries + 1, since}
"""

# KEYS: notices, tried, bell, of a summary what is held; ARGV: member, token, when to try again ('' for
# never), now, '1' to count the tries anew: of a summary only if anything is held, perhaps since a moment ago.
# Does nothing where the same news came once more meanwhile, or another worker has it.
ENDED = """
local tried = redis.call('HGET', KEYS[2], ARGV[1])
if tried and string.match(tried, '(%S+)$') == ARGV[2] then
  if ARGV[3] == '' or (ARGV[5] == '1' and KEYS[4] and redis.call('EXISTS', KEYS[4]) == 0) then
    redis.call('ZREM', KEYS[1], ARGV[1])
    redis.call('HDEL', KEYS[2], ARGV[1])
  elseif ARGV[5] == '1' then
    redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
    redis.call('HDEL', KEYS[2], ARGV[1])
  else
    local tries, since = string.match(tried, '^(%d+) (%S+)')
    redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
    redis.call('HSET', KEYS[2], ARGV[1], tries .. ' ' .. since .. ' ' .. ARGV[3] .. ' -')
  end
end
if redis.call('ZCOUNT', KEYS[1], '-inf', ARGV[4]) > 0 then
  redis.call('LPUSH', KEYS[3], 1)
end
"""

# Not for a record that is gone: a hash with this field alone would be no incident.
REMEMBER = """
if redis.call('HEXISTS', KEYS[1], 'v') == 1 then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
"""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A notice that is this worker's to deliver until its lease ends."""

    notice: Notice
    token: str
    tries: int
    """How often it was tried, this time included."""
    since: datetime
    """When it was first tried, UTC."""


Targets = Callable[[Incident | None, Incident], Iterable[tuple[str, News]]]
"""Whom to tell what, of an incident as it was and as it is now."""


def index(changes: Iterable[tuple[Incident | None, Incident]], targets: Targets) -> Iterator[Command]:
    """The commands that store what these changes make news; part of the step that writes the incidents."""
    told: set[str] = set()
    for before, after in changes:
        for target, news in targets(before, after):
            notice = Notice(target, news, after.id)
            if before is not None:
                # The same news again, while the first is under way, is told once more.
                yield "HDEL", TRIED + target, notice.member
            yield "ZADD", NOTICES + target, after.changed_at.timestamp(), notice.member
            told.add(target)
    if told:
        yield "SADD", TARGETS, *sorted(told)
        yield "LPUSH", BELL, 1
        yield "LTRIM", BELL, 0, BELL_RINGS - 1


class Notices:
    """The notices in Redis."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._due = connection.script(DUE)
        self._claim = connection.script(CLAIM)
        self._ended = connection.script(ENDED)
        self._remember = connection.script(REMEMBER)

    def wait(self, seconds: float) -> None:
        """Until there may be something new, or so many seconds at the most. Raises `Unavailable`."""
        self._connection.call("BLPOP", BELL, seconds)

    def targets(self) -> list[str]:
        """Who has yet to be told something."""
        return sorted(self._connection.call("SMEMBERS", TARGETS))

    def due(self, target: str, now: datetime, count: int) -> list[Notice]:
        """Up to `count` notices whose time has come, the oldest first; each is given out once, and again
        after some seconds if nobody claims it."""
        keys = [NOTICES + target, TARGETS]
        found = self._due(keys, [now.timestamp(), count, HANDED_OUT, target])
        return [Notice.of(target, member) for member in found]

    def claim(self, notice: Notice, now: datetime, lease: timedelta, token: str) -> Claimed | None:
        """The notice, to deliver it now; None when it is done, somebody has it, or a summary will tell it."""
        target = notice.target
        keys = [NOTICES + target, TRIED + target, f"{TOLD}{target}:{notice.news}", HELD + target]
        args: list[str | float] = [
            notice.member,
            now.timestamp(),
            (now + lease).timestamp(),
            token,
            SINGLY,
            MINUTE,
        ]
        summary = Notice(target, SUMMARY).member
        args += [FIRST_SUMMARY, summary]
        tries, since = self._claim([*keys, SUMMARISED + target], args)
        if not tries:
            return None
        return Claimed(notice, token, tries, datetime.fromtimestamp(float(since), UTC))

    def count(self, target: str, outcome: str) -> None:
        """Count for the metrics how an attempt ended."""
        self._connection.call(*counters.told(target, outcome))

    def ended(
        self, claimed: Claimed, now: datetime, again_at: datetime | None, *, anew: bool = False
    ) -> None:
        """The attempt is over; `again_at`: the next one, None when there shall be none.

        `anew`: the next one has other things to tell, and as much time for them as this one had; there is
        none after a summary for which nothing is held back any more.
        """
        again: str | float = "" if again_at is None else again_at.timestamp()
        keys = [NOTICES + claimed.notice.target, TRIED + claimed.notice.target, BELL]
        if claimed.notice.news == SUMMARY:
            keys.append(HELD + claimed.notice.target)
        self._ended(keys, [claimed.notice.member, claimed.token, again, now.timestamp(), int(anew)])

    def held(self, target: str, until: datetime | None = None) -> list[Notice]:
        """What the next summary of this target tells, in order; `until`: of that, what was held by then."""
        last = "+inf" if until is None else until.timestamp()
        members = self._connection.call("ZRANGEBYSCORE", HELD + target, "-inf", last)
        return [Notice.of(target, member) for member in members]

    def summarised(self, target: str, told: Sequence[Notice], now: datetime) -> None:
        """A summary is through with these; what came meanwhile waits for the next one."""
        for start in range(0, len(told), 1000):
            members = [notice.member for notice in told[start : start + 1000]]
            self._connection.call("ZREM", HELD + target, *members)
        self._connection.call("SET", SUMMARISED + target, now.timestamp(), "EX", MINUTE)

    def reference(self, notice: Notice) -> str | None:
        """What the target called its first message about the incident."""
        found: str | None = self._connection.call(
            "HGET", INCIDENT + notice.incident_id, f"message:{notice.target}"
        )
        return found

    def remember(self, notice: Notice, reference: str) -> None:
        """Keep what the target called its message about the incident, with the incident's record."""
        self._remember([INCIDENT + notice.incident_id], [f"message:{notice.target}", reference])
