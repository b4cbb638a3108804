"""Three thousand incidents due at once, at the documented 120 a minute: takes 25 minutes, by hand only."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable
from datetime import datetime

from app.domain.alert import SEVERITIES, Severity
from benchmarks.drain import accepted, attempts_per_incident, overtaken, ranks, share_of_allowed
from benchmarks.report import Row, at_least, at_most, percentile, spread
from benchmarks.service import Service, memory
from benchmarks.stand_in import OTHER_SOURCE, SOURCE

INCIDENTS = 3_000
PER_MINUTE = 120
AT_ONCE = 50
OTHER_APART_SECONDS = 10.0
OTHER_WAIT_SECONDS = 5.0
# What two claims that were made one after the other may do to the order of their requests.
IN_FLIGHT = 50


def storm120() -> Iterable[Row]:
    """One worker, its limit and incident.io's both 120 a minute, severities mixed."""
    with Service(max_per_minute=PER_MINUTE) as service:
        service.stand_in.limit(per_minute=PER_MINUTE)
        worker = service.start_worker()
        service.ready()
        _warm_up(service)
        severities = _post(service)
        before = memory(worker)[0]
        others = _Others(service)
        others.start()
        service.stand_in.wait_for(INCIDENTS, INCIDENTS / PER_MINUTE * 90 + 60)
        others.stop()
        after = memory(worker)[0]
        requests = service.stand_in.requests()
    events = accepted(requests, SOURCE)
    order = ranks(events, severities)
    late = others.late({e.body["deduplication_key"]: e.at for e in accepted(requests, OTHER_SOURCE)})
    what = f"{INCIDENTS:,} due at once, {PER_MINUTE} a minute"
    yield at_most(f"{what}: attempts for each", attempts_per_incident(requests, SOURCE), 1.05, "")
    share = share_of_allowed(events, PER_MINUTE)
    yield at_least(f"{what}: rate, as a share of what is allowed", share, 0.95, "", shown=f"{share:.3f}")
    yield at_most(
        f"{what}: overtaken by something less severe, by so many places (all / after the first minute)",
        max(overtaken(order[PER_MINUTE:])),
        IN_FLIGHT,
        "places",
        shown=f"{max(overtaken(order))} / {max(overtaken(order[PER_MINUTE:]))}",
    )
    grown = after - before
    yield at_most(
        f"{what}: worker's RSS, all waiting / all left",
        grown,
        5,
        "MiB more",
        shown=f"{before:.1f} / {after:.1f} MiB, {grown:+.1f}",
    )
    yield at_most(
        f"{what}: pages of another alert source meanwhile, one each {OTHER_APART_SECONDS:g} s",
        percentile(late, 99),
        2,
        "s",
        shown=spread(late, "s"),
    )


def _warm_up(service: Service) -> None:
    """The worker has made its threads and connections before its memory is measured."""
    service.client.report([{"title": "Warm up"}] * AT_ONCE, 1.0, incidentio_other_alert_source="other")
    service.stand_in.wait_for(AT_ONCE, 30, OTHER_SOURCE)
    service.stand_in.reset()


def _post(service: Service) -> dict[str, Severity]:
    """The severity of each incident, by its ID; all are due at the same moment."""
    chance = random.Random(3)
    due = time.time() + 20
    severities: dict[str, Severity] = {}
    for _ in range(INCIDENTS // AT_ONCE):
        wanted = chance.choices(SEVERITIES, k=AT_ONCE)
        bodies = [{"title": "Disk full", "severity": severity} for severity in wanted]
        incidents = service.client.report(bodies, due - time.time())["incidents"]
        severities |= {i["id"]: severity for i, severity in zip(incidents, wanted, strict=True)}
    return severities


class _Others(threading.Thread):
    """Incidents of another alert source, one after the other."""

    def __init__(self, service: Service) -> None:
        super().__init__(daemon=True)
        self._service = service
        self._over = threading.Event()
        self._due: dict[str, float] = {}

    def run(self) -> None:
        while not self._over.is_set():
            answer = self._service.client.report(
                {"title": "Queue full"}, OTHER_WAIT_SECONDS, incidentio_other_alert_source="other"
            )
            incident = answer["incident"]
            self._due[incident["id"]] = datetime.fromisoformat(incident["due_at"]).timestamp()
            self._over.wait(OTHER_APART_SECONDS)

    def stop(self) -> None:
        self._over.set()
        self.join()

    def late(self, arrived: dict[str, float]) -> list[float]:
        """Seconds from due time to page; those that were not due when all was over are left out."""
        return [arrived[i] - due for i, due in self._due.items() if i in arrived]
