"""The silences, which incidents each of them holds, and which have yet to be settled.

`silences` (hash) has every silence by its ID, as JSON, and `v`, which is new with every change of the list:
the step that stores or claims an incident compares it, so that no process goes by an old list. Those that
ended are kept for a while. `silenced:<id>` (sorted set) has the incidents that a silence holds: 0, or 1 for
one that is resolved; it is part of the step that writes the incident. `unsettled` (sorted set) has each
silence by when the incidents it holds are to be brought in line with it: at once when it was made or ended,
then at its end.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from pydantic import TypeAdapter

from app.domain.incident import Incident
from app.domain.silence import Silence, Silences
from app.domain.state import Phase, State
from app.store.connection import PREFIX, Command, Connection
from app.store.documents import rewritten, written
from app.store.keys import BY_STATE, VERSION
from app.store.transaction import Check, committing
from app.telemetry import log

SILENCES = PREFIX + "silences"
SILENCED = PREFIX + "silenced:"
UNSETTLED = PREFIX + "silences:unsettled"
SETTLING = PREFIX + "silences:settling"
DOC = TypeAdapter(Silence)

KEPT = timedelta(days=30)
"""For which a silence that ended is shown."""
MOST = 500
"""Silences that are kept, those that ended included; of these the oldest go first."""
LEASE_MS = 5_000
"""For which the work of settling is one process's own; each batch renews it."""
MOST_CONFLICTS = 20


class SilenceNotFound(Exception):
    """There is no silence with this ID, or none any more."""


class TooManySilences(Exception):
    """No more silences fit."""


def index(before: Incident | None, after: Incident) -> Iterator[Command]:
    """The commands that note which silence holds an incident; part of the step that writes it."""
    was, held = _place(before), _place(after)
    if was != held:
        if held is not None:
            yield "ZADD", SILENCED + held[0], held[1], after.id
        if was is not None and (held is None or was[0] != held[0]):
            yield "ZREM", SILENCED + was[0], after.id


def _place(incident: Incident | None) -> tuple[str, int] | None:
    if incident is None or incident.silence_id is None:
        return None
    return incident.silence_id, int(incident.phase is Phase.RESOLVED)


def unchanged(silences: Silences) -> Check:
    """The list is still this one."""
    return SILENCES, "v", silences.version


class SilenceList:
    """The silences. All that asks or writes raises `StoreUnavailable`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._commit = committing(connection)
        self._docs: Mapping[str, str] = {}
        self.known = Silences()
        """As they were read last; what is stored by it is compared with the version of the list."""

    def read(self) -> Silences:
        """As they are now, the newest first."""
        fields: Mapping[str, str] = self._connection.call("HGETALL", SILENCES)
        if fields.get("v", "") != self.known.version:
            read = [one for name, doc in fields.items() if name != "v" and (one := _silence(name, doc))]
            read.sort(key=lambda one: one.created_at, reverse=True)
            self.known, self._docs = Silences(fields.get("v", ""), tuple(read)), fields
        return self.known

    def require(self, silence_id: str) -> Silence:
        """The silence. Raises `SilenceNotFound`."""
        found = next((one for one in self.read().all if one.id == silence_id), None)
        if found is None:
            raise SilenceNotFound(
                "There is no such silence: `versus silence` or GET /api/silences lists those that there are."
            )
        return found

    def save(self, silence: Silence, now: datetime) -> None:
        """Add it, or write it anew. Raises `TooManySilences`."""
        for _ in range(MOST_CONFLICTS):
            known = self.read()
            version = secrets.token_hex(8)
            commands: list[Command] = [
                *(("HDEL", SILENCES, old) for old in _outdated(known, silence, now)),
                ("HSET", SILENCES, "v", version, silence.id, self._doc(known, silence)),
                ("ZADD", UNSETTLED, now.timestamp(), silence.id),
                ("INCR", VERSION),
            ]
            if self._commit(version, [unchanged(known)], commands):
                self.read()
                return
        raise TooManySilences("Too many silences are being changed at the same time: try again.")

    def _doc(self, known: Silences, silence: Silence) -> str:
        """With what only another version knows of it."""
        before = next((one for one in known.all if one.id == silence.id), None)
        was = self._docs.get(silence.id, "")
        return rewritten(DOC, before, silence, was) if before and was else written(DOC, silence)

    def counts(self, ids: Sequence[str]) -> dict[str, int]:
        """How many incidents that are not resolved each of these holds."""
        counts = self._connection.calls([("ZCOUNT", SILENCED + one, 0, 0) for one in ids])
        return dict(zip(ids, map(int, counts), strict=True))

    # -- settling ------------------------------------------------------------------------------------

    def unsettled(self, now: datetime) -> list[str]:
        """The silences with which incidents are to be brought in line now."""
        found: list[str] = self._connection.call("ZRANGEBYSCORE", UNSETTLED, "-inf", now.timestamp())
        return found

    def acquire(self) -> str | None:
        """The right to settle them, for a few seconds; None if another process has it.

        Two that settle at the same time do no harm, so it is no harm either if Redis's clock steps.
        """
        token = secrets.token_hex(8)
        return token if self._connection.call("SET", SETTLING, token, "NX", "PX", LEASE_MS) else None

    def renew(self) -> None:
        """Keep that right for some more seconds."""
        self._connection.call("PEXPIRE", SETTLING, LEASE_MS)

    def release(self) -> None:
        """Somebody else may settle."""
        self._connection.call("DEL", SETTLING)

    def concerned(self, silence_id: str, active: bool) -> list[str]:
        """The incidents that may have to change: while it is active, all that are not resolved, the newest
        first; then those that it held."""
        if not active:
            held: list[str] = self._connection.call("ZRANGE", SILENCED + silence_id, 0, -1)
            return held
        states = [state for state in State if state is not State.RESOLVED]
        lists = self._connection.calls([("ZREVRANGE", BY_STATE + state, 0, -1) for state in states])
        return [incident_id for some in lists for incident_id in some]

    def forget(self, silence_id: str, incident_ids: Sequence[str]) -> None:
        """These incidents are gone."""
        self._connection.call("ZREM", SILENCED + silence_id, *incident_ids)

    def settled(self, silence_id: str, silences: Silences, now: datetime) -> None:
        """All incidents are in line with the silence, until it ends; nothing is noted if the list has
        changed."""
        silence = next((one for one in silences.all if one.id == silence_id), None)
        active = silence is not None and silence.is_active(now)
        command: Command = ("ZREM", UNSETTLED, silence_id)
        if silence is not None and active:
            command = ("ZADD", UNSETTLED, silence.over_at.timestamp(), silence_id)
        self._commit(secrets.token_hex(8), [unchanged(silences)], [command])


def _outdated(known: Silences, new: Silence, now: datetime) -> Iterator[str]:
    """Those that need not be kept any more. Raises `TooManySilences`."""
    over = sorted((one for one in known.all if not one.is_active(now)), key=lambda one: one.over_at)
    room = MOST - len({one.id for one in known.all} | {new.id})
    for one in over:
        if one.id != new.id and (room < 0 or now - one.over_at > KEPT):
            room += 1
            yield one.id
    if room < 0:
        raise TooManySilences(f"There are {MOST} silences already: end some of them first.")


def _silence(silence_id: str, doc: str) -> Silence | None:
    try:
        return DOC.validate_json(doc)
    except ValueError:
        # If in doubt, page.
        log.error("silence_unreadable", silence=silence_id)
        return None
