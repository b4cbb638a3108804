"""Ten thousand incidents that wait for two hours: what they cost a worker in memory and in start-up."""

from __future__ import annotations

import time
from collections.abc import Iterable

import psutil

from benchmarks.pages import STARTS, starts
from benchmarks.report import Row, at_most, spread
from benchmarks.service import Service
from local.processes import Process

PENDING = 10_000
AT_ONCE = 1_000
WAIT_SECONDS = 7_200.0

IDLE_SECONDS = 15.0
MIB = 2**20


def storm() -> Iterable[Row]:
    """Memory of a worker with and without them, each idle for the same time; then the start."""
    with Service() as service:
        worker = service.start_worker()
        service.ready()
        empty = _memory(worker)
        yield Row("worker, nothing pending: RSS (PSS)", _shown(empty))
        yield Row(f"{PENDING:,} webhooks in arrays of {AT_ONCE:,}", f"{_post(service):.1f} s")
        yield _growth("the same worker", empty, _memory(worker))
        worker.kill()
        worker = service.start_worker()
        yield _growth("a worker started now", empty, _memory(worker))
        took = starts(service, worker)
    what = f"worker starts, a page is due, {PENDING:,} pending: page leaves ({STARTS} starts)"
    yield at_most(what, max(took), 2, "s", shown=spread(took, "s"))


def _post(service: Service) -> float:
    """Seconds that it takes to store them all."""
    began = time.monotonic()
    for _ in range(PENDING // AT_ONCE):
        service.client.report([{"title": f"Disk full on host {n}"} for n in range(AT_ONCE)], WAIT_SECONDS)
    return time.monotonic() - began


def _memory(worker: Process) -> tuple[float, float]:
    """RSS and PSS of the worker with its children, MiB, after it was idle for a while."""
    time.sleep(IDLE_SECONDS)
    parent = psutil.Process(worker.pid)
    infos = [process.memory_full_info() for process in (parent, *parent.children(recursive=True))]
    return sum(info.rss for info in infos) / MIB, sum(info.pss for info in infos) / MIB


def _shown(memory: tuple[float, float]) -> str:
    return f"{memory[0]:.1f} ({memory[1]:.1f}) MiB"


def _growth(which: str, empty: tuple[float, float], full: tuple[float, float]) -> Row:
    return at_most(
        f"{which}, {PENDING:,} pending: RSS (PSS)",
        full[0] - empty[0],
        5,
        "MiB more",
        shown=f"{_shown(full)}, {full[0] - empty[0]:+.1f}",
    )
