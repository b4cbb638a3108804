"""Three thousand incidents due at once on one alert source, and a few of another one meanwhile."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import psutil

from app.domain.alert import SEVERITIES, Severity
from benchmarks.drain import accepted, ranks
from local.incident_io_rules import Request
from local.processes import Process
from tests.fakes import API_KEY
from tests.stories.stack import Stack, wait_until

INCIDENTS = 3_000
PER_MINUTE = 1_200
# In arrays of as many as are enqueued as a message each.
AT_ONCE = 50
POSTED_WITHIN = 30.0
"""Seconds; as many more as the machine needs, see `_warm_up`."""
# The share of each severity, the worst first: what is critical or high fits into the first minute.
SHARES = (5, 15, 45, 25, 10)

SOURCE = "source-default"
OTHER_SOURCE = "source-infra"
# With a key of its own: what one key may send is limited too.
OTHER_KEY = "test-api-key-of-infra"
# One a second, for as long as the storm may last.
OTHERS = 150

WORKERS = 2
# Each worker may have so many events on their way at a time.
IN_FLIGHT = WORKERS * 50
DRAINED_WITHIN = 600.0
MIB = 2**20


# A failed test that showed thousands of requests would show nothing.
@dataclass(frozen=True, repr=False)
class Storm:
    """What came of 3,000 incidents due at once."""

    requests: list[Request]
    severities: dict[str, Severity]
    others_due: dict[str, float]
    """Incident ID and due time (Unix) of those of the other alert source."""
    memory_before: list[float]
    memory_after: list[float]
    """RSS of each worker with its children, MiB: while all wait, and once all have left."""

    @property
    def events(self) -> list[Request]:
        """What incident.io took, in order, without the other alert source's."""
        return accepted(self.requests, SOURCE)

    @property
    def order(self) -> list[int]:
        """How severe the incident of each of these events is, 0 for the worst."""
        return ranks(self.events, self.severities)

    def lateness_of_others(self) -> list[float]:
        """Seconds from due time to arrival, of those that were due while the storm drained."""
        end = self.events[-1].at
        arrived = {e.body["deduplication_key"]: e.at for e in accepted(self.requests, OTHER_SOURCE)}
        due = {i: due for i, due in self.others_due.items() if due < end}
        return [arrived.get(incident_id, end) - moment for incident_id, moment in due.items()]


def settings(max_per_minute: int) -> dict[str, object]:
    """Of the block `incident_io`, for `Stack`."""
    infra = {"id": OTHER_SOURCE, "api_key": OTHER_KEY}
    return {"max_per_minute": max_per_minute, "other_alert_source_config_ids": {"infra": infra}}


def run(stack: Stack) -> Storm:
    """The storm, from the first webhook to the last page."""
    stack.simulator.keys = {API_KEY: {SOURCE}, OTHER_KEY: {OTHER_SOURCE}}
    stack.simulator.per_minute = PER_MINUTE
    posted_within = max(POSTED_WITHIN, _warm_up(stack))
    chance = random.Random(3)
    wanted = [SEVERITIES[n] for n, share in enumerate(SHARES) for _ in range(INCIDENTS * share // 100)]
    chance.shuffle(wanted)
    due = time.time() + posted_within
    others_due = dict(_others(stack, due))
    severities = dict(_post(stack, wanted, due))
    assert time.time() < due - 2, "this machine is too slow to post the storm before it is due"
    before = [_memory(worker) for worker in stack.workers]
    wait_until(lambda: len(_drained(stack)) == INCIDENTS, "all of them paged", DRAINED_WITHIN)
    after = [_memory(worker) for worker in stack.workers]
    return Storm(list(stack.simulator.requests), severities, others_due, before, after)


def _drained(stack: Stack) -> set[str]:
    alerts = list(stack.simulator.alerts)
    return {key for source, key in alerts if source == SOURCE}


def _warm_up(stack: Stack) -> float:
    """Each worker has made its threads and connections before anything is measured.

    Returns twice the seconds in which all would be posted as fast as these few. One by itself takes no longer
    than an array.
    """
    began = time.monotonic()
    for _ in range(4):
        answer = stack.post([{"title": "warm up"}] * AT_ONCE, oncall_wait_minutes="0.01", **_INFRA)
        assert answer.status_code == 201
    for_each = (time.monotonic() - began) / 4
    wait_until(lambda: len(stack.simulator.alerts) == 4 * AT_ONCE, "the workers are warm")
    stack.simulator.reset()
    return 2 * for_each * (OTHERS + INCIDENTS / AT_ONCE)


_INFRA = {"incidentio_other_alert_source": "infra"}


def _post(stack: Stack, wanted: Sequence[Severity], due: float) -> Iterator[tuple[str, Severity]]:
    for start in range(0, len(wanted), AT_ONCE):
        severities = wanted[start : start + AT_ONCE]
        bodies = [{"title": "Disk full", "severity": severity} for severity in severities]
        answer = stack.post(bodies, oncall_wait_minutes=f"{(due - time.time()) / 60:.6f}")
        assert answer.status_code == 201, answer.text
        ids = [incident["id"] for incident in answer.json()["incidents"]]
        yield from zip(ids, severities, strict=True)


def _others(stack: Stack, due: float) -> Iterator[tuple[str, float]]:
    for n in range(OTHERS):
        incident = stack.report(due + n - time.time(), incidentio_other_alert_source="infra")
        yield incident["id"], datetime.fromisoformat(incident["due_at"]).timestamp()


def _memory(worker: Process) -> float:
    parent = psutil.Process(worker.pid)
    return sum(p.memory_info().rss for p in (parent, *parent.children(recursive=True))) / MIB
