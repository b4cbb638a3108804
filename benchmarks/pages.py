"""How late a page leaves: alone, in a crowd, and when the worker comes only after it was due."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from benchmarks.report import Row, at_most, spread
from benchmarks.service import Service
from local.processes import Process

SINGLES = 20
# Not a multiple of the sweep's second, so that each one meets it at another moment.
SPACING_SECONDS = 1.3
CROWDS = (100, 500)
SENDERS = 8
PAGED_WITHIN = 60.0

STARTS = 5
# Long enough for the worker to take the message before it is killed.
START_WAIT_SECONDS = 2.0


def lateness() -> Iterable[Row]:
    """From `due_at` to the moment at which incident.io has read the request."""
    with Service() as service:
        service.start_worker()
        service.ready()
        first = time.time() + 3
        late = _pages(service, [first + n * SPACING_SECONDS for n in range(SINGLES)])
        yield at_most(
            f"page leaves after due_at, {SINGLES} of them {SPACING_SECONDS} s apart (p50 / p99 / max)",
            max(late),
            1.5,
            "s",
            shown=spread(late, "s"),
        )
        for count in CROWDS:
            # The later ones must not be due while the last ones are still being posted.
            late = _pages(service, [time.time() + 3 + count / 50] * count)
            yield Row(f"page leaves after due_at, {count} due in one second", spread(late, "s"))
            yield Row(f"pages a second, {count} due in one second", f"{count / max(late):.0f}")


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


def starts(service: Service, worker: Process) -> list[float]:
    """Seconds to the page, of several starts; ends with no worker alive.

    Each time the worker is killed while it holds the message: only the due list knows of the incident then.
    """
    took = []
    for _ in range(STARTS):
        incident = service.client.report({"title": "Disk full"}, START_WAIT_SECONDS)["incident"]
        time.sleep(START_WAIT_SECONDS / 2)
        worker.kill()
        time.sleep(START_WAIT_SECONDS)
        started = time.time()
        worker = service.start_worker()
        took.append(_paged_at(service, [incident["id"]])[0] - started)
    worker.kill()
    return took


def _pages(service: Service, moments: Sequence[float]) -> list[float]:
    """Seconds between due time and page, for incidents due at these moments (Unix time)."""
    service.simulator.reset()

    def report(moment: float) -> dict[str, Any]:
        answer = service.client.report({"title": "Disk full"}, moment - time.time())
        incident: dict[str, Any] = answer["incident"]
        return incident

    with ThreadPoolExecutor(SENDERS) as senders:
        incidents = list(senders.map(report, moments))
    paged = _paged_at(service, [incident["id"] for incident in incidents])
    return [at - _moment(incident) for at, incident in zip(paged, incidents, strict=True)]


def _paged_at(service: Service, ids: Sequence[str]) -> list[float]:
    """When the first page of each incident arrived, Unix time."""
    simulator = service.simulator

    def all_there() -> bool:
        return len(simulator.alerts) >= len(ids) and {key for _, key in list(simulator.alerts)} >= set(ids)

    if not simulator.wait_for(all_there, PAGED_WITHIN):
        raise RuntimeError(f"not all of {len(ids)} pages arrived within {PAGED_WITHIN:g} s")
    arrived: dict[str, float] = {}
    for event in simulator.events():
        arrived.setdefault(event.body["deduplication_key"], event.at)
    return [arrived[incident_id] for incident_id in ids]


def _moment(incident: dict[str, Any]) -> float:
    return datetime.fromisoformat(incident["due_at"]).timestamp()
