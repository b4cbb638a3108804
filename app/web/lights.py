"""The strip at the top of the dashboard: how the whole is, in a word or a number each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from app.gateway import Gateway
from app.health import WORKER_SEEN_WITHIN, clock_stepped, lost_data, standing
from app.state import State
from app.store import Budget, Gauges

HEARTBEAT_LATE = timedelta(seconds=90)
"""Three heartbeats."""
PLENTY = 0.8
"""Of the bytes that bodies may take."""
SCARCE = 0.1
"""Of a rate budget."""


@dataclass(frozen=True, slots=True)
class Light:
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
class Standing:
    """How the whole is."""

    lights: tuple[Light, ...]
    counts: Mapping[State, int]
    """Incidents in each state."""
    rejected: int
    """Bodies that are kept."""
    version: str
    """Another one whenever an incident has changed."""
    today: date
    """UTC."""

    @property
    def tag(self) -> str:
        """Another one whenever anything of this, or an incident, has changed."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:20]


def stand(gateway: Gateway) -> Standing:
    """How the whole is now. Raises `Unavailable`."""
    gauges = standing(gateway)
    now = gateway.clock()
    lights = tuple(_lights(gateway, gauges, now))
    return Standing(lights, gauges.states, gauges.rejected, gauges.version, now.date())


def _lights(gateway: Gateway, gauges: Gauges, now: datetime) -> Iterator[Light]:
    lost = lost_data(gateway)
    yield Light("Redis", lost or "answers", well=lost is None)
    if stepped := clock_stepped(gateway):
        yield Light("Clock", stepped, well=False)
    seen = int(WORKER_SEEN_WITHIN.total_seconds())
    yield Light(
        "Workers",
        str(gauges.workers) if gauges.workers else f"none seen in {seen} s: start one",
        well=gauges.workers > 0,
    )
    yield _overdue(gauges)
    if gateway.config.oncall.incident_io.heartbeat_config_id is not None:
        yield _heartbeat(gauges, now)
    for pager, budget in gauges.budgets.items():
        yield _budget(pager.alert_source, budget)
    if waiting := sum(gauges.notifications.values()):
        yield Light("Notifications", f"{waiting} waiting")
    most = gateway.config.retention.payload_mib * 2**20
    if gauges.payload_bytes > PLENTY * most:
        says = f"{gauges.payload_bytes / most:.0%} of retention.payload_mib"
        yield Light("Bodies kept", says, well=False)
    yield Light("Rejected", str(gauges.rejected), path="/rejected")


def _overdue(gauges: Gauges) -> Light:
    if not gauges.overdue or gauges.oldest_due is None:
        return Light("Overdue", "none")
    return Light("Overdue", f"{gauges.overdue}, since {_clock(gauges.oldest_due)}", well=False)


def _heartbeat(gauges: Gauges, now: datetime) -> Light:
    if gauges.last_heartbeat is None:
        return Light("Heartbeat", "none was accepted yet", well=False)
    late = now.timestamp() - gauges.last_heartbeat > HEARTBEAT_LATE.total_seconds()
    return Light("Heartbeat", f"{'last' if late else 'at'} {_clock(gauges.last_heartbeat)}", well=not late)


def _budget(name: str, budget: Budget) -> Light:
    if budget.paused_until is not None:
        return Light(f"Rate of {name}", f"held back until {_clock(budget.paused_until)}", well=False)
    if budget.left is None:
        return Light(f"Rate of {name}", "no limit")
    says = f"{budget.left} of {budget.limit} left"
    well = budget.left > SCARCE * budget.limit
    return Light(f"Rate of {name}", says, well, budget.left, budget.limit)


def _clock(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%H:%M:%S UTC")
