"""How long resolved incidents are kept: so many days, and so many of them; then every trace is removed.

`ended` (sorted set) has each incident that is resolved with nothing left to send, by when that came to be,
from the step that wrote it. `forgotten` (sorted set) remembers for a while which IDs were removed: a task for
a record that Redis lost must page, and one for a record that we removed must not.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from app.domain.incident import Incident
from app.domain.state import State
from app.store.connection import PREFIX, Command, Connection
from app.store.counters import Sources
from app.store.delivery_queue import FAILING, QUEUE, member_of
from app.store.keys import ALL, BY_STATE, INCIDENT, PAYLOAD, VERSION
from app.store.lua import lua
from app.store.notifications import CHANNELS, HELD
from app.store.notifications import QUEUE as NOTIFICATIONS
from app.store.reading import Reader
from app.store.transaction import committing

ENDED = PREFIX + "ended"
FORGOTTEN = PREFIX + "forgotten"
SLOT = PREFIX + "retention_slot"
LISTS = (ENDED, ALL, *(BY_STATE + state for state in State))

# Removed in one step, for which Redis keeps everybody else waiting: a third of a millisecond.
BATCH = 20
MINUTE_SECONDS = 59.5

# Whatever is configured, an incident stays until nothing that speaks of it is still on its way.
LEAST = timedelta(hours=1)
# Longer than a link is good, and than any message lives.
REMEMBERED = timedelta(days=8)


def index(before: Incident | None, after: Incident) -> Iterator[Command]:
    """The command that notes when an incident ended; part of the step that writes it."""
    was_over = before is not None and before.is_over
    if after.is_over and not was_over:
        yield "ZADD", ENDED, after.changed_at.timestamp(), after.id
    elif was_over and not after.is_over:
        yield "ZREM", ENDED, after.id


class Retention:
    """Removes what is old, a little at a time."""

    def __init__(self, connection: Connection, reader: Reader, sources: Sources) -> None:
        self._connection = connection
        self._reader = reader
        self._sources = sources
        self._commit = committing(connection)
        self._every = connection.script(lua("every"))

    def acquire_slot(self, now: datetime) -> bool:
        """True for one caller of all every minute."""
        return bool(self._every([SLOT], [now.timestamp(), MINUTE_SECONDS]))

    def forget(self, now: datetime, keep: timedelta, most: int) -> bool:
        """Remove some of what ended longer ago than `keep`, or is not among the newest `most`, in one step.

        Returns whether there may be more. Whatever ended within the last hour stays, and all do while people
        have yet to be notified of what happened when no worker lived. When somebody wrote to one of them
        meanwhile, nothing is removed this time. Raises `StoreUnavailable`.
        """
        aged, ended, oldest, outdated = self._connection.calls(
            [
                ("ZCOUNT", ENDED, "-inf", (now - max(keep, LEAST)).timestamp()),
                ("ZCARD", ENDED),
                ("ZRANGEBYSCORE", ENDED, "-inf", (now - LEAST).timestamp(), "LIMIT", 0, BATCH),
                ("ZRANGEBYSCORE", FORGOTTEN, "-inf", (now - REMEMBERED).timestamp(), "LIMIT", 0, BATCH),
            ]
        )
        if outdated:
            self._connection.call("ZREM", FORGOTTEN, *outdated)
        if old := oldest[: max(aged, ended - most)]:
            if self._unnotified(now):
                return False
            self._remove(old, now)
        return BATCH in (len(old), len(outdated))

    def was_forgotten(self, incident_id: str) -> bool:
        """Whether the incident was removed because it was old. Raises `StoreUnavailable`."""
        return self._connection.call("ZSCORE", FORGOTTEN, incident_id) is not None

    def _unnotified(self, now: datetime) -> bool:
        """Whether a channel waits since an hour ago; each that was tried is put off for less."""
        keys = [key + c for c in self._connection.call("SMEMBERS", CHANNELS) for key in (NOTIFICATIONS, HELD)]
        before = (now - LEAST).timestamp()
        return any(self._connection.calls([("ZCOUNT", key, "-inf", before) for key in keys]))

    def _remove(self, ids: Sequence[str], now: datetime) -> None:
        rows = self._reader.rows(ids)
        checks = [(INCIDENT + i, "v", rows[i].fields.get("v", "") if i in rows else "") for i in ids]
        stored = [row.incident for row in rows.values()]
        # None should be among them; if there is one, it waits for the step that sends what is still to be
        # sent.
        unfinished = [one.id for one in stored if not one.is_over]
        commands = [("ZREM", ENDED, *unfinished)] if unfinished else self._traces(ids, stored, now)
        self._commit(secrets.token_hex(8), checks, commands)

    def _traces(self, ids: Sequence[str], stored: Sequence[Incident], now: datetime) -> Iterator[Command]:
        """Of those whose record Redis lost the lists and the payload are left; they are not remembered."""
        yield from (("ZREM", key, *ids) for key in LISTS)
        yield "UNLINK", *(PAYLOAD + i for i in ids)
        for one in stored:
            for pager in one.pagers:
                member = member_of(one.id, pager)
                yield from (("ZREM", key, member) for key in (FAILING, QUEUE + pager))
            yield "UNLINK", INCIDENT + one.id
            yield "ZADD", FORGOTTEN, now.timestamp(), one.id
        yield from self._sources.gone(stored)
        yield "INCR", VERSION
