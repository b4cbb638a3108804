"""A million pending incidents: what the sweep, web, a worker's start and `/metrics` take then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from statistics import median

import requests

from app.store import Store
from benchmarks.intake import AT_ONCE, on_schedule
from benchmarks.pages import starts
from benchmarks.report import Row, at_most, percentile, spread
from benchmarks.service import MIB, Service

PENDING = 1_000_000
WAIT_SECONDS = 7 * 24 * 3600.0
RATE_SECONDS = 20
STARTS = 3
TURNS = 200
CHECKED = 100
"""Due entries that a sweep takes at the most."""


def million() -> Iterable[Row]:
    """Some 10 minutes, most of them to store the incidents, and 3 GiB."""
    with Service() as service:
        worker = service.start_worker()
        service.ready()
        began = time.monotonic()
        for start in range(0, PENDING, AT_ONCE):
            service.client.report(
                [{"title": f"Disk full on host {start + n}"} for n in range(AT_ONCE)], WAIT_SECONDS
            )
        yield Row(f"{PENDING:,} stored", f"{PENDING / (time.monotonic() - began):.0f} a second")
        yield Row("Redis", f"{service.redis.memory() / MIB:.0f} MiB")
        took = times(sweep(Store(service.redis_url)))
        yield at_most(
            "the sweep's look at what is due", median(took) * 1000, 3, "ms", shown=spread(took, "ms", 1000)
        )
        took = on_schedule(service.client, RATE_SECONDS)
        what = "webhook answered, 50 a second (p50 / p99 / max)"
        yield at_most(what, percentile(took, 99) * 1000, 10, "ms", shown=spread(took, "ms", 1000))
        metrics = f"{service.client.base}/metrics"
        with requests.Session() as session:
            took = times(lambda: session.get(metrics, timeout=30))
        yield at_most("/metrics", median(took) * 1000, 10, "ms", shown=spread(took, "ms", 1000))
        took = starts(service, worker, STARTS)
        what = f"worker starts, a page is due: page leaves ({STARTS} starts)"
        yield at_most(what, median(took), 1, "s", shown=spread(took, "s"))


def sweep(store: Store) -> Callable[[], object]:
    """A look at all that is due."""

    def look() -> object:
        now = store.now()
        return store.delivery_queue.pagers(now), store.delivery_queue.next_checks(now, CHECKED)

    return look


def times(what: Callable[[], object]) -> list[float]:
    """Seconds that it takes, each of some times."""
    took = []
    for _ in range(TURNS):
        began = time.monotonic()
        what()
        took.append(time.monotonic() - began)
    return took
