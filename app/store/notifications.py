"""What channels have yet to be notified of: a queue for each, and what a storm holds together.

`notifications:<destination>` (sorted set) has each incident that the channel is to be notified of, by when to
check it next: at once, or at the end of a lease or a pause; the steps that write incidents and deliveries
write it. A member `summary` stands for the next summary. `singles:<destination>` has the incidents that it
was notified of one by one within a minute; `held:<destination>` what the summary under way is about;
`summary:…` (hash) how the attempts to send it are going; `summarized:…` when the last one was sent;
`summaries:…` (sorted set) how the latest ones ended, by the time that they were about. `channels` names the
destinations with a queue. `wakeups` (list) wakes a worker when there is something new.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.delivery import Delivery, Destination
from app.domain.incident import Incident
from app.domain.subscription import Change, Subscription
from app.store import counters
from app.store.connection import PREFIX, Command, Connection, utc
from app.store.keys import delivery_doc, delivery_of
from app.store.lua import lua
from app.store.transaction import committing

QUEUE = PREFIX + "notifications:"
SINGLES = PREFIX + "singles:"
HELD = PREFIX + "held:"
SUMMARY_STATE = PREFIX + "summary:"
SUMMARIZED = PREFIX + "summarized:"
SUMMARIES = PREFIX + "summaries:"
CHANNELS = PREFIX + "channels"
WAKEUPS = PREFIX + "wakeups"

SUMMARY = "summary"
"""Stands in an incident's place for many of them."""

# More incidents than this within a minute are a storm: the rest is in one message a minute.
MOST_SINGLES = 20
MINUTE = 60
# The first summary of a storm comes soon, since people have minutes to acknowledge.
FIRST_SUMMARY = 10

# What was handed out is handed out again after so many seconds, if nobody claimed it.
HANDED_OUT = 3
MOST_WAKEUPS = 32
WAKE: Sequence[Command] = (("LPUSH", WAKEUPS, 1), ("LTRIM", WAKEUPS, 0, MOST_WAKEUPS - 1))
HELD_AT_ONCE = 1_000
# Summaries of a channel that are remembered: of the last day, in a storm that long.
KEPT = 1_440


@dataclass(frozen=True, slots=True)
class Summarized:
    """A summary that is over. Times are UTC."""

    until: datetime
    """It was about what waited since then or longer."""
    at: datetime
    sent: bool
    """False if it was given up."""


def index(changes: Iterable[tuple[Incident | None, Incident]]) -> Iterator[Command]:
    """The commands that queue what channels are to be notified of; part of the step that writes incidents."""
    channels: set[str] = set()
    for before, after in changes:
        moved = before is not None and before.silenced_until != after.silenced_until
        if before is not None and before.changes == after.changes and not moved:
            continue
        for one in after.subscriptions:
            wanted = next(_newly_wanted(one, before, after), None)
            # With another end of the silence that holds it, what waits comes at another time. What does not
            # wait was in a summary.
            waits = next(_newly_wanted(one, None, after), None) if wanted is None and moved else None
            if change := wanted or waits:
                at = max(change.at, after.silenced_until or change.at)
                yield "ZADD", QUEUE + one.destination, *(("XX",) if waits else ()), at.timestamp(), after.id
                channels.add(one.destination)
    if channels:
        yield "SADD", CHANNELS, *sorted(channels)
        yield from WAKE


def _newly_wanted(one: Subscription, before: Incident | None, after: Incident) -> Iterator[Change]:
    """What is new, and what was not severe enough until now."""
    known = {change.sequence for change in before.changes} if before is not None else set()
    for change in after.changes:
        was = change.sequence in known and before is not None and one.wants(change.event, before.severity)
        if not was and one.wants(change.event, after.severity):
            yield change


def indexed(incident: Incident, channel: Destination, delivery: Delivery) -> Iterator[Command]:
    """The commands that bring the queue in line with a channel's delivery; part of the step writing it."""
    step = incident.next_step(channel, delivery)
    if step is None:
        yield "ZREM", QUEUE + channel, incident.id
    else:
        yield "ZADD", QUEUE + channel, step.at.timestamp(), incident.id
        # A summary may have emptied the queue meanwhile.
        yield "SADD", CHANNELS, channel


class Notifications:
    """The channels' queues, and their summaries."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._next = connection.script(lua("next_notifications"))
        self._hold = connection.script(lua("defer_to_summary"))
        self._commit = committing(connection)
        self._summaries: dict[Destination, tuple[Delivery, str]] = {}
        """By channel, how its summary was going when that was read last, and the document that said so."""

    def wait(self, seconds: float) -> None:
        """Until there may be something new, or so many seconds at the most. Raises `StoreUnavailable`."""
        self._connection.call("BLPOP", WAKEUPS, seconds)

    def wake(self) -> None:
        """Wake a worker: there may be more to hand out. Raises `StoreUnavailable`."""
        self._connection.calls(WAKE)

    def channels(self) -> list[Destination]:
        """Destinations that are to be notified of something."""
        return [Destination(name) for name in sorted(self._connection.call("SMEMBERS", CHANNELS))]

    def next(self, channel: Destination, now: datetime, count: int) -> list[str]:
        """Up to `count` incidents whose time has come, the longest waiting first, or `SUMMARY`; each is given
        out once, and again after some seconds if nobody claims it."""
        keys = [QUEUE + channel, SINGLES + channel, SUMMARIZED + channel, CHANNELS, HELD + channel]
        args: list[str | float] = [
            now.timestamp(),
            count,
            channel,
            MOST_SINGLES,
            MINUTE,
            FIRST_SUMMARY,
            HANDED_OUT,
        ]
        found: list[str] = self._next(keys, args)
        return found

    def remove(self, channel: Destination, incident_id: str) -> None:
        """Forget an incident that is gone."""
        self._connection.call("ZREM", QUEUE + channel, incident_id)

    # -- summaries -----------------------------------------------------------------------------------

    def summary(self, channel: Destination) -> Delivery:
        """How the attempts to send the channel's summary are going."""
        doc = self._connection.call("HGET", SUMMARY_STATE + channel, "delivery")
        summary = delivery_of(doc)
        if doc and summary == Delivery():
            # It can't be read: written anew, it can be.
            self._connection.call("HDEL", SUMMARY_STATE + channel, "delivery")
        elif doc:
            self._summaries[channel] = summary, doc
        return summary

    def _summary_doc(self, channel: Destination, summary: Delivery) -> str:
        """As it was read, with what only another version knows of it."""
        read, doc = self._summaries.get(channel, (None, ""))
        if read == summary:
            return doc
        return "" if summary == Delivery() else delivery_doc(summary)

    def hold(self, channel: Destination, now: datetime) -> None:
        """Let the summary be about all that waits for a turn of its own, too."""
        keys = [QUEUE + channel, HELD + channel]
        while int(self._hold(keys, [now.timestamp(), HELD_AT_ONCE])) == HELD_AT_ONCE:
            pass

    def release(self, channel: Destination, again: Mapping[str, datetime]) -> None:
        """Take these out of the summary: each is to be checked by itself then."""
        self._connection.calls(
            [("ZADD", QUEUE + channel, at.timestamp(), incident_id) for incident_id, at in again.items()]
            + [("SADD", CHANNELS, channel), ("ZREM", HELD + channel, *again)]
        )

    def held(self, channel: Destination) -> list[str]:
        """The incidents that the summary is about, the longest waiting first."""
        ids: list[str] = self._connection.call("ZRANGE", HELD + channel, 0, -1)
        return ids

    def postpone_summary(self, channel: Destination, until: datetime) -> None:
        """Check it again then."""
        self._connection.call("ZADD", QUEUE + channel, until.timestamp(), SUMMARY)

    def summarize(self, channel: Destination, now: datetime) -> None:
        """So much has come at the same time that a summary is due now, if there was none within a minute."""
        last = float(self._connection.call("GET", SUMMARIZED + channel) or 0)
        at = max(now.timestamp(), last + MINUTE)
        # Sooner than a storm lets its first one wait. One that is under way, or in a pause, stays so.
        self._connection.calls([("ZADD", QUEUE + channel, "LT", at, SUMMARY), ("SADD", CHANNELS, channel)])

    def save_summary(
        self, channel: Destination, before: Delivery, after: Delivery, next_at: datetime, *count: str
    ) -> bool:
        """Write how the summary is going, and when to check it again; False if somebody else wrote.

        `count`: how an attempt ended, for the metrics.
        """
        doc = delivery_doc(after, self._summary_doc(channel, before))
        commands: list[Command] = [
            ("HSET", SUMMARY_STATE + channel, "delivery", doc),
            ("ZADD", QUEUE + channel, next_at.timestamp(), SUMMARY),
            *(counters.notified(channel, outcome) for outcome in count),
        ]
        done = self._write(channel, before, commands)
        if done:
            self._summaries[channel] = after, doc
        return done

    def end_summary(
        self, channel: Destination, before: Delivery, began: datetime, until: datetime, count: str | None
    ) -> bool:
        """The summary that began then is over, sent or given up, for what waits since `until` or longer.

        `count`: as for `save_summary`; None if there was nothing to send.
        """
        commands: list[Command] = [
            ("ZREMRANGEBYSCORE", HELD + channel, "-inf", until.timestamp()),
            ("HDEL", SUMMARY_STATE + channel, "delivery"),
            ("ZREM", QUEUE + channel, SUMMARY),
        ]
        if count is not None:
            # For timelines.
            member = f"{began.timestamp()} {'sent' if until == began else 'given_up'}"
            commands.append(("ZADD", SUMMARIES + channel, until.timestamp(), member))
            commands.append(("ZREMRANGEBYRANK", SUMMARIES + channel, 0, -KEPT - 1))
            commands.append(counters.notified(channel, count))
        if until == began and count is not None:
            commands.append(("SET", SUMMARIZED + channel, began.timestamp()))
        if until < began:
            next_at = began + timedelta(seconds=MINUTE)
            commands.append(("ZADD", QUEUE + channel, next_at.timestamp(), SUMMARY))
        return self._write(channel, before, commands)

    def _write(self, channel: Destination, before: Delivery, commands: Sequence[Command]) -> bool:
        check = (SUMMARY_STATE + channel, "delivery", self._summary_doc(channel, before))
        return self._commit(secrets.token_hex(8), [check], commands)

    def summarized(self, channel: Destination, since: datetime) -> Summarized | None:
        """The first summary that was about what the channel was to be notified of since then."""
        found = self._connection.call(
            "ZRANGEBYSCORE", SUMMARIES + channel, since.timestamp(), "+inf", "WITHSCORES", "LIMIT", 0, 1
        )
        if not found:
            return None
        member, until = found
        at, _, how = member.partition(" ")
        return Summarized(utc(until), utc(at), how == "sent")
