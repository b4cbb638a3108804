"""The status bar of the dashboard: how the whole is, in a word or a number each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from app.bootstrap import Services
from app.destinations.incident_io.on_call import nobody
from app.domain.state import State
from app.domain.timeline import clock
from app.ops.health import WORKER_SEEN_WITHIN, clock_stepped, lost_data, read_snapshot
from app.store import Budget, Snapshot

HEARTBEAT_LATE = timedelta(seconds=90)
"""Three heartbeats."""
REJECTED_LATELY = timedelta(days=1)
PLENTY = 0.8
"""Of the bytes that bodies may take."""
SCARCE = 0.1
"""Of a rate budget."""


@dataclass(frozen=True, slots=True)
class StatusItem:
    """One thing that is well or not."""

    name: str
    says: str
    well: bool = True
    left: int | None = None
    """Of a rate budget, how much is left; `limit` is the whole."""
    limit: int = 0
    path: str | None = None
    """Where there is more about it."""


@dataclass(frozen=True, slots=True)
class SystemStatus:
    """How the whole is."""

    items: tuple[StatusItem, ...]
    counts: Mapping[State, int]
    """Incidents in each state."""
    rejected: int
    """Bodies that are kept."""
    last_rejected_at: datetime | None
    """When the newest of them was refused, UTC; None when that is more than a day ago."""
    version: str
    """Another one whenever an incident has changed."""
    today: date
    """UTC."""

    @property
    def problems(self) -> list[StatusItem]:
        """What is not well."""
        return [item for item in self.items if not item.well]

    @property
    def tag(self) -> str:
        """Another one whenever anything of this, or an incident, has changed."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:20]


def read_status(services: Services) -> SystemStatus:
    """How the whole is now. Raises `StoreUnavailable`."""
    snapshot = read_snapshot(services)
    now = services.clock()
    items = tuple(_items(services, snapshot, now))
    rejected_at = datetime.fromtimestamp(snapshot.last_rejected_at or 0.0, UTC)
    return SystemStatus(
        items,
        snapshot.states,
        snapshot.rejected,
        rejected_at if now - rejected_at < REJECTED_LATELY else None,
        snapshot.version,
        now.date(),
    )


def _items(services: Services, snapshot: Snapshot, now: datetime) -> Iterator[StatusItem]:
    lost = lost_data(services)
    yield StatusItem("Redis", lost or "answers", well=lost is None)
    if stepped := clock_stepped(services):
        yield StatusItem("Clock", stepped, well=False)
    seen = int(WORKER_SEEN_WITHIN.total_seconds())
    yield StatusItem(
        "Workers",
        str(snapshot.workers) if snapshot.workers else f"none seen in {seen} s: start one",
        well=snapshot.workers > 0,
    )
    yield _overdue(snapshot)
    if services.config.oncall.incident_io.heartbeat_config_id is not None:
        yield _heartbeat(snapshot, now)
    if (people := services.store.traces.on_call()) is not None:
        empty = nobody(people)
        yield StatusItem("On call", empty or "somebody", well=any(people.values()) or not people)
    for pager, budget in snapshot.budgets.items():
        yield _budget(pager.alert_source, budget)
    if waiting := sum(snapshot.notifications.values()):
        yield StatusItem("Notifications", f"{waiting} waiting")
    most = services.config.retention.payload_mib * 2**20
    if snapshot.payload_bytes > PLENTY * most:
        says = f"{snapshot.payload_bytes / most:.0%} of retention.payload_mib"
        yield StatusItem("Bodies kept", says, well=False)
    if snapshot.silenced:
        says = f"{len(snapshot.silenced)} active, holding {sum(snapshot.silenced)}"
        yield StatusItem("Silences", says, path="/silences")
    yield StatusItem("Rejected", str(snapshot.rejected), path="/rejected")


def _overdue(snapshot: Snapshot) -> StatusItem:
    if not snapshot.overdue or snapshot.oldest_due is None:
        return StatusItem("Overdue", "none")
    return StatusItem("Overdue", f"{snapshot.overdue}, since {_at(snapshot.oldest_due)}", well=False)


def _heartbeat(snapshot: Snapshot, now: datetime) -> StatusItem:
    if snapshot.last_heartbeat is None:
        return StatusItem("Heartbeat", "none accepted yet", well=False)
    late = now.timestamp() - snapshot.last_heartbeat > HEARTBEAT_LATE.total_seconds()
    return StatusItem(
        "Heartbeat", f"{'last' if late else 'at'} {_at(snapshot.last_heartbeat)}", well=not late
    )


def _budget(name: str, budget: Budget) -> StatusItem:
    if budget.paused_until is not None:
        return StatusItem(f"Rate of {name}", f"paused until {_at(budget.paused_until)}", well=False)
    if budget.left is None:
        return StatusItem(f"Rate of {name}", "no limit")
    says = f"{budget.left} of {budget.limit} left"
    well = budget.left > SCARCE * budget.limit
    return StatusItem(f"Rate of {name}", says, well, budget.left, budget.limit)


def _at(moment: float) -> str:
    return clock(datetime.fromtimestamp(moment, UTC))
