"""How late a page leaves: alone, in a crowd, and when the worker comes only after it was due."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from benchmarks.redis_side import Work
from benchmarks.report import Row, at_most, percentile, spread
from benchmarks.service import Service
from local.processes import Process

SINGLES = 20
# Not a multiple of the sweep's second, so that each one meets it at another moment.
SPACING_SECONDS = 1.3
# Count, goal for the 99th percentile in seconds, incidents in one webhook.
CROWDS = ((100, 1.0, 1), (2_000, 5.0, 1), (2_000, 5.0, 50))
SENDERS = 8
PAGED_WITHIN = 120.0

STARTS = 5
# Long enough for the worker to take the message before it is killed.
START_WAIT_SECONDS = 2.0

Incidents = Sequence[dict[str, Any]]


def lateness() -> Iterable[Row]:
    """From `due_at` to the moment at which incident.io has read the request."""
    with Service() as service:
        service.start_worker()
        service.ready()
        late = singles(service, SINGLES, SPACING_SECONDS)
        yield at_most(
            f"page leaves after due_at, {SINGLES} of them {SPACING_SECONDS} s apart (p50 / p99 / max)",
            max(late),
            1.5,
            "s",
            shown=spread(late, "s"),
        )
        for count, goal, at_once in CROWDS:
            yield from _crowd(service, count, goal, at_once)


def singles(service: Service, count: int, apart: float) -> list[float]:
    """Seconds between due time and page of so many incidents, due so many seconds apart."""
    first = time.time() + 3
    service.stand_in.reset()
    with ThreadPoolExecutor(SENDERS) as senders:
        moments = [first + n * apart for n in range(count)]
        incidents = list(senders.map(lambda moment: _report(service, moment), moments))
    return _late(service, incidents)


def _crowd(service: Service, count: int, goal: float, at_once: int) -> Iterator[Row]:
    service.stand_in.reset()
    # Time enough to post them all, even on a busy machine.
    due = time.time() + 3 + count / 150
    incidents = _post_crowd(service, count, at_once, due)
    time.sleep(max(0.0, due - 0.5 - time.time()))
    before = service.redis.work()
    late = _late(service, incidents)
    posted = "posted one by one" if at_once == 1 else f"posted in arrays of {at_once}"
    what = f"{count:,} due in one second, {posted}"
    yield at_most(
        f"page leaves after due_at, {what}", percentile(late, 99), goal, "s", shown=spread(late, "s")
    )
    yield Row(f"pages a second (claimed, sent, recorded), {what}", f"{count / max(late):.0f}")
    if count >= 1_000:
        yield Row(
            f"Redis, for each of these pages, {posted}: round trips / commands / CPU of the server",
            _cost(service.redis.work() - before, count),
        )


def crowd(service: Service, count: int, at_once: int, due: float) -> list[float]:
    """Seconds between due time and page of so many incidents, all due then, posted in arrays."""
    service.stand_in.reset()
    return _late(service, _post_crowd(service, count, at_once, due))


def _cost(work: Work, count: int) -> str:
    return (
        f"{work.round_trips / count:.1f} / {work.calls / count:.1f} / {work.cpu_seconds / count * 1e6:.0f} µs"
    )


def _post_crowd(service: Service, count: int, at_once: int, due: float) -> Incidents:
    def post(_: int) -> list[dict[str, Any]]:
        if at_once == 1:
            return [_report(service, due)]
        bodies = [{"title": "Disk full"}] * at_once
        incidents: list[dict[str, Any]] = service.client.report(bodies, due - time.time())["incidents"]
        return incidents

    with ThreadPoolExecutor(SENDERS) as senders:
        posted = [incident for some in senders.map(post, range(count // at_once)) for incident in some]
    if time.time() > due - 1:
        raise RuntimeError(f"{count} incidents could not be posted before they were due")
    return posted


def start() -> Iterable[Row]:
    """From the start of a worker to the page that was due before."""
    with Service() as service:
        worker = service.start_worker()
        service.ready()
        took = starts(service, worker)
    yield at_most(
        f"worker starts, a page is due: page leaves ({STARTS} starts)",
        max(took),
        3,
        "s",
        shown=spread(took, "s"),
    )


def starts(service: Service, worker: Process, count: int = STARTS) -> list[float]:
    """Seconds to the page, of several starts; ends with no worker alive.

    Each time the worker is killed while it holds the message: only the due list knows of the incident then.
    """
    took = []
    for _ in range(count):
        service.stand_in.reset()
        incident = service.client.report({"title": "Disk full"}, START_WAIT_SECONDS)["incident"]
        time.sleep(START_WAIT_SECONDS / 2)
        worker.kill()
        time.sleep(START_WAIT_SECONDS)
        started = time.time()
        worker = service.start_worker()
        took.append(_paged_at(service, [incident["id"]])[0] - started)
    worker.kill()
    return took


def _report(service: Service, moment: float) -> dict[str, Any]:
    incident: dict[str, Any] = service.client.report({"title": "Disk full"}, moment - time.time())["incident"]
    return incident


def _late(service: Service, incidents: Incidents) -> list[float]:
    paged = _paged_at(service, [incident["id"] for incident in incidents])
    return [at - _moment(incident) for at, incident in zip(paged, incidents, strict=True)]


def _paged_at(service: Service, ids: Sequence[str]) -> list[float]:
    """When the first page of each incident arrived, Unix time; nothing else may have come since `reset`."""
    service.stand_in.wait_for(len(ids), PAGED_WITHIN)
    arrived: dict[str, float] = {}
    for request in service.stand_in.requests():
        if request.accepted:
            arrived.setdefault(request.body["deduplication_key"], request.at)
    return [arrived[incident_id] for incident_id in ids]


def _moment(incident: dict[str, Any]) -> float:
    return datetime.fromisoformat(incident["due_at"]).timestamp()
