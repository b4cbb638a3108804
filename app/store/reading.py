"""Records as they are read; one that can't be (a rollback, damage) has a stand-in.

It is made from the indexes, which the same step wrote. What is done to a stand-in is stored in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app.domain.delivery import Destination
from app.domain.incident import Incident
from app.domain.record import ITSELF
from app.domain.state import State
from app.domain.subscription import Subscription
from app.store.connection import Connection, WrongType, utc
from app.store.delivery_queue import DUE, PAGERS, member_of
from app.store.keys import ALL, BY_STATE, INCIDENT, incident_of, legible
from app.telemetry import log

LOGGED = 1_000
"""Unreadable records that a process logs, once each."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """Where an incident goes whose record can't be read."""

    pager: Destination = Destination("incident_io/default")  # noqa: RUF009
    subscriptions: tuple[Subscription, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """What was read of one record."""

    incident: Incident
    fields: Mapping[str, str]
    """`v`, `doc`, `payload` (bytes) and, where asked for, what channels have; none if there is no record."""
    readable: bool


class Reader:
    """The one way in which records are read. Its methods raise `StoreUnavailable`."""

    def __init__(self, connection: Connection, defaults: Defaults, clock: Callable[[], datetime]) -> None:
        self._connection = connection
        self._clock = clock
        self._defaults = defaults
        self._logged: set[str] = set()

    def incidents(self, ids: Sequence[str]) -> dict[str, Incident]:
        """Those that there are, in this order."""
        return {i: row.incident for i, row in self.rows(ids).items()}

    def rows(self, ids: Sequence[str], *, channels: bool = False) -> dict[str, Row]:
        """Those that there are, in this order; with `channels`, also what the channels have."""
        found = self._found(ids, channels=channels)
        read = {i: incident_of(i, fields.get("doc", "")) for i, fields in found.items()}
        stand_ins = dict(self._stand_ins([i for i, incident in read.items() if incident is None]))
        return {
            i: Row(
                one or replace(stand_ins[i], **legible(found[i].get("doc", ""))), found[i], one is not None
            )
            for i, one in read.items()
        }

    def _found(self, ids: Sequence[str], *, channels: bool) -> dict[str, dict[str, str]]:
        """The fields of those that there are."""
        try:
            return self._hashes(ids, channels=channels)
        except WrongType:
            types = self._connection.calls([("TYPE", INCIDENT + i) for i in ids])
            kinds = dict(zip(ids, types, strict=True))
            hashes = self._hashes([i for i in ids if kinds[i] == "hash"], channels=channels)
            return {i: hashes.get(i, {}) for i in ids if i in hashes or kinds[i] not in ("hash", "none")}

    def _hashes(self, ids: Sequence[str], *, channels: bool) -> dict[str, dict[str, str]]:
        if channels:
            rows = self._connection.calls([("HGETALL", INCIDENT + i) for i in ids])
        else:
            found = self._connection.calls([("HMGET", INCIDENT + i, "v", "doc", "payload") for i in ids])
            rows = [
                {"v": version or "", "doc": doc, "payload": size or "0"} if doc is not None else {}
                for version, doc, size in found
            ]
        return {i: {"v": "", **row} for i, row in zip(ids, rows, strict=True) if "doc" in row}

    def _stand_ins(self, ids: Sequence[str]) -> Iterator[tuple[str, Incident]]:
        if not ids:
            return
        named: set[str] = set(self._connection.call("SMEMBERS", PAGERS))
        pagers = [Destination(one) for one in sorted(named - {ITSELF})]
        keys = [ALL, *(BY_STATE + state for state in State)]
        asked = len(keys) + len(pagers)
        scores = self._connection.calls(
            command
            for i in ids
            for command in (
                *(("ZSCORE", key, i) for key in keys),
                *(("ZSCORE", DUE, member_of(i, pager)) for pager in pagers),
            )
        )
        for n, i in enumerate(ids):
            created, *rest = (score and utc(score) for score in scores[n * asked : (n + 1) * asked])
            state = next((s for s, at in zip(State, rest, strict=False) if at), State.PENDING)
            due = {p: at for p, at in zip(pagers, rest[len(State) :], strict=True) if at}
            yield i, self._stand_in(i, created, state, due)

    def _stand_in(
        self, incident_id: str, created: datetime | None, state: State, due: Mapping[Destination, datetime]
    ) -> Incident:
        if incident_id not in self._logged and len(self._logged) < LOGGED:
            self._logged.add(incident_id)
            log.error("record_unreadable", incident=incident_id, state=state.value)
        created_at = created or min(due.values(), default=None) or self._clock()
        defaults = self._defaults
        return Incident.unreadable(
            incident_id, created_at, state, due, defaults.pager, defaults.subscriptions
        )
