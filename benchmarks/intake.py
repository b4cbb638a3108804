"""How fast webhooks are answered: at a steady rate, and as many as eight connections can send."""

from __future__ import annotations

import json
import statistics
import time
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.client import Client
from benchmarks.report import Row, at_most, percentile, spread
from benchmarks.service import Service
from local.processes import ROOT

PAYLOADS = ROOT / "tests" / "senders" / "payloads"
RATE = 50
RATE_SECONDS = 20
CONNECTIONS = 8
WARM_UP = 100

# All rounds together stay below the 5,000 waiting messages above which none is published any more.
ROUNDS = 3
REQUESTS = 1_500

SHORT = "/api/incidents?oncall_wait_minutes=3"
LONG = "/api/incidents?oncall_wait_minutes=120"


def latency() -> Iterable[Row]:
    """At a steady rate, counted from the moment at which each request was to be sent.

    A slow answer delays the requests behind it on the schedule, and they count their delay too.
    """
    with Service() as service:
        service.start_worker()
        service.ready()
        _closed_loop(service.client, SHORT, WARM_UP)
        took = _on_schedule(service.client)
    yield at_most(
        f"webhook answered, {RATE} a second for {RATE_SECONDS} s (p50 / p99 / max)",
        percentile(took, 99) * 1000,
        20,
        "ms",
        shown=spread(took, "ms", 1000),
    )


def throughput() -> Iterable[Row]:
    """Against a bare Flask route, in turns, without a worker that would share the cores."""
    with Service() as short, Service() as long:
        bare = short.start_bare()
        kinds: dict[str, Callable[[], float]] = {
            "a bare Flask route": lambda: _closed_loop(bare, SHORT),
            "wait 2 h": lambda: _closed_loop(long.client, LONG),
            "wait 3 min (a message each)": lambda: _closed_loop(short.client, SHORT),
        }
        rates: dict[str, list[float]] = {kind: [] for kind in kinds}
        for _ in range(ROUNDS):
            for kind, measure in kinds.items():
                rates[kind].append(measure())
    medians = {kind: statistics.median(measured) for kind, measured in rates.items()}
    reference = medians["a bare Flask route"]
    for kind, rate in medians.items():
        share = "" if rate == reference else f", {rate / reference:.2f} of bare"
        yield Row(f"webhooks a second, {CONNECTIONS} connections: {kind}", f"{rate:.0f}{share}")


def _bodies(count: int) -> list[bytes]:
    """Webhooks, each about a problem of its own: a plain body and an Alertmanager's, in turns."""
    plain = _sample("generic_01_full")
    group = _sample("alertmanager_01_firing")
    made = [
        {**plain, "deduplication_key": uuid.uuid4().hex} if n % 2 else {**group, "groupKey": uuid.uuid4().hex}
        for n in range(count)
    ]
    return [json.dumps(body).encode() for body in made]


def _sample(name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((PAYLOADS / f"{name}.json").read_text("utf-8"))["body"]
    return body


def _on_schedule(client: Client) -> list[float]:
    """Seconds from the scheduled moment to the answer, of every request."""
    prepared = _bodies(RATE * RATE_SECONDS)
    began = time.monotonic() + 0.5

    def send(at: float, body: bytes) -> float:
        time.sleep(max(0.0, at - time.monotonic()))
        client.post(SHORT, body)
        return time.monotonic() - at

    schedule = [began + n / RATE for n in range(len(prepared))]
    with ThreadPoolExecutor(CONNECTIONS) as senders:
        return list(senders.map(send, schedule, prepared))


def _closed_loop(client: Client, path: str, count: int = REQUESTS) -> float:
    """Requests a second when each connection sends its next one as soon as it has the answer."""
    prepared = _bodies(count)
    began = time.monotonic()
    with ThreadPoolExecutor(CONNECTIONS) as senders:
        list(senders.map(lambda body: client.post(path, body), prepared))
    return count / (time.monotonic() - began)
