"""Of which pages the provider is to be asked what became of them, and when; and who it says is on call.

`traces` is a sorted set of members `<incident> <pager>` by the time of the next check. It is apart from the
delivery queue: a check has no claim (to ask twice does no harm), takes no page's place, and late ones are no
reason for alarm. `traced:<minute>` counts the pages of that minute that are followed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime

from app.domain.delivery import Destination, Step
from app.domain.incident import Incident
from app.store.connection import PREFIX, Command, Connection
from app.store.delivery_queue import member_of
from app.store.lua import lua

TRACES = PREFIX + "traces"
TRACED = PREFIX + "traced:"
ON_CALL = PREFIX + "on_call"
ON_CALL_SLOT = PREFIX + "on_call_asked"

MOST_PER_MINUTE = 30
"""Pages that are followed: three checks of two or three requests each, of 1,200 that a key may make."""
AGAIN_SECONDS = 15.0
"""Longer than a check may take."""
ON_CALL_SECONDS = 60
ON_CALL_STAYS = 5 * ON_CALL_SECONDS


def index(before: Incident | None, after: Incident) -> Iterator[Command]:
    """The commands that bring the checks in line with an incident; part of the step that writes it."""
    for pager in after.pagers:
        was = before.check_step(pager) if before is not None else None
        step: Step | None = after.check_step(pager)
        if step is not None and step != was:
            yield "ZADD", TRACES, step.at.timestamp(), member_of(after.id, pager)
        elif step is None and was is not None:
            yield "ZREM", TRACES, member_of(after.id, pager)


class Traces:
    """Checks that are due. All raise `StoreUnavailable`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._next = connection.script(lua("next_traces"))
        self._every = connection.script(lua("every"))

    def acquire(self, now: datetime) -> bool:
        """Whether one more page of this minute is followed: in a storm a sample is."""
        key = f"{TRACED}{int(now.timestamp() // 60)}"
        count, _ = self._connection.calls([("INCR", key), ("EXPIRE", key, 120)])
        return int(count) <= MOST_PER_MINUTE

    def next(self, now: datetime, most: int) -> list[tuple[str, Destination]]:
        """Up to so many incidents and pagers whose check is due, each for one caller."""
        members = self._next([TRACES], [now.timestamp(), most, AGAIN_SECONDS])
        parts = [member.partition(" ") for member in members]
        return [(incident_id, Destination(pager)) for incident_id, _, pager in parts]

    def remove(self, incident_id: str, pager: Destination) -> None:
        """There is nothing to ask any more."""
        self._connection.call("ZREM", TRACES, member_of(incident_id, pager))

    def acquire_on_call(self, now: datetime) -> bool:
        """True for one caller of all every minute, who asks who is on call."""
        return bool(self._every([ON_CALL_SLOT], [now.timestamp(), ON_CALL_SECONDS - 0.5]))

    def save_on_call(self, schedules: Mapping[str, bool] | None) -> None:
        """By the name of each schedule, whether somebody is on call; None: it is not known."""
        if schedules is None:
            self._connection.call("DEL", ON_CALL)
        else:
            self._connection.call("SET", ON_CALL, json.dumps(dict(schedules)), "EX", ON_CALL_STAYS)

    def on_call(self) -> dict[str, bool] | None:
        """What was saved last, unless that is long ago."""
        found = self._connection.call("GET", ON_CALL)
        schedules: dict[str, bool] | None = json.loads(found) if found else None
        return schedules
