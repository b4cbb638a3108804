"""Notices that Redis lost what it knew: emptied, replaced by another, an old backup, a failover.

`epoch` (hash): `id`, random, and new after each loss; `before`, the IDs that it replaced; `lost`, `all` or
`moments`; how many incidents were `pending`; `at`, when it was noticed; `incident`, which one reports it.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.domain.state import State
from app.store.connection import PREFIX, Connection, utc
from app.store.keys import BY_STATE, VERSION
from app.store.transaction import committing
from app.telemetry import log

EPOCH = PREFIX + "epoch"
PENDING = (State.PENDING, State.ESCALATING, State.FAILED)

MOMENTS = 60.0
"""Seconds; a server that knows what was known so long ago lost no more than its last moments."""
REPORTED_WITHIN = timedelta(seconds=5)
"""For which the one who noticed a loss may take to report it; then anybody does."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Redis lost something."""

    epoch: str
    whole: bool
    """False: the last moments alone, as in a failover."""
    pending: int
    """Incidents that were not paged yet."""
    at: datetime
    """When it was noticed, UTC."""
    incident_id: str | None = None
    """The incident that reports it; None: there is none yet."""


@dataclass(slots=True)
class _Known:
    """What one process knows."""

    epoch: str
    versions: deque[tuple[float, int]] = field(default_factory=deque)
    """How many writes there were and when that was read, of the last minute."""
    pending: int = 0

    def read(self, version: int, pending: int) -> None:
        now, self.pending = time.monotonic(), pending
        self.versions.append((now, version))
        while len(self.versions) > 1 and self.versions[1][0] <= now - MOMENTS:
            self.versions.popleft()


class Epoch:
    """Compares what Redis knows with what this process read before. Methods raise `StoreUnavailable`."""

    def __init__(self, connection: Connection, clock: Callable[[], datetime]) -> None:
        self._connection = connection
        self._clock = clock
        self._commit = committing(connection)
        self._known: _Known | None = None
        self.losses = 0
        """How many this process has lived through."""
        self.report: str | None = None
        """The ID of the incident by which this process reported the last one."""

    def check(self) -> Loss | None:
        """A loss that the caller is to report. Called by one thread, again and again."""
        fields, version, *counts = self._connection.calls(
            [("HGETALL", EPOCH), ("GET", VERSION), *(("ZCARD", BY_STATE + state) for state in PENDING)]
        )
        found, writes, known = fields.get("id", ""), int(version or 0), self._known
        if known is not None and found == known.epoch and writes >= known.versions[-1][1]:
            known.read(writes, sum(counts))
        elif known is not None and known.epoch not in fields.get("before", "").split():
            return self._lost(known, found, writes)
        elif not found:
            self._begin("", id=secrets.token_hex(8))
            return None
        else:
            self._adopt(found, writes, sum(counts), fields)
        loss = _loss(fields)
        overdue = loss is not None and self._clock() - loss.at > REPORTED_WITHIN
        return loss if loss is not None and loss.incident_id is None and overdue else None

    def _lost(self, known: _Known, found: str, writes: int) -> Loss | None:
        """Begin a new epoch; None if another process did."""
        moments = found == known.epoch and writes >= known.versions[0][1]
        at, epoch = self._clock(), secrets.token_hex(8)
        begun = self._begin(
            found,
            id=epoch,
            before=f"{known.epoch} {found}",
            lost="moments" if moments else "all",
            pending=str(known.pending),
            at=str(at.timestamp()),
        )
        if not begun:
            return None
        self.losses += 1
        log.error("redis_lost_data", last_moments_only=moments, pending=known.pending)
        self._known, self.report = _Known(epoch), None
        self._known.read(writes, 0)
        return Loss(epoch, not moments, known.pending, at)

    def _begin(self, found: str, **fields: str) -> bool:
        words = [word for pair in fields.items() for word in pair]
        commands = [("DEL", EPOCH), ("HSET", EPOCH, *words)]
        return self._commit(secrets.token_hex(8), [(EPOCH, "id", found)], commands)

    def _adopt(self, found: str, writes: int, pending: int, fields: Mapping[str, str]) -> None:
        if self._known is not None:
            self.losses += 1
            log.error("redis_lost_data", noticed_by="another process", pending=fields.get("pending"))
        self._known, self.report = _Known(found), None
        self._known.read(writes, pending)

    def reported(self, loss: Loss, incident_id: str) -> None:
        """This incident reports the loss."""
        self.report = incident_id
        command = ("HSET", EPOCH, "incident", incident_id)
        self._commit(secrets.token_hex(8), [(EPOCH, "id", loss.epoch)], [command])

    def loss(self) -> Loss | None:
        """The last time that Redis lost all, or most; None if it never did."""
        return _loss(self._connection.call("HGETALL", EPOCH))


def _loss(fields: Mapping[str, str]) -> Loss | None:
    if "lost" not in fields:
        return None
    return Loss(
        fields["id"],
        fields["lost"] == "all",
        int(fields["pending"]),
        utc(fields["at"]),
        fields.get("incident"),
    )
