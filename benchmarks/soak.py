"""`make soak MINUTES=60`: what grows while the load is steady and nothing fails.

Ends with 1 when something grows by more than 2 MiB, 2 files or 2 threads an hour. That is the slope of the
minima of equal parts of the time after the first quarter: what rises and falls again is no growth.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import linear_regression

import psutil
import requests

from app.domain.alert import Alert
from app.domain.delivery import Destination
from app.domain.incident import Incident
from app.store import Store, UnitOfWork
from benchmarks.intake import SHORT, bodies, closed_loop
from benchmarks.pages import crowd
from benchmarks.report import Row, machine, table
from benchmarks.service import MIB, SECRET, Service

RATE = 1.0
"""New incidents a second. Each is reported five times in all and then resolved; every other one is
acknowledged before it pages."""
REPEATS = 4
WAIT_SECONDS = 2.0
PEOPLE_EVERY = 5
"""Seconds between two requests for the list, the metrics and the readiness."""
SAMPLE_SECONDS = 5.0
KEPT = timedelta(minutes=72)
"""The least that can be configured. As much is stored at the start as will be removed meanwhile."""

TOO_SHORT = 30
"""Minutes."""
WARM_UP_REQUESTS = 400
WARM_UP_PAGES = 400
WARM_UP = 0.25
"""The part of the time that does not count."""
PARTS = 10
MOST_AN_HOUR = 2.0

PAGER = Destination("incident_io/default")
TEXT = "The disk of a host that has a long name is full, as it was the day before. " * 3


@dataclass(frozen=True, slots=True)
class Sample:
    """What a process has at a moment."""

    at: float
    memory: float
    """MiB that are its own; of Redis, those of its data."""
    files: float
    threads: float


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    minutes: float = parser.parse_args().minutes
    on = machine()
    with Service(keep_days=KEPT / timedelta(days=1)) as service:
        service.start_worker()
        service.ready()
        _store_old(service.redis_url)
        # Every thread and connection that a crowd needs is there.
        closed_loop(service.client, SHORT, bodies(WARM_UP_REQUESTS))
        crowd(service, WARM_UP_PAGES, 50, time.time() + 5)
        samples = _run(service, minutes * 60)
    rows = [row for name, taken in samples.items() for row in _rows(name, taken, minutes >= TOO_SHORT)]
    print(f"\n{on}\n{minutes:g} minutes, {RATE:g} new incidents a second\n\n{table(rows)}")
    if minutes < TOO_SHORT:
        print(f"\nToo short to judge: what grows shows after {TOO_SHORT} minutes or more.")
    return 1 if any(row.met is False for row in rows) else 0


# -- the load ------------------------------------------------------------------------------------------------


def _run(service: Service, seconds: float) -> dict[str, list[Sample]]:
    processes = _processes(service)
    samples: dict[str, list[Sample]] = {name: [] for name in processes}
    began = time.monotonic()
    links: dict[int, str] = {}
    step, sampled = 0, began
    while time.monotonic() - began < seconds:
        _step(service, step, links)
        step += 1
        if time.monotonic() >= sampled:
            for name, process in processes.items():
                samples[name].append(_sample(service, name, process, time.monotonic() - began))
            sampled += SAMPLE_SECONDS
            _show(samples, (time.monotonic() - began) / 60)
        time.sleep(max(0.0, began + step / RATE - time.monotonic()))
    return samples


def _step(service: Service, n: int, links: dict[int, str]) -> None:
    """Problem `n` is new; those before it are repeated, acknowledged, resolved."""
    fired = service.client.report(_body(n), WAIT_SECONDS)
    links[n] = fired["incident"]["ack_url"]
    for older in range(max(0, n - REPEATS), n):
        service.client.report(_body(older), WAIT_SECONDS)
    if n % 2:
        service.client.post(links[n].replace(service.client.base, ""), b"{}")
    if (over := n - REPEATS - 1) in links:
        del links[over]
        service.client.report({**_body(over), "status": "resolved"}, WAIT_SECONDS)
    if n % PEOPLE_EVERY == 0:
        for path in ("/api/incidents?limit=50", "/metrics", "/readyz"):
            requests.get(service.client.base + path, headers={"X-Gateway-Secret": SECRET}, timeout=30)
    if n % 60 == 0:
        # The stand-in remembers all that came.
        service.stand_in.reset()


def _body(n: int) -> dict[str, object]:
    return {"title": f"Disk full on host {n}", "deduplication_key": f"disk {n}", "description": TEXT}


def _store_old(url: str) -> None:
    """What is removed while as much comes: the problems of the time before."""
    store = Store(url)
    now = store.now()
    moments = [now - KEPT + timedelta(seconds=n / RATE) for n in range(int(KEPT.total_seconds() * RATE))]
    for start in range(0, len(moments), 50):

        def work(unit: UnitOfWork, some: Sequence[datetime] = moments[start : start + 50]) -> None:
            for at in some:
                old = _old(at)
                unit.save(old, f'{{"description": "{TEXT}"}}')

        store.incidents.update(store.incidents.assume_new([]), work, lambda *_: False)


def _old(at: datetime) -> Incident:
    number = at.isoformat()
    alert = Alert(title=f"Disk full on {number}", source="generic", description=TEXT, identity=number)
    wait = timedelta(seconds=WAIT_SECONDS)
    one = Incident.opened(f"{at.timestamp():036.6f}", alert, at, due_at=at + wait, pager=PAGER)
    for _ in range(REPEATS):
        one = one.repeated(alert, at, due_at=at + wait, pager=PAGER, asked=False)
    return one.acknowledged("somebody with a link", at).resolved("generic", at)


# -- what is measured ----------------------------------------------------------------------------------------


def _processes(service: Service) -> dict[str, psutil.Process]:
    web = psutil.Process(service.web.pid)
    found = {"web, parent": web}
    found |= {f"web {n}": child for n, child in enumerate(web.children(), 1)}
    found |= {f"worker {n}": psutil.Process(one.pid) for n, one in enumerate(service.workers, 1)}
    return {**found, "Redis": psutil.Process(service.redis_pid)}


def _sample(service: Service, name: str, process: psutil.Process, at: float) -> Sample:
    memory = service.redis.memory() if name == "Redis" else process.memory_full_info().uss
    return Sample(at, memory / MIB, process.num_fds(), process.num_threads())


def _show(samples: dict[str, list[Sample]], minutes: float) -> None:
    if len(next(iter(samples.values()))) % 12 == 1:
        now = ", ".join(f"{name} {taken[-1].memory:.1f}" for name, taken in samples.items())
        print(f"{minutes:3.0f} min  MiB: {now}", file=sys.stderr, flush=True)


def _rows(name: str, samples: Sequence[Sample], judged: bool) -> Iterator[Row]:
    kinds = {"memory, MiB": "memory", "files": "files", "threads": "threads"}
    for shown, attribute in kinds.items():
        values = [(one.at, float(getattr(one, attribute))) for one in samples]
        slope, first, last = growth(values)
        yield Row(
            f"{name}: {shown}",
            f"{first:.1f} → {last:.1f}, {slope:+.2f} an hour",
            f"≤ +{MOST_AN_HOUR:g} an hour",
            slope <= MOST_AN_HOUR if judged else None,
        )


def growth(values: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """The slope, an hour, of the minima of equal parts of the time after the warm-up; the first and last.

    `values`: seconds and a measured value of each moment, in order.
    """
    began, ended = values[0][0], values[-1][0]
    from_ = began + (ended - began) * WARM_UP
    bounds = [from_ + (ended - from_) * n / PARTS for n in range(PARTS)] + [float("inf")]
    parts = [[one for one in values if low <= one[0] < high] for low, high in pairwise(bounds)]
    least = [min(part, key=lambda one: one[1]) for part in parts if part]
    if len(least) < 2:
        return 0.0, least[0][1], least[0][1]
    slope, _ = linear_regression([at / 3600 for at, _ in least], [value for _, value in least])
    return slope, least[0][1], least[-1][1]


if __name__ == "__main__":
    sys.exit(main())
