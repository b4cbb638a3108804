"""Incidents in Redis: read some, decide, and write them with all their indexes in one atomic step.

Every index is derived from the record in the step that writes it, so none can disagree.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from app.domain.delivery import Delivery, Destination
from app.domain.incident import Incident
from app.domain.state import Phase
from app.store import counters, delivery_queue, notifications, retention, search
from app.store.connection import Command, Connection, StoreUnavailable
from app.store.counters import Sources
from app.store.keys import (
    ALL,
    BY_STATE,
    CHANNEL,
    IDENTITIES,
    INCIDENT,
    PAYLOAD,
    RECORD,
    VERSION,
    delivery_doc,
    delivery_of,
)
from app.store.transaction import Check, committing

# Somebody else wrote first this many times in a row: something is badly wrong.
MOST_CONFLICTS = 100

T = TypeVar("T")
Row = Mapping[str, str]
"""The fields of a record that were read."""


class IncidentNotFound(Exception):
    """There is no incident with this ID, or none any more."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An incident as it was written, and when a message is to wake a worker for it; None: no message is."""

    incident: Incident
    enqueue_at: datetime | None


class UnitOfWork:
    """Incidents as they were read, and the changes to write; what is saved is seen by later look-ups.

    Once it is committed it stands for what is stored now, and may be changed again without being read again.
    `channels`: what the channels have of these incidents is read as well.
    """

    def __init__(
        self, ids: Sequence[str] = (), identities: Sequence[str] = (), *, channels: bool = False
    ) -> None:
        self.wanted_ids = ids
        self.wanted_identities = identities
        self.channels = channels
        self.read({}, {})

    def read(self, rows: Mapping[str, Row], ids: Mapping[str, str]) -> None:
        """Start anew from what is stored: the record of each incident, the ID (or "") of each identity."""
        self._rows = {i: dict(row) for i, row in rows.items()}
        self._before = {i: RECORD.validate_json(row["doc"]) for i, row in rows.items()}
        self._ids_read = dict(ids)
        self._start()

    def committed(self, token: str) -> None:
        """What was saved is stored now, with this token as its version; from now on all go by ID alone."""
        for incident_id in self.saved:
            self._rows.setdefault(incident_id, {})["v"] = token
        for (incident_id, destination), delivery in self._deliveries.items():
            self._rows[incident_id][CHANNEL + destination] = delivery_doc(delivery)
        self._before.update(self.saved)
        self.wanted_ids, self.wanted_identities, self._ids_read = list(self._before), (), {}
        self._start()

    def _start(self) -> None:
        self._ids = dict(self._ids_read)
        self.saved: dict[str, Incident] = {}
        self._payloads: dict[str, str] = {}
        self._deliveries: dict[tuple[str, Destination], Delivery] = {}
        self._counts: list[Command] = []

    def get(self, incident_id: str) -> Incident | None:
        """The incident, if there is one."""
        return self.saved.get(incident_id) or self._before.get(incident_id)

    def require(self, incident_id: str) -> Incident:
        """The incident. Raises `IncidentNotFound`."""
        return _required(self.get(incident_id))

    def find(self, identity: str | None) -> Incident | None:
        """The incident that stands for this identity and is not resolved, if there is one."""
        incident = self.get(self._ids.get(identity, "")) if identity is not None else None
        return incident if incident is not None and incident.phase is not Phase.RESOLVED else None

    def save(self, incident: Incident, payload: str | None = None) -> Incident:
        """Write the incident, and the sender's body where there is a new one, when this is committed."""
        self.saved[incident.id] = incident
        if payload is not None:
            self._payloads[incident.id] = payload
        if incident.identity is not None:
            self._ids[incident.identity] = incident.id
        return incident

    def delivery(self, incident_id: str, channel: Destination) -> Delivery:
        """What a channel has of the incident."""
        saved = self._deliveries.get((incident_id, channel))
        return saved or delivery_of(self._rows.get(incident_id, {}).get(CHANNEL + channel))

    def deliveries(self, incident_id: str) -> dict[Destination, Delivery]:
        """What every channel that was tried has of the incident."""
        return _deliveries(self._rows.get(incident_id, {}))

    def save_delivery(self, incident_id: str, channel: Destination, delivery: Delivery, *count: str) -> None:
        """Write what a channel has of the incident, when this is committed, and when to check it again.

        `count`: how an attempt ended, for the metrics.
        """
        self._deliveries[incident_id, channel] = delivery
        self._counts += [counters.notified(channel, outcome) for outcome in count]

    @property
    def is_empty(self) -> bool:
        """There is nothing to write."""
        return not self.saved and not self._deliveries

    def checks(self) -> Iterable[Check]:
        """Everything that must still be as it was read."""
        for incident_id, channel in self._deliveries:
            row = self._rows[incident_id]
            yield INCIDENT + incident_id, CHANNEL + channel, row.get(CHANNEL + channel, "")
            if incident_id not in self.saved:
                # What it is notified of next depends on the incident; pages never wait for this.
                yield INCIDENT + incident_id, "v", row["v"]
        for incident in self.saved.values():
            yield INCIDENT + incident.id, "v", self._rows.get(incident.id, {}).get("v", "")
            # One that was not looked up belongs to a record that was lost and is written again.
            if incident.identity in self._ids_read and incident.id not in self._before:
                yield IDENTITIES, incident.identity, self._ids_read[incident.identity]

    def commands(self, token: str, stored: Iterable[Stored], sources: Sources) -> Iterable[Command]:
        """What writes every incident and its indexes."""
        changes = []
        for one in stored:
            before, after = self._before.get(one.incident.id), one.incident
            changes.append((before, after))
            yield from _write(after, token, self._payloads.get(after.id))
            yield from _listed(before, after)
            yield from delivery_queue.index(before, after, enqueue_at=one.enqueue_at)
            yield from retention.index(before, after)
        yield from notifications.index(changes)
        yield from counters.index(changes, sources)
        for (incident_id, channel), delivery in self._deliveries.items():
            doc = delivery_doc(delivery)
            if doc != self._rows[incident_id].get(CHANNEL + channel, doc if delivery == Delivery() else ""):
                yield "HSET", INCIDENT + incident_id, CHANNEL + channel, doc
            yield from notifications.indexed(self.require(incident_id), channel, delivery)
        yield from self._counts
        yield "INCR", VERSION

    def stored(self, enqueued: Callable[[datetime, int], bool]) -> list[Stored]:
        """What is to be written, each with the time for which a message is to be published.

        `enqueued` says, of the time of an attempt and of how many are written at once, whether one is. One
        that is claimed has its worker already.
        """
        size = len(self.saved)

        def at(incident: Incident) -> datetime | None:
            moments = list(delivery_queue.moved(self._before.get(incident.id), incident))
            return min((moment for moment in moments if enqueued(moment, size)), default=None)

        return [Stored(incident, at(incident)) for incident in self.saved.values()]


class Incidents:
    """The incidents in Redis."""

    def __init__(self, connection: Connection, sources: Sources) -> None:
        self._connection = connection
        self._sources = sources
        self._commit_step = committing(connection)

    @staticmethod
    def assume_new(identities: Sequence[str]) -> UnitOfWork:
        """A guess: no incident stands for these identities. If it is wrong, what is saved conflicts."""
        unit = UnitOfWork((), identities)
        unit.read({}, dict.fromkeys(identities, ""))
        return unit

    def unit_of_work(
        self, ids: Sequence[str] = (), identities: Sequence[str] = (), *, channels: bool = False
    ) -> UnitOfWork:
        """The named incidents as they are stored now. Raises `StoreUnavailable`."""
        unit = UnitOfWork(ids, identities, channels=channels)
        self._read(unit)
        return unit

    def update(
        self, unit: UnitOfWork, work: Callable[[UnitOfWork], T], enqueued: Callable[[datetime, int], bool]
    ) -> tuple[T, list[Stored]]:
        """Let `work` save changes, and write them all or nothing.

        `enqueued`: see `UnitOfWork.stored`. When somebody wrote since the unit was read, it is read again and
        `work` runs again, so it must do nothing but decide. What it raises is passed on, and nothing is
        written. Raises `StoreUnavailable`.
        """
        for attempt in range(MOST_CONFLICTS):
            if attempt:
                self._read(unit)
            result = work(unit)
            stored = unit.stored(enqueued)
            if unit.is_empty or self._commit(unit, stored):
                return result, stored
        raise StoreUnavailable("Too many writers at the same incident.")

    def get(self, incident_id: str) -> Incident | None:
        """The incident, or None. Raises `StoreUnavailable`."""
        doc = self._connection.call("HGET", INCIDENT + incident_id, "doc")
        return None if doc is None else RECORD.validate_json(doc)

    def require(self, incident_id: str) -> Incident:
        """The incident. Raises `IncidentNotFound` and `StoreUnavailable`."""
        return _required(self.get(incident_id))

    def deliveries(self, incident_id: str) -> dict[Destination, Delivery]:
        """What every channel that was tried has of the incident. Raises `StoreUnavailable`."""
        return _deliveries(self._connection.call("HGETALL", INCIDENT + incident_id))

    def payload(self, incident_id: str) -> Any:
        """The sender's newest body about this incident; None when there is none."""
        payload = self._connection.call("GET", PAYLOAD + incident_id)
        return None if payload is None else json.loads(payload)

    def page(self, wanted: search.Search, limit: int, cursor: str | None) -> search.SearchPage:
        """The newest incidents that are wanted, `limit` at the most; see `app/store/search.py`."""
        return search.page(self._connection, wanted, limit, cursor)

    def soonest(self, limit: int) -> list[Incident]:
        """The pending incidents that page first, `limit` at the most, the first of them first."""
        return search.soonest(self._connection, limit)

    def _read(self, unit: UnitOfWork) -> None:
        by_identity: dict[str, str] = {}
        if unit.wanted_identities:
            found = self._connection.call("HMGET", IDENTITIES, *unit.wanted_identities)
            by_identity = {k: i or "" for k, i in zip(unit.wanted_identities, found, strict=True)}
        wanted = list(dict.fromkeys([*unit.wanted_ids, *filter(None, by_identity.values())]))
        rows: Iterable[Row]
        if unit.channels:
            rows = self._connection.calls([("HGETALL", INCIDENT + i) for i in wanted])
        else:
            found = self._connection.calls([("HMGET", INCIDENT + i, "v", "doc") for i in wanted])
            rows = [{"v": version, "doc": doc} if doc is not None else {} for version, doc in found]
        unit.read({i: row for i, row in zip(wanted, rows, strict=True) if "doc" in row}, by_identity)

    def _commit(self, unit: UnitOfWork, stored: Sequence[Stored]) -> bool:
        token = secrets.token_hex(8)
        done = self._commit_step(token, list(unit.checks()), unit.commands(token, stored, self._sources))
        if done:
            unit.committed(token)
        return done


def _deliveries(row: Row) -> dict[Destination, Delivery]:
    return {
        Destination(name.removeprefix(CHANNEL)): delivery_of(doc)
        for name, doc in row.items()
        if name.startswith(CHANNEL)
    }


def _required(incident: Incident | None) -> Incident:
    if incident is None:
        raise IncidentNotFound(
            "There is no such incident: use the ID that the answer to its webhook gave. Those that were "
            "resolved long ago are not kept."
        )
    return incident


def _write(incident: Incident, token: str, payload: str | None) -> Iterator[Command]:
    doc = RECORD.dump_json(incident, exclude_defaults=True).decode()
    yield "HSET", INCIDENT + incident.id, "v", token, "doc", doc
    if payload is not None:
        yield "SET", PAYLOAD + incident.id, payload


def _listed(before: Incident | None, after: Incident) -> Iterable[Command]:
    created = after.created_at.timestamp()
    if before is None:
        yield "ZADD", ALL, created, after.id
    if before is None or before.state is not after.state:
        yield "ZADD", BY_STATE + after.state, created, after.id
        if before is not None:
            yield "ZREM", BY_STATE + before.state, after.id
        if after.identity is not None:
            if after.phase is Phase.RESOLVED:
                yield "HDEL", IDENTITIES, after.identity
            elif before is None:
                yield "HSET", IDENTITIES, after.identity, after.id
