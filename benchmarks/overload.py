"""Ten times the webhooks that the machine takes: what becomes of them, and of everybody else."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import requests

from benchmarks.flood import Sent
from benchmarks.intake import SHORT, WARM_UP, bodies, closed_loop, on_schedule, rate
from benchmarks.report import Row, at_most, percentile, spread
from benchmarks.service import Service
from local.processes import ROOT

TIMES = 10
SECONDS = 60
OTHER_SECONDS = 10
FLOODS = 2
"""Processes that send it."""
REQUESTS = 1_500
APART_SECONDS = 0.5
PATIENCE_SECONDS = 10


def overload() -> Iterable[Row]:
    """What is stored, how long answers take, and whether another sender and people notice."""
    with Service() as service:
        service.start_worker()
        service.ready()
        closed_loop(service.client, SHORT, bodies(WARM_UP))
        takes = rate(closed_loop(service.client, SHORT, bodies(REQUESTS)))
        link = service.client.report({"title": "Disk full"}, 7_200)["incident"]["ack_url"]
        before = on_schedule(service.client, OTHER_SECONDS)
        with ThreadPoolExecutor(FLOODS + 1) as pool:
            floods = [pool.submit(_flood, service.client.port, takes * TIMES / FLOODS) for _ in range(FLOODS)]
            people = _people(service, link, time.monotonic() + SECONDS)
            sent = [flood.result() for flood in floods]
        after = on_schedule(service.client, OTHER_SECONDS)
        stored = [one for flood in sent for status, _, one in flood["answers"] if status == 201]
        lost = len(stored) - service.redis.existing([f"versus:incident:{one}" for one in stored])
        counted = _refused(service)
    yield from _rows(takes, sent, lost, counted)
    yield from _others(people, before, after)


def _flood(port: int, a_second: float) -> Sent:
    command = [sys.executable, "-m", "benchmarks.flood", str(port), str(a_second), str(SECONDS)]
    said = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    found: Sent = json.loads(said)
    return found


def _people(service: Service, link: str, until: float) -> list[tuple[int, float]]:
    """Status, 0 for none, and seconds of requests that people and watchdogs make meanwhile."""
    paths = [f"{service.client.base}{path}" for path in ("/healthz", "/login", "/metrics")]
    answered = []
    while time.monotonic() < until:
        for url in (*paths, link):
            began = time.monotonic()
            try:
                status = requests.get(url, timeout=PATIENCE_SECONDS).status_code
            except requests.RequestException:
                status = 0
            answered.append((status, time.monotonic() - began))
        time.sleep(APART_SECONDS)
    return answered


def _refused(service: Service) -> float:
    """What `/metrics` says, once every web process was asked."""
    lines: list[str] = []
    for _ in range(20):
        lines = requests.get(f"{service.client.base}/metrics", timeout=30).text.splitlines()
    return sum(float(line.split()[1]) for line in lines if line.startswith("versus_webhooks_refused_total"))


def _rows(takes: float, sent: list[Sent], lost: int, counted: float) -> Iterable[Row]:
    answers = [answer for flood in sent for answer in flood["answers"]]
    statuses = Counter(status for status, _, _ in answers)
    began = sum(flood["sent"] for flood in sent)
    seconds = max(flood["seconds"] for flood in sent)
    yield Row("webhooks a second that the machine takes, with this client", f"{takes:.0f}")
    yield Row(f"sent for {SECONDS} s without waiting", f"{began / seconds:.0f} a second, {began:,} in all")
    shown = ", ".join(f"{count:,} × {status}" for status, count in sorted(statuses.items()))
    yield Row("answers", f"{shown} (0: none); {statuses[201] / seconds:.0f} stored a second")
    yield at_most("answered 201 and not stored", lost, 0, "")
    none = statuses[0] + began - len(answers)
    yield at_most("no answer, or no connection", 100 * none / began, 1, "%", shown=f"{none:,} of {began:,}")
    yield at_most("refused, by the client's count less that of /metrics", abs(statuses[503] - counted), 0, "")
    took = [one for status, one, _ in answers if status]
    yield at_most(
        "time to the answer, 503 included (p50 / p99 / max)",
        percentile(took, 99),
        3,
        "s",
        shown=spread(took, "s"),
    )


def _others(people: list[tuple[int, float]], before: list[float], after: list[float]) -> Iterable[Row]:
    refused = [status for status, _ in people if status != 200]
    took = [seconds for _, seconds in people]
    what = "/healthz, /login, /metrics and a link meanwhile"
    yield at_most(f"{what}: not answered 200", len(refused), 0, "", shown=f"{len(refused)} of {len(people)}")
    yield at_most(f"{what} (p50 / p99 / max)", percentile(took, 99), 3, "s", shown=spread(took, "s"))
    shown = f"{spread(before, 'ms', 1000)} before, {spread(after, 'ms', 1000)} after"
    yield at_most(
        "another sender, 50 a second (p50 / p99 / max)",
        median(after) / median(before),
        1.5,
        "times",
        shown=shown,
    )
