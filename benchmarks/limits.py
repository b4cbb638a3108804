"""400 due at once, no limit of ours, and a provider that says its own only by 429 and `Retry-After: 1`."""

from __future__ import annotations

import time
from collections.abc import Iterable

from benchmarks.drain import accepted, attempts_per_incident
from benchmarks.report import Row, at_least, at_most
from benchmarks.service import Service
from benchmarks.stand_in import SOURCE

INCIDENTS = 400
AT_ONCE = 50
WORKERS = 2
DUE_AFTER = 8.0
# What the provider takes, and the seconds in which 400 leave at the soonest: a bucket of 20 is full at first.
LIMITS = (("a bucket of 20 a second", {"per_second": 20}, 19.0), ("120 a minute", {"per_minute": 120}, 180.0))
PAGED_WITHIN = 400.0


def limits() -> Iterable[Row]:
    """Two workers, 3 to 4 minutes."""
    for name, limit, soonest in LIMITS:
        with Service(max_per_minute=0) as service:
            service.stand_in.limit(**limit, retry_after=1)
            for _ in range(WORKERS):
                service.start_worker()
            service.ready()
            _post(service)
            service.stand_in.wait_for(INCIDENTS, PAGED_WITHIN)
            requests = service.stand_in.requests()
        events = accepted(requests, SOURCE)
        share = soonest / (events[-1].monotonic - events[0].monotonic)
        what = f"{INCIDENTS} due at once, our limits off, the provider takes {name}"
        yield at_least(f"{what}: rate, as a share of that", share, 0.9, "", shown=f"{share:.3f}")
        yield at_most(f"{what}: attempts for each", attempts_per_incident(requests, SOURCE), 1.5, "")


def _post(service: Service) -> None:
    due = time.time() + DUE_AFTER
    for _ in range(INCIDENTS // AT_ONCE):
        service.client.report([{"title": "Disk full"}] * AT_ONCE, due - time.time())
