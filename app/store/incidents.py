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

from app.alert import End
from app.delivery import Delivery, Destination
from app.incident import Incident
from app.state import Phase
from app.store import agenda, counters, identities, notifications, retention, search
from app.store.commit import Check, committing
from app.store.connection import Command, Connection, Unavailable
from app.store.counters import Sources
from app.store.identities import END, ENDS, id_of, names_of
from app.store.record import (
    ALL,
    BY_STATE,
    CHANNEL,
    INCIDENT,
    PAYLOAD,
    RECORD,
    VERSION,
    delivery_doc,
    delivery_of,
)

# Somebody else wrote first this many times in a row: something is badly wrong.
MOST_CONFLICTS = 100

T = TypeVar("T")
Row = Mapping[str, str]
"""The fields of a record that were read."""


class Unknown(Exception):
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
        self,
        ids: Sequence[str] = (),
        identities: Sequence[str] = (),
        *,
        ends: Sequence[str] = (),
        channels: bool = False,
    ) -> None:
        self.wanted_ids = ids
        self.wanted_identities = identities
        self.wanted_ends = ends
        self.channels = channels
        self.read({}, {}, {})

    def read(
        self, rows: Mapping[str, Row], names: Mapping[str, Sequence[str]], ends: Mapping[str, str]
    ) -> None:
        """Start anew from what is stored.

        The record of each incident; of each identity, its names in the index and the `End` ("" for none).
        """
        self._rows = {i: dict(row) for i, row in rows.items()}
        self._before = {i: RECORD.validate_json(row["doc"]) for i, row in rows.items()}
        self._names_read = dict(names)
        self._ends_read = dict(ends)
        self._start()

    def committed(self, token: str) -> None:
        """What was saved is stored now, with this token as its version; from now on all go by ID alone."""
        for incident_id in self.saved:
            self._rows.setdefault(incident_id, {})["v"] = token
        for (incident_id, destination), delivery in self._deliveries.items():
            self._rows[incident_id][CHANNEL + destination] = delivery_doc(delivery)
        self._before.update(self.saved)
        self.wanted_ids, self.wanted_identities, self.wanted_ends = list(self._before), (), ()
        self._names_read, self._ends_read = {}, {}
        self._start()

    def _start(self) -> None:
        self._ids = {key: [id_of(name) for name in names] for key, names in self._names_read.items()}
        self.saved: dict[str, Incident] = {}
        self._payloads: dict[str, str] = {}
        self._deliveries: dict[tuple[str, Destination], Delivery] = {}
        self._counts: list[Command] = []
        self._ends = {identity: END.validate_json(end) for identity, end in self._ends_read.items() if end}
        self._ended: set[str] = set()

    def get(self, incident_id: str) -> Incident | None:
        """The incident, if there is one."""
        return self.saved.get(incident_id) or self._before.get(incident_id)

    def require(self, incident_id: str) -> Incident:
        """The incident. Raises `Unknown`."""
        return _required(self.get(incident_id))

    def find(self, identity: str | None, marks: Sequence[str] = ()) -> Incident | None:
        """The incident that has this identity, one of these marks, and is not resolved, if there is one.

        The first mark, which is the installation, counts most: what two have in common may have joined later.
        """
        named = map(self.get, self._ids.get(identity, ())) if identity is not None else ()
        found = [one for one in named if one and one.identity == identity and one.phase is not Phase.RESOLVED]
        return next((one for some in (marks[:1], marks) for one in found if one.has_any(some)), None)

    def end(self, identity: str | None) -> End | None:
        """Of a problem that may arrive after its end, that end."""
        return self._ends.get(identity or "")

    def remember_end(self, identity: str | None, end: End) -> None:
        """The problem is over; if it arrives yet, it is known to be."""
        self._ends[identity or ""] = end
        self._ended.add(identity or "")

    def save(self, incident: Incident, payload: str | None = None) -> Incident:
        """Write the incident, and the sender's body where there is a new one, when this is committed.

        With a successor goes the incident that it continues, which was read before.
        """
        previous = self.get(incident.previous_id or "")
        if previous is not None and not (previous.next_id or previous.phase is Phase.RESOLVED):
            self.save(previous.continued(incident))
        if incident.identity is not None and incident.id not in self._before:
            self._ids.setdefault(incident.identity, []).append(incident.id)
        self.saved[incident.id] = incident
        if payload is not None:
            self._payloads[incident.id] = payload
        return incident

    def delivery(self, incident_id: str, channel: Destination) -> Delivery:
        """What a channel has of the incident."""
        saved = self._deliveries.get((incident_id, channel))
        return saved or delivery_of(self._rows.get(incident_id, {}).get(CHANNEL + channel))

    def deliveries(self, incident_id: str) -> dict[Destination, Delivery]:
        """What every channel that was tried has of the incident."""
        return _deliveries(self._rows.get(incident_id, {}))

    def save_delivery(self, incident_id: str, channel: Destination, delivery: Delivery, *count: str) -> None:
        """Write what a channel has of the incident, when this is committed, and when to look at it again.

        `count`: how an attempt ended, for the metrics.
        """
        self._deliveries[incident_id, channel] = delivery
        self._counts += [counters.notified(channel, outcome) for outcome in count]

    @property
    def is_empty(self) -> bool:
        """There is nothing to write."""
        return not self.saved and not self._deliveries and not self._ended

    def checks(self) -> Iterable[Check]:
        """Everything that must still be as it was read."""
        for incident_id, channel in self._deliveries:
            row = self._rows[incident_id]
            yield INCIDENT + incident_id, CHANNEL + channel, row.get(CHANNEL + channel, "")
            if incident_id not in self.saved:
                # What it is notified of next depends on the incident; pages never wait for this.
                yield INCIDENT + incident_id, "v", row["v"]
        for identity, end in self._ends_read.items():
            yield ENDS + identity, "at", end
        for identity in self._ended:
            yield identities.unchanged(identity, self._names_read[identity])
        for incident in self.saved.values():
            yield INCIDENT + incident.id, "v", self._rows.get(incident.id, {}).get("v", "")
            # One that was not looked up belongs to a record that was lost and is written again.
            if incident.identity in self._names_read and incident.id not in self._before:
                yield identities.unchanged(incident.identity, self._names_read[incident.identity])

    def commands(self, token: str, stored: Iterable[Stored], sources: Sources) -> Iterable[Command]:
        """What writes every incident and its indexes."""
        changes = []
        for one in stored:
            before, after = self._before.get(one.incident.id), one.incident
            changes.append((before, after))
            yield from _write(before, after, token, self._payloads.get(after.id))
            yield from _listed(before, after)
            yield from identities.index(before, after)
            yield from agenda.index(before, after, enqueue_at=one.enqueue_at)
            yield from retention.index(before, after)
        yield from notifications.index(changes)
        yield from counters.index(changes, sources)
        for (incident_id, channel), delivery in self._deliveries.items():
            doc = delivery_doc(delivery)
            if doc != self._rows[incident_id].get(CHANNEL + channel, doc if delivery == Delivery() else ""):
                yield "HSET", INCIDENT + incident_id, CHANNEL + channel, doc
            yield from notifications.indexed(self.require(incident_id), channel, delivery)
        for identity in self._ended:
            yield from identities.ended(identity, self._ends[identity])
        yield from self._counts
        yield "INCR", VERSION

    def stored(self, enqueued: Callable[[datetime, int], bool]) -> list[Stored]:
        """What is to be written, each with the time for which a message is to be published.

        `enqueued` says, of the time of an attempt and of how many are written at once, whether one is. One
        that is claimed has its worker already.
        """
        size = len(self.saved)

        def at(incident: Incident) -> datetime | None:
            moments = list(agenda.moved(self._before.get(incident.id), incident))
            return min((moment for moment in moments if enqueued(moment, size)), default=None)

        return [Stored(incident, at(incident)) for incident in self.saved.values()]


class Incidents:
    """The incidents in Redis."""

    def __init__(self, connection: Connection, sources: Sources) -> None:
        self._connection = connection
        self._sources = sources
        self._commit_step = committing(connection)

    @staticmethod
    def assume_new(identities: Sequence[str], ends: Sequence[str] = ()) -> UnitOfWork:
        """A guess: no incident stands for these identities, and none ended. If it is wrong, it conflicts."""
        unit = UnitOfWork((), identities, ends=ends)
        unit.read({}, dict.fromkeys(identities, ()), dict.fromkeys(ends, ""))
        return unit

    def unit_of_work(
        self,
        ids: Sequence[str] = (),
        identities: Sequence[str] = (),
        *,
        ends: Sequence[str] = (),
        channels: bool = False,
    ) -> UnitOfWork:
        """The named incidents as they are stored now. Raises `Unavailable`."""
        unit = UnitOfWork(ids, identities, ends=ends, channels=channels)
        self._read(unit)
        return unit

    def update(
        self, unit: UnitOfWork, work: Callable[[UnitOfWork], T], enqueued: Callable[[datetime, int], bool]
    ) -> tuple[T, list[Stored]]:
        """Let `work` save changes, and write them all or nothing.

        `enqueued`: see `UnitOfWork.stored`. When somebody wrote since the unit was read, it is read again and
        `work` runs again, so it must do nothing but decide. What it raises is passed on, and nothing is
        written. Raises `Unavailable`.
        """
        for attempt in range(MOST_CONFLICTS):
            if attempt:
                # A successor may be there already: its ID is always the same.
                unit.wanted_ids = [*unit.wanted_ids, *(i for i, one in unit.saved.items() if one.previous_id)]
                self._read(unit)
            result = work(unit)
            stored = unit.stored(enqueued)
            if unit.is_empty or self._commit(unit, stored):
                return result, stored
        raise Unavailable("Too many writers at the same incident.")

    def get(self, incident_id: str) -> Incident | None:
        """The incident, or None. Raises `Unavailable`."""
        doc = self._connection.call("HGET", INCIDENT + incident_id, "doc")
        return None if doc is None else RECORD.validate_json(doc)

    def need(self, incident_id: str) -> Incident:
        """The incident. Raises `Unknown` and `Unavailable`."""
        return _required(self.get(incident_id))

    def deliveries(self, incident_id: str) -> dict[Destination, Delivery]:
        """What every channel that was tried has of the incident. Raises `Unavailable`."""
        return _deliveries(self._connection.call("HGETALL", INCIDENT + incident_id))

    def payload(self, incident_id: str) -> Any:
        """The sender's newest body about this incident; None when there is none."""
        payload = self._connection.call("GET", PAYLOAD + incident_id)
        return None if payload is None else json.loads(payload)

    def page(self, wanted: search.Search, limit: int, cursor: str | None) -> search.Page:
        """The newest incidents that are wanted, `limit` at the most; see `app/store/search.py`."""
        return search.page(self._connection, wanted, limit, cursor)

    def soonest(self, limit: int) -> list[Incident]:
        """The pending incidents that page first, `limit` at the most, the first of them first."""
        return search.soonest(self._connection, limit)

    def _read(self, unit: UnitOfWork) -> None:
        found = self._connection.calls(names_of(unit.wanted_identities))
        by_identity = dict(zip(unit.wanted_identities, found, strict=True))
        named = (id_of(name) for names in found for name in names)
        wanted = list(dict.fromkeys([*unit.wanted_ids, *named]))
        rows: Iterable[Row]
        if unit.channels:
            rows = self._connection.calls([("HGETALL", INCIDENT + i) for i in wanted])
        else:
            found = self._connection.calls([("HMGET", INCIDENT + i, "v", "doc") for i in wanted])
            rows = [{"v": version, "doc": doc} if doc is not None else {} for version, doc in found]
        found = self._connection.calls([("HGET", ENDS + one, "at") for one in unit.wanted_ends])
        ends = {identity: end or "" for identity, end in zip(unit.wanted_ends, found, strict=True)}
        unit.read({i: row for i, row in zip(wanted, rows, strict=True) if "doc" in row}, by_identity, ends)

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
        raise Unknown(
            "There is no such incident: use the ID that the answer to its webhook gave. Those that were "
            "resolved long ago are not kept."
        )
    return incident


def _write(before: Incident | None, after: Incident, token: str, payload: str | None) -> Iterator[Command]:
    doc = RECORD.dump_json(after, exclude_defaults=True).decode()
    yield "HSET", INCIDENT + after.id, "v", token, "doc", doc
    if payload is not None:
        yield "SET", PAYLOAD + after.id, payload
    elif before is None and after.previous_id:
        yield "COPY", PAYLOAD + after.previous_id, PAYLOAD + after.id


def _listed(before: Incident | None, after: Incident) -> Iterable[Command]:
    created = after.created_at.timestamp()
    if before is None:
        yield "ZADD", ALL, created, after.id
    if before is None or before.state is not after.state:
        yield "ZADD", BY_STATE + after.state, created, after.id
        if before is not None:
            yield "ZREM", BY_STATE + before.state, after.id
