"""Incidents as they were read, and what writes their changes, with all indexes, in one atomic step.

Every index is derived from the record in the step that writes it, so none can disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain.alert import End
from app.domain.delivery import Delivery, Destination
from app.domain.incident import Incident
from app.domain.silence import Silences
from app.domain.state import Phase, State
from app.store import (
    counters,
    delivery_queue,
    identities,
    notifications,
    payloads,
    refused,
    requests,
    retention,
    silences,
    traces,
)
from app.store.connection import Command
from app.store.counters import Sources
from app.store.identities import END, ENDS
from app.store.keys import (
    ALL,
    BY_STATE,
    CHANNEL,
    INCIDENT,
    PAYLOAD,
    VERSION,
    deliveries_in,
    delivery_doc,
    delivery_of,
    incident_doc,
)
from app.store.reading import Row
from app.store.schema import OURS
from app.store.transaction import Check


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
        self.request = ""
        """Digest of the key of the request that this is for; "" where it has none."""
        self.became = ""
        """What that request became when it was stored before; "" until that is known."""
        self.read({}, {}, {})

    def read(
        self,
        rows: Mapping[str, Row],
        names: Mapping[str, Sequence[str]],
        ends: Mapping[str, str],
        silences: Silences = Silences(),  # noqa: B008 (it can't be changed)
    ) -> None:
        """Start anew from what is stored.

        The record of each incident; of each identity, its names in the index and the `End` ("" for none).
        """
        self._rows = {i: dict(row.fields) for i, row in rows.items()}
        self._before = {i: row.incident for i, row in rows.items() if row.readable}
        self._stand_ins = {i: row.incident for i, row in rows.items() if not row.readable}
        self._names_read = dict(names)
        self._ends_read = dict(ends)
        self._silences = silences
        self._start()

    def committed(self, token: str) -> None:
        """What was saved is stored now, with this token as its version; from now on all go by ID alone."""
        for incident_id in self.saved:
            self._rows.setdefault(incident_id, {})["v"] = token
            self._rows[incident_id]["payload"] = str(self._payload_sizes[incident_id])
        for incident_id, docs in self._docs.items():
            self._rows[incident_id].update(docs)
        self._before.update(self.saved)
        self.wanted_ids = [*self._before, *(i for i in self._stand_ins if i not in self._before)]
        self.wanted_identities, self.wanted_ends = (), ()
        self._names_read, self._ends_read = {}, {}
        self._start()

    def _start(self) -> None:
        self._ids = {key: identities.ids_of(key, names) for key, names in self._names_read.items()}
        self.saved: dict[str, Incident] = {}
        self._payloads: dict[str, str] = {}
        self._payload_sizes: dict[str, int] = {}
        self._docs: dict[str, dict[str, str]] = {}
        """By incident, the fields of its record as they are written."""
        self._deliveries: dict[tuple[str, Destination], Delivery] = {}
        self._also: list[Command] = []
        self._becomes = ""
        self._ends = {identity: END.validate_json(end) for identity, end in self._ends_read.items() if end}
        self._ended: dict[str, str] = {}
        self.goes_by_silences = False
        """What is to be written depends on them."""

    @property
    def silences(self) -> Silences:
        """The list that this goes by; nothing is written if it is another one by then."""
        self.goes_by_silences = True
        return self._silences

    def go_by(self, silences: Silences) -> None:
        """Take this for the list, which was read since."""
        self._silences = silences

    def get(self, incident_id: str) -> Incident | None:
        """The incident, if there is one."""
        known = self.saved.get(incident_id) or self._before.get(incident_id)
        return known or self._stand_ins.get(incident_id)

    def require(self, incident_id: str) -> Incident:
        """The incident. Raises `IncidentNotFound`."""
        return required(self.get(incident_id))

    def find(self, identity: str | None, marks: Sequence[str] = ()) -> Incident | None:
        """The incident that has this identity, one of these marks, and is not resolved, if there is one.

        The first mark, which is the installation, counts most: what two have in common may have joined later.
        """
        named = map(self.get, self._ids.get(identity, ())) if identity is not None else ()
        # What stands in for a record that can't be read may not know its identity.
        found = [one for one in named if one and not one.next_id and one.phase is not Phase.RESOLVED]
        return next((one for some in (marks[:1], marks) for one in found if one.has_any(some)), None)

    def end(self, identity: str | None) -> End | None:
        """Of a problem that may arrive after its end, that end."""
        return self._ends.get(identity or "")

    def remember_end(self, identity: str, end: End, name: str | None = None) -> None:
        """When this is committed; `name`: under which it is looked for, if it isn't the identity itself."""
        self._ends[name or identity] = end
        self._ended[name or identity] = identity

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
        return deliveries_in(self._rows.get(incident_id, {}))

    def save_delivery(self, incident_id: str, channel: Destination, delivery: Delivery, *count: str) -> None:
        """Write what a channel has of the incident, when this is committed, and when to check it again.

        `count`: how an attempt ended, for the metrics.
        """
        self._deliveries[incident_id, channel] = delivery
        self._also += [counters.notified(channel, outcome) for outcome in count]

    def read_webhook_of(self, sender: str) -> None:
        """Note that a webhook of this sender was read, when this is committed, if it is."""
        self._also.append(refused.read(sender))

    def remember_request(self, became: str) -> None:
        """Remember what the request became, when this is committed; unless it was stored by then."""
        self._becomes = became

    @property
    def is_empty(self) -> bool:
        """There is nothing to write."""
        return not (self.saved or self._deliveries or self._ended or self._becomes)

    def checks(self) -> Iterable[Check]:
        """Everything that must still be as it was read."""
        if self.goes_by_silences:
            yield silences.unchanged(self._silences)
        for incident_id, channel in self._deliveries:
            row = self._rows[incident_id]
            yield INCIDENT + incident_id, CHANNEL + channel, row.get(CHANNEL + channel, "")
            if incident_id not in self.saved:
                # What it is notified of next depends on the incident; pages never wait for this.
                yield INCIDENT + incident_id, "v", row.get("v", "")
        if self._becomes:
            yield requests.unchanged(self.request, self.became)
        for identity, end in self._ends_read.items():
            yield ENDS + identity, "at", end
        for identity in self._ended.values():
            yield identities.unchanged(identity, self._names_read[identity])
        for incident in self.saved.values():
            yield INCIDENT + incident.id, "v", self._rows.get(incident.id, {}).get("v", "")
            # One that was not looked up belongs to a record that was lost and is written again.
            if incident.identity in self._names_read and incident.id not in self._before:
                yield identities.unchanged(incident.identity, self._names_read[incident.identity])

    def commands(
        self, token: str, stored: Iterable[Stored], sources: Sources, room: int
    ) -> Iterable[Command]:
        """What writes every incident and its indexes; of bodies, as many bytes as there is room for."""
        changes = []
        self._docs = self._documents()
        for one in stored:
            before, after = self._before.get(one.incident.id), one.incident
            changes.append((before, after))
            if before is None and after.id in self._stand_ins:
                yield from _replaced(after.id, self._rows[after.id].get("doc"))
            yield from _write(before, after, token, self._docs[after.id]["doc"])
            had = int(self._rows.get(after.id, {}).get("payload") or 0)
            has, growth, commands = payloads.index(before, after, self._payloads.get(after.id), had, room)
            room, self._payload_sizes[after.id] = room - growth, has
            yield from commands
            yield from _listed(before, after)
            yield from identities.index(before, after)
            yield from delivery_queue.index(before, after, enqueue_at=one.enqueue_at)
            yield from traces.index(before, after)
            yield from retention.index(before, after)
            yield from refused.index(before, after)
            yield from silences.index(before, after)
        yield from notifications.index(changes)
        yield from counters.index(changes, sources)
        for (incident_id, channel), delivery in self._deliveries.items():
            doc = self._docs[incident_id][CHANNEL + channel]
            if doc != self._rows[incident_id].get(CHANNEL + channel, doc if delivery == Delivery() else ""):
                yield "HSET", INCIDENT + incident_id, CHANNEL + channel, doc
            yield from notifications.indexed(self.require(incident_id), channel, delivery)
        for name in self._ended:
            yield from identities.ended(name, self._ends[name])
        if self._becomes:
            yield from requests.remembered(self.request, self._becomes)
        yield from self._also
        yield "INCR", VERSION

    def _documents(self) -> dict[str, dict[str, str]]:
        """Of each incident, what is to be written, with what only another version knows of it."""
        docs: dict[str, dict[str, str]] = {}
        for incident_id, incident in self.saved.items():
            was = self._rows.get(incident_id, {}).get("doc", "")
            docs[incident_id] = {"doc": incident_doc(incident, self._before.get(incident_id), was)}
        for (incident_id, channel), delivery in self._deliveries.items():
            was = self._rows[incident_id].get(CHANNEL + channel, "")
            docs.setdefault(incident_id, {})[CHANNEL + channel] = delivery_doc(delivery, was)
        return docs

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


def required(incident: Incident | None) -> Incident:
    """The incident. Raises `IncidentNotFound` if there is none."""
    if incident is None:
        raise IncidentNotFound(
            "There is no such incident: use the ID that the answer to its webhook gave. Those that were "
            "resolved long ago are not kept."
        )
    return incident


def _replaced(incident_id: str, doc: str | None) -> Iterator[Command]:
    """Makes room for a record in place of one that can't be read, which is kept beside it."""
    if doc is None:
        yield "UNLINK", INCIDENT + incident_id
    else:
        yield "HSET", INCIDENT + incident_id, "unreadable", doc
    yield from (("ZREM", BY_STATE + state, incident_id) for state in State)


def _write(before: Incident | None, after: Incident, token: str, doc: str) -> Iterator[Command]:
    yield "HSET", INCIDENT + after.id, "v", token, "schema", OURS, "doc", doc
    if before is None and after.previous_id:
        # A newer one, if there is one, is written over it.
        yield "COPY", PAYLOAD + after.previous_id, PAYLOAD + after.id


def _listed(before: Incident | None, after: Incident) -> Iterable[Command]:
    created = after.created_at.timestamp()
    if before is None or before.created_at != after.created_at:
        yield "ZADD", ALL, created, after.id
    was, state = before.state if before is not None else None, after.state
    if was is not state:
        yield "ZADD", BY_STATE + state, created, after.id
        if was is not None:
            yield "ZREM", BY_STATE + was, after.id
