"""Incidents in Redis: read some, decide, and write them with all their indexes in one atomic step.

Every index is derived from the record in the step that writes it, so none can disagree.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from app.incident import Incident, State
from app.store import agenda, counters, notices, retention, search
from app.store.commit import Check, committing
from app.store.connection import Command, Connection, Unavailable
from app.store.counters import Sources
from app.store.notices import Targets
from app.store.record import ALL, BY_STATE, IDENTITIES, INCIDENT, RECORD, VERSION

# Somebody else wrote first this many times in a row: something is badly wrong.
MOST_CONFLICTS = 100

T = TypeVar("T")


class Unknown(Exception):
    """There is no incident with this ID, or none any more."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An incident as it was written; `announce`: a message shall wake a worker for its next attempt."""

    incident: Incident
    announce: bool


class Draft:
    """Incidents as they were read, and as they shall be; what is put is seen by later look-ups.

    Once it is committed it stands for what is stored now, and may be changed again without being read again.
    """

    def __init__(self, ids: Sequence[str] = (), identities: Sequence[str] = ()) -> None:
        self.wanted_ids = ids
        self.wanted_identities = identities
        self.read({}, {})

    def read(self, rows: Mapping[str, tuple[str, str]], ids: Mapping[str, str]) -> None:
        """Start anew from what is stored: version and JSON of incidents, the ID (or "") of each identity."""
        self._versions = {i: version for i, (version, _) in rows.items()}
        self._before = {i: RECORD.validate_json(doc) for i, (_, doc) in rows.items()}
        self._ids_read = dict(ids)
        self._start()

    def committed(self, token: str) -> None:
        """What was put is stored now, with this token as its version; from now on all go by ID alone."""
        self._versions.update(dict.fromkeys(self.put_incidents, token))
        self._before.update(self.put_incidents)
        self.wanted_ids, self.wanted_identities, self._ids_read = list(self._before), (), {}
        self._start()

    def _start(self) -> None:
        self._ids = dict(self._ids_read)
        self.put_incidents: dict[str, Incident] = {}
        self.put_payloads: dict[str, str] = {}

    def get(self, incident_id: str) -> Incident | None:
        """The incident, if there is one."""
        return self.put_incidents.get(incident_id) or self._before.get(incident_id)

    def need(self, incident_id: str) -> Incident:
        """The incident. Raises `Unknown`."""
        return _needed(self.get(incident_id))

    def find(self, identity: str | None) -> Incident | None:
        """The incident that stands for this identity and is not resolved, if there is one."""
        incident = self.get(self._ids.get(identity, "")) if identity is not None else None
        return incident if incident is not None and incident.state is not State.RESOLVED else None

    def put(self, incident: Incident, payload: str | None = None) -> Incident:
        """Write the incident, and the sender's body where there is a new one, when the draft is committed."""
        self.put_incidents[incident.id] = incident
        if payload is not None:
            self.put_payloads[incident.id] = payload
        if incident.identity is not None:
            self._ids[incident.identity] = incident.id
        return incident

    def checks(self) -> Iterable[Check]:
        """Everything that must still be as it was read."""
        for incident in self.put_incidents.values():
            yield INCIDENT + incident.id, "v", self._versions.get(incident.id, "")
            # One that was not looked up belongs to a record that was lost and is written again.
            if incident.identity in self._ids_read and incident.id not in self._before:
                yield IDENTITIES, incident.identity, self._ids_read[incident.identity]

    def commands(
        self, token: str, announced: Callable[[Incident], bool], targets: Targets, sources: Sources
    ) -> Iterable[Command]:
        """What writes every incident and its indexes."""
        changes = [(self._before.get(i), incident) for i, incident in self.put_incidents.items()]
        for before, incident in changes:
            yield _write(incident, token, self.put_payloads.get(incident.id))
            yield from _listed(before, incident)
            yield from agenda.index(before, incident, announced=announced(incident))
            yield from retention.index(before, incident)
        yield from notices.index(changes, targets)
        yield from counters.index(changes, sources)
        yield "INCR", VERSION

    def unannounced(self) -> Iterable[Incident]:
        """The incidents whose next attempt is new; one that is claimed has its worker already."""
        for incident in self.put_incidents.values():
            before = self._before.get(incident.id)
            moved = before is None or before.next_attempt_at != incident.next_attempt_at
            if moved and incident.next_attempt_at is not None and incident.claim is None:
                yield incident


class Incidents:
    """The incidents in Redis."""

    def __init__(self, connection: Connection, sources: Sources) -> None:
        self._connection = connection
        self._sources = sources
        self._commit_step = committing(connection)

    @staticmethod
    def unread(identities: Sequence[str]) -> Draft:
        """A guess: no incident stands for these identities. If it is wrong, what is put on it conflicts."""
        draft = Draft((), identities)
        draft.read({}, dict.fromkeys(identities, ""))
        return draft

    def draft(self, ids: Sequence[str] = (), identities: Sequence[str] = ()) -> Draft:
        """The named incidents as they are stored now. Raises `Unavailable`."""
        draft = Draft(ids, identities)
        self._read(draft)
        return draft

    def change(
        self,
        draft: Draft,
        work: Callable[[Draft], T],
        announced: Callable[[Incident, int], bool],
        targets: Targets,
    ) -> tuple[T, list[Stored]]:
        """Let `work` put what shall be, and write it all or nothing.

        `announced` tells, of an incident and of how many are written with it, whether a message will be
        published for its next attempt; the rest is left to the sweep. `targets` tells whom to tell what of a
        change, which is stored with it. When somebody wrote since the draft was read, it is read again and
        `work` runs again, so it must do nothing but decide. What it raises is passed on, and nothing is
        written. Raises `Unavailable`.
        """
        for attempt in range(MOST_CONFLICTS):
            if attempt:
                self._read(draft)
            result = work(draft)
            size = len(draft.put_incidents)
            announce = {i.id for i in draft.unannounced() if announced(i, size)}
            written = [Stored(i, i.id in announce) for i in draft.put_incidents.values()]
            if not written or self._commit(draft, announce, targets):
                return result, written
        raise Unavailable("Too many writers at the same incident.")

    def get(self, incident_id: str) -> Incident | None:
        """The incident, or None. Raises `Unavailable`."""
        doc = self._connection.call("HGET", INCIDENT + incident_id, "doc")
        return None if doc is None else RECORD.validate_json(doc)

    def need(self, incident_id: str) -> Incident:
        """The incident. Raises `Unknown` and `Unavailable`."""
        return _needed(self.get(incident_id))

    def payload(self, incident_id: str) -> Any:
        """The sender's newest body about this incident; None when there is none."""
        payload = self._connection.call("HGET", INCIDENT + incident_id, "payload")
        return None if payload is None else json.loads(payload)

    def page(self, wanted: search.Search, limit: int, cursor: str | None) -> search.Page:
        """The newest incidents that are wanted, `limit` at the most; see `app/store/search.py`."""
        return search.page(self._connection, wanted, limit, cursor)

    def soonest(self, limit: int) -> list[Incident]:
        """The pending incidents that page first, `limit` at the most, the first of them first."""
        return search.soonest(self._connection, limit)

    def _read(self, draft: Draft) -> None:
        by_identity: dict[str, str] = {}
        if draft.wanted_identities:
            found = self._connection.call("HMGET", IDENTITIES, *draft.wanted_identities)
            by_identity = {k: i or "" for k, i in zip(draft.wanted_identities, found, strict=True)}
        wanted = list(dict.fromkeys([*draft.wanted_ids, *filter(None, by_identity.values())]))
        rows = self._connection.calls([("HMGET", INCIDENT + i, "v", "doc") for i in wanted])
        draft.read({i: row for i, row in zip(wanted, rows, strict=True) if row[0] is not None}, by_identity)

    def version(self) -> int:
        """Another number than before whenever any incident has changed. Raises `Unavailable`."""
        return int(self._connection.call("GET", VERSION) or 0)

    def _commit(self, draft: Draft, announce: set[str], targets: Targets) -> bool:
        token = secrets.token_hex(8)
        commands = draft.commands(token, lambda i: i.id in announce, targets, self._sources)
        done = self._commit_step(token, list(draft.checks()), commands)
        if done:
            draft.committed(token)
        return done


def _needed(incident: Incident | None) -> Incident:
    if incident is None:
        raise Unknown(
            "There is no such incident: use the ID that the answer to its webhook gave. Those that were "
            "resolved long ago are not kept."
        )
    return incident


def _write(incident: Incident, token: str, payload: str | None) -> Command:
    doc = RECORD.dump_json(incident, exclude_defaults=True).decode()
    command: Command = ("HSET", INCIDENT + incident.id, "v", token, "doc", doc)
    return command if payload is None else (*command, "payload", payload)


def _listed(before: Incident | None, after: Incident) -> Iterable[Command]:
    created = after.created_at.timestamp()
    if before is None:
        yield "ZADD", ALL, created, after.id
    if before is None or before.state is not after.state:
        yield "ZADD", BY_STATE + after.state, created, after.id
        if before is not None:
            yield "ZREM", BY_STATE + before.state, after.id
        if after.identity is not None:
            if after.state is State.RESOLVED:
                yield "HDEL", IDENTITIES, after.identity
            elif before is None:
                yield "HSET", IDENTITIES, after.identity, after.id
