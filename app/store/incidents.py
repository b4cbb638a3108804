"""Incidents in Redis: read some, decide, and write them in one step, or again if somebody was first."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from app.domain.delivery import Delivery, Destination
from app.domain.incident import Incident
from app.store import payloads, search
from app.store.connection import Connection, StoreUnavailable
from app.store.counters import Sources
from app.store.identities import ENDS, id_of, names_of
from app.store.keys import PAYLOAD, deliveries_in
from app.store.reading import Reader
from app.store.requests import what_became
from app.store.silences import SilenceList
from app.store.transaction import committing
from app.store.unit_of_work import Stored, UnitOfWork, required

# Somebody else wrote first this many times in a row: something is badly wrong.
MOST_CONFLICTS = 100

T = TypeVar("T")


class Incidents:
    """The incidents in Redis."""

    def __init__(
        self,
        connection: Connection,
        reader: Reader,
        sources: Sources,
        silences: SilenceList,
        most_payload_bytes: int,
    ) -> None:
        self._connection = connection
        self._reader = reader
        self._bodies = payloads.Payloads(connection, most_payload_bytes)
        self._sources = sources
        self._silences = silences
        self._commit_step = committing(connection)

    def assume_new(self, identities: Sequence[str], ends: Sequence[str] = ()) -> UnitOfWork:
        """A guess: no incident stands for these identities, and none ended. If it is wrong, it conflicts."""
        unit = UnitOfWork((), identities, ends=ends)
        unit.read({}, dict.fromkeys(identities, ()), dict.fromkeys(ends, ""), self._silences.known)
        return unit

    def unit_of_work(
        self,
        ids: Sequence[str] = (),
        identities: Sequence[str] = (),
        *,
        ends: Sequence[str] = (),
        channels: bool = False,
    ) -> UnitOfWork:
        """The named incidents as they are stored now. Raises `StoreUnavailable`."""
        unit = UnitOfWork(ids, identities, ends=ends, channels=channels)
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
                # A successor may be there already: its ID is always the same.
                unit.wanted_ids = [*unit.wanted_ids, *(i for i, one in unit.saved.items() if one.previous_id)]
                if unit.goes_by_silences:
                    self._silences.read()
                self._read(unit)
            result = work(unit)
            stored = unit.stored(enqueued)
            if unit.is_empty or self._commit(unit, stored):
                return result, stored
        raise StoreUnavailable("Too many writers at the same incident.")

    def get(self, incident_id: str) -> Incident | None:
        """The incident, or None. Raises `StoreUnavailable`."""
        return self._reader.incidents([incident_id]).get(incident_id)

    def require(self, incident_id: str) -> Incident:
        """The incident. Raises `IncidentNotFound` and `StoreUnavailable`."""
        return required(self.get(incident_id))

    def deliveries(self, incident_id: str) -> dict[Destination, Delivery]:
        """What every channel that was tried has of the incident. Raises `StoreUnavailable`."""
        row = self._reader.rows([incident_id], channels=True).get(incident_id)
        return {} if row is None else deliveries_in(row.fields)

    def payload(self, incident_id: str) -> Any:
        """The sender's newest body about this incident; None when there is none, a text if it is damaged."""
        payload = self._connection.call("GET", PAYLOAD + incident_id)
        try:
            return None if payload is None else json.loads(payload)
        except ValueError:
            return payload

    def page(self, wanted: search.Search, limit: int, cursor: str | None) -> search.SearchPage:
        """The newest incidents that are wanted, `limit` at the most; see `app/store/search.py`."""
        return search.page(self._connection, self._reader, wanted, limit, cursor)

    def soonest(self, limit: int) -> list[Incident]:
        """The pending incidents that page first, `limit` at the most, the first of them first."""
        return search.soonest(self._connection, self._reader, limit)

    def _read(self, unit: UnitOfWork) -> None:
        found = self._connection.calls(names_of(unit.wanted_identities))
        by_identity = dict(zip(unit.wanted_identities, found, strict=True))
        named = (id_of(name) for names in found for name in names)
        wanted = list(dict.fromkeys([*unit.wanted_ids, *named]))
        found = self._connection.calls([("HGET", ENDS + one, "at") for one in unit.wanted_ends])
        if unit.request:
            unit.became = self._connection.call(*what_became(unit.request)) or ""
        ends = {identity: end or "" for identity, end in zip(unit.wanted_ends, found, strict=True)}
        rows = self._reader.rows(wanted, channels=unit.channels)
        unit.read(rows, by_identity, ends, self._silences.known)

    def _commit(self, unit: UnitOfWork, stored: Sequence[Stored]) -> bool:
        token = secrets.token_hex(8)
        commands = unit.commands(token, stored, self._sources, self._bodies.room())
        done = self._commit_step(token, list(unit.checks()), commands)
        if done:
            unit.committed(token)
        return done
