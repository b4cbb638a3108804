"""What it takes Redis to let 100,000 old incidents go, and for how long it blocks others."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import redis

from app.domain.alert import Alert
from app.domain.delivery import Destination
from app.domain.incident import Incident
from app.store import Store, UnitOfWork
from app.store.retention import BATCH, REMEMBERED
from benchmarks.report import Row, at_most
from local.embedded import EmbeddedRedis

MANY = 100_000
PAGER = Destination("incident_io/default")
PAYLOAD = '{"body": "' + "x" * 1_500 + '"}'
KEEP = timedelta(days=30)
LONGEST_MILLISECONDS = 5.0
TURN_SECONDS = 0.5
# About as long as the script that removes a batch.
IDLE = "for _ = 1, 600 do redis.call('GET', 'versus:version') end"
# What is quicker is not told apart: to note every command would slow them down.
SLOW_MICROSECONDS = 100
LOG_LENGTH = 100_000


def retention() -> Iterable[Row]:
    """How long it takes in all; the longest single command, against the longest while nothing is removed.

    The two take turns: where a server has to wait for a core, any command looks long. So a client that
    removes nothing reads as many records, and runs a script that takes about as long.
    """
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedRedis(Path(folder)).start()
        try:
            store, client = Store(server.url), redis.Redis.from_url(server.url)
            _fill(store)
            client.config_set("slowlog-log-slower-than", SLOW_MICROSECONDS)
            client.config_set("slowlog-max-len", LOG_LENGTH)
            yield from _removal(store, client, "resolved incidents", timedelta(0))
            yield from _removal(store, client, "IDs of removed ones, 8 days later", REMEMBERED)
        finally:
            server.stop()


def _removal(store: Store, client: redis.Redis, what: str, later: timedelta) -> Iterable[Row]:
    some = [f"{n:032}" for n in range(MANY - BATCH, MANY)]
    idle = client.register_script(IDLE)

    def remove_nothing() -> bool:
        store.incidents.unit_of_work(some)
        idle()
        return True

    more, took = True, 0.0
    noise: list[float] = []
    removing: list[float] = []
    while more:
        noise.append(_longest(client, remove_nothing)[0])
        began = time.monotonic()
        longest, more = _longest(client, lambda: store.retention.forget(store.now() + later, KEEP, MANY))
        took += time.monotonic() - began
        removing.append(longest)
    by = median(removing) - median(noise)
    yield Row(f"retention: to remove {MANY:,} {what}", f"{took:.1f} s")
    yield at_most(
        f"… longest command of {len(removing)} turns of {TURN_SECONDS} s (median / max)",
        by,
        LONGEST_MILLISECONDS,
        "ms more",
        shown=f"{_shown(removing)}; while nothing is removed {_shown(noise)}: {by:.2f} ms more",
    )


def _longest(client: redis.Redis, step: Callable[[], bool]) -> tuple[float, bool]:
    """The longest command of a turn, ms, as the server tells it, and whether there is more to do."""
    client.slowlog_reset()
    began, more = time.monotonic(), True
    while more and time.monotonic() - began < TURN_SECONDS:
        more = step()
    log: Any = client.slowlog_get(LOG_LENGTH)
    ours = [entry["duration"] for entry in log if not entry["command"].startswith(b"SLOWLOG")]
    return max(ours, default=SLOW_MICROSECONDS) / 1000, more


def _shown(longest: list[float]) -> str:
    return f"{median(longest):.2f} / {max(longest):.2f} ms"


def _fill(store: Store) -> None:
    old = store.now() - 2 * KEEP
    alert = Alert(title="Disk full on host 1234", source="grafana")
    for start in range(0, MANY, 500):
        unit = store.incidents.assume_new([])
        opened = [
            Incident.opened(f"{n:032}", alert, old, due_at=None, pager=PAGER)
            for n in range(start, start + 500)
        ]
        _write(store, unit, opened)
        _write(store, unit, [one.resolved("grafana", old) for one in opened])


def _write(store: Store, unit: UnitOfWork, incidents: list[Incident]) -> None:
    def work(unit: UnitOfWork) -> None:
        for one in incidents:
            unit.save(one, PAYLOAD)

    store.incidents.update(unit, work, lambda *_: False)
