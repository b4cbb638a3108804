"""How fast webhooks are answered: at a steady rate, and as many as eight connections can send."""

from __future__ import annotations

import json
import statistics
import time
import uuid
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.client import Client
from benchmarks.report import Row, at_least, at_most, percentile, spread
from benchmarks.service import Service
from local.processes import ROOT

PAYLOADS = ROOT / "tests" / "ingest" / "webhooks" / "payloads"
RATE = 50
RATE_SECONDS = 20
CONNECTIONS = 8
WARM_UP = 100

# All rounds together stay below the 5,000 waiting messages above which none is published any more.
ROUNDS = 5
REQUESTS = 900
MANY_PENDING = 5_000
AT_ONCE = 1_000
RAW_CALLS = 3_000

SHORT = "/api/incidents?oncall_wait_minutes=3"
LONG = "/api/incidents?oncall_wait_minutes=120"

BARE = "a bare Flask route"
MANY = "more than 5,000 pending (no message)"
FEW = "fewer pending (a message each)"
GOALS = {MANY: 0.45, FEW: 0.25}


def latency() -> Iterable[Row]:
    """At a steady rate, counted from the moment at which each request was to be sent.

    A slow answer delays the requests behind it on the schedule, and they count their delay too.
    """
    with Service() as service:
        service.start_worker()
        service.ready()
        closed_loop(service.client, SHORT, bodies(WARM_UP))
        took = on_schedule(service.client, RATE_SECONDS)
    yield at_most(
        f"webhook answered, {RATE} a second for {RATE_SECONDS} s (p50 / p99 / max)",
        percentile(took, 99) * 1000,
        20,
        "ms",
        shown=spread(took, "ms", 1000),
    )


def throughput() -> Iterable[Row]:
    """Against a bare Flask route, in turns, without a worker that would share the cores."""
    with Service() as few, Service() as many:
        bare = few.start_bare()
        for _ in range(MANY_PENDING // AT_ONCE):
            many.client.report([{"title": f"Disk full on host {n}"} for n in range(AT_ONCE)], 7_200)
        clients = {BARE: bare, MANY: many.client, FEW: few.client}
        for client in clients.values():
            closed_loop(client, SHORT, bodies(WARM_UP))
        took: dict[str, list[list[float]]] = {kind: [] for kind in clients}
        stores = many.redis.work()
        for _ in range(ROUNDS):
            for kind, client in clients.items():
                took[kind].append(closed_loop(client, SHORT, bodies(REQUESTS)))
        stores = many.redis.work() - stores
        pings, scripts = many.redis.pings_per_second(RAW_CALLS), many.redis.scripts_per_second(RAW_CALLS)
    yield from _against_bare(took)
    many_a_second = statistics.median(map(rate, took[MANY]))
    yield Row("the same client library alone, one connection: PING", f"{pings:.0f} a second")
    yield Row(
        "… EVALSHA that writes as much as a store does",
        f"{scripts:.0f} a second: {scripts / many_a_second:.1f} for each webhook with {MANY}",
    )
    yield Row(
        "Redis, for each webhook: round trips / time in scripts / CPU of the server",
        f"{stores.round_trips / (ROUNDS * REQUESTS):.2f} / "
        f"{stores.script_seconds / (ROUNDS * REQUESTS) * 1e6:.0f} µs / "
        f"{stores.cpu_seconds / (ROUNDS * REQUESTS) * 1e6:.0f} µs",
    )


def _against_bare(took: dict[str, list[list[float]]]) -> Iterable[Row]:
    rates = {kind: statistics.median(map(rate, rounds)) for kind, rounds in took.items()}
    slow = {kind: statistics.median(percentile(r, 99) for r in rounds) for kind, rounds in took.items()}
    for kind, each in rates.items():
        what = f"webhooks a second, {CONNECTIONS} connections ({ROUNDS} rounds in turns; p99): {kind}"
        shown = f"{each:.0f} ({slow[kind] * 1000:.1f} ms)"
        if kind == BARE:
            yield Row(what, shown)
            continue
        share = each / rates[BARE]
        shown += f", {share:.2f} of bare (p99 {slow[kind] / slow[BARE]:.1f} times)"
        yield at_least(what, share, GOALS[kind], "of bare", shown=shown)


def rate(took: Sequence[float]) -> float:
    """A second, from the time that each request took while all connections were busy."""
    return CONNECTIONS * len(took) / sum(took)


def bodies(count: int) -> list[bytes]:
    """Webhooks, each about a problem of its own: a plain body and an Alertmanager's, in turns."""
    plain = sample("generic_01_full")
    group = sample("alertmanager_01_firing")
    made = [
        {**plain, "deduplication_key": uuid.uuid4().hex} if n % 2 else {**group, "groupKey": uuid.uuid4().hex}
        for n in range(count)
    ]
    return [json.dumps(body).encode() for body in made]


def sample(name: str) -> dict[str, Any]:
    """A body as a real sender sends it, of the tests' collection."""
    body: dict[str, Any] = json.loads((PAYLOADS / f"{name}.json").read_text("utf-8"))["body"]
    return body


def on_schedule(client: Client, seconds: int) -> list[float]:
    """Seconds from the scheduled moment to the answer, of every request at a steady rate for so long."""
    prepared = bodies(RATE * seconds)
    began = time.monotonic() + 0.5

    def send(at: float, body: bytes) -> float:
        time.sleep(max(0.0, at - time.monotonic()))
        client.post(SHORT, body)
        return time.monotonic() - at

    schedule = [began + n / RATE for n in range(len(prepared))]
    with ThreadPoolExecutor(CONNECTIONS) as senders:
        return list(senders.map(send, schedule, prepared))


def closed_loop(client: Client, path: str, sent: Iterable[bytes]) -> list[float]:
    """Seconds of each request when every connection sends its next one as soon as it has the answer."""

    def send(body: bytes) -> float:
        began = time.monotonic()
        client.post(path, body)
        return time.monotonic() - began

    with ThreadPoolExecutor(CONNECTIONS) as senders:
        return list(senders.map(send, sent))
