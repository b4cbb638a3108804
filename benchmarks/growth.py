"""What many pending incidents cost: from 100 to 100,000, in one service that is filled step by step."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from benchmarks.intake import AT_ONCE, LONG, WARM_UP, closed_loop, rate, sample
from benchmarks.pages import singles, starts
from benchmarks.picture import PICTURE, Panel, draw
from benchmarks.report import Row, at_most, machine, percentile, spread
from benchmarks.service import Service, memory

LEVELS = (100, 1_000, 3_000, 10_000, 30_000, 100_000)
NOTIFIED = (LEVELS[0], 10_000, 100_000)
"""What stands in the table."""
DRAWN_FROM = 1_000
WAIT_SECONDS = 7_200.0

STARTS = 3
PLAIN = b'{"title": "Disk full on host 1234"}'
REQUESTS = 600
PAGES = 12
PAGES_APART_SECONDS = 0.37
PAYLOADS = 2_000
# Of real size: a webhook may have 1 MiB.
PAYLOADS_AT_ONCE = 200


@dataclass(frozen=True)
class Step:
    """What was measured with so many pending."""

    pending: int
    redis_bytes: float
    """For each pending incident."""
    rss: float
    """MiB, of a worker with its children that was there while they came."""
    fresh_rss: float
    """MiB, of a worker that was started now."""
    fresh_pss: float
    starts: list[float]
    """Seconds from the start of a worker to the page that was due."""
    late: list[float]
    """Seconds from due time to page."""
    answered: list[float]
    """Seconds that each webhook took while eight connections sent as many as they could."""


def growth() -> Iterable[Row]:
    """Rows for some of the levels, and the picture."""
    on = machine()
    steps: list[Step] = []
    with Service() as service:
        for step in _steps(service):
            steps.append(step)
            if step.pending in NOTIFIED:
                yield from _rows(step, steps[0])
    yield Row("Redis, for each pending incident: a title alone / an Alertmanager's group", _sizes())
    drawn = [step for step in steps if step.pending >= DRAWN_FROM]
    draw([step.pending for step in drawn], _panels(drawn), on)
    yield Row("picture", str(PICTURE))


def _steps(service: Service) -> Iterator[Step]:
    worker = service.start_worker()
    service.ready()
    # What connections and scripts take is no part of it.
    closed_loop(service.client, LONG, [PLAIN] * WARM_UP)
    empty = service.redis.memory()
    there = WARM_UP
    for pending in LEVELS:
        _fill(service, pending - there)
        redis_bytes = (service.redis.memory() - empty) / max(1, pending - WARM_UP)
        rss, _ = memory(worker)
        took = starts(service, worker, STARTS)
        worker = service.start_worker()
        service.ready()
        fresh_rss, fresh_pss = memory(worker)
        late = singles(service, PAGES, PAGES_APART_SECONDS)
        answered = closed_loop(service.client, LONG, [PLAIN] * REQUESTS)
        there = pending + REQUESTS
        yield Step(pending, redis_bytes, rss, fresh_rss, fresh_pss, took, late, answered)


def _fill(service: Service, count: int) -> None:
    while count > 0:
        some = min(count, AT_ONCE)
        service.client.report([{"title": f"Disk full on host {n}"} for n in range(some)], WAIT_SECONDS)
        count -= some


def _sizes() -> str:
    """Bytes of `used_memory`, without and with a typical body."""
    shown: list[str] = []
    with Service() as service:
        for body in ({"title": "Disk full"}, sample("alertmanager_01_firing")):
            before = service.redis.memory()
            for start in range(0, PAYLOADS, PAYLOADS_AT_ONCE):
                # Each is a problem of its own.
                bodies = [
                    {**body, "deduplication_key": f"{len(shown)} {start + n}"}
                    for n in range(PAYLOADS_AT_ONCE)
                ]
                service.client.report(bodies, WAIT_SECONDS)
            used = (service.redis.memory() - before) / PAYLOADS
            shown.append(f"{used / 1024:.2f} KiB (body {len(json.dumps(body)):,} bytes)")
    return " / ".join(shown)


def _rows(step: Step, first: Step) -> Iterator[Row]:
    pending = f"{step.pending:,} pending"
    start = statistics.median(step.starts)
    shown = spread(step.starts, "s")
    what = f"worker starts, a page is due, {pending}: page leaves (p50 / p99 / max)"
    if step is first:
        yield Row(f"worker, {pending}: RSS (PSS)", f"{step.fresh_rss:.1f} ({step.fresh_pss:.1f}) MiB")
        yield Row(what, shown)
        return
    more = max(step.rss - first.rss, step.fresh_rss - first.fresh_rss)
    shown_memory = f"{step.fresh_rss:.1f} ({step.fresh_pss:.1f}) MiB, {more:+.1f}"
    yield at_most(f"worker, {pending}: RSS (PSS)", more, 5, "MiB more", shown=shown_memory)
    ratio = start / statistics.median(first.starts)
    yield at_most(what, ratio, 1.25, "times", shown=f"{shown}, {ratio:.2f} times that with {first.pending}")


def _panels(steps: list[Step]) -> list[Panel]:
    return [
        Panel("Webhooks accepted a second", "", {"": [rate(s.answered) for s in steps]}),
        Panel(
            "99 of 100 webhooks are answered within",
            "ms",
            {"": [percentile(s.answered, 99) * 1000 for s in steps]},
        ),
        Panel(
            "A page leaves after it was due",
            "s",
            {
                "median": [percentile(s.late, 50) for s in steps],
                "slowest": [max(s.late) for s in steps],
            },
        ),
        Panel(
            "Memory of a worker (RSS)",
            "MiB",
            {"there before": [s.rss for s in steps], "just started": [s.fresh_rss for s in steps]},
        ),
        Panel("From a worker's start to the page", "s", {"": [statistics.median(s.starts) for s in steps]}),
        Panel("Redis, for each pending incident", "KiB", {"": [s.redis_bytes / 1024 for s in steps]}),
    ]
