"""Ten thousand incidents that one silence holds: what the sweep takes then, and how soon its end is done."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from statistics import median

import requests

from app.store import Store
from benchmarks.intake import AT_ONCE
from benchmarks.million import sweep, times
from benchmarks.report import Row, at_most, spread
from benchmarks.service import SECRET, Service, wait_until
from tests.destinations.standin import Got, StandIn

HELD = 10_000
WAIT_SECONDS = 3600.0
WITHIN = 120.0
SECRETS = {"X-Gateway-Secret": SECRET}
NUMBER = re.compile(r"\d+")


def silences() -> Iterable[Row]:
    """Some 30 s."""
    with StandIn().serving() as channel, Service(channels=[f"json://127.0.0.1:{channel.port}/x"]) as service:
        service.start_worker()
        service.ready()
        store = Store(service.redis_url)
        service.client.report({"title": "Disk full", "service": "web"}, WAIT_SECONDS)
        one = times(sweep(store))
        silence = _silence(service)
        began = time.monotonic()
        for start in range(0, HELD, AT_ONCE):
            service.client.report(
                [{"title": f"Disk full on host {start + n}", "service": "db"} for n in range(AT_ONCE)],
                WAIT_SECONDS,
            )
        stored = time.monotonic() - began
        yield _sweeps(one, times(sweep(store)))
        if len(channel.got) > 1:
            raise RuntimeError("the silence did not hold")
        began = time.monotonic()
        requests.delete(f"{service.client.base}/api/silences/{silence}", headers=SECRETS, timeout=30)
        wait_until(lambda: not store.silences.counts([silence])[silence], "nothing is held", WITHIN)
        released = time.monotonic() - began
        wait_until(lambda: sum(map(_count, channel.got)) > HELD, "all are notified of", WITHIN)
        notified = time.monotonic() - began
    what = f"a silence ends that held {HELD:,}"
    yield at_most(f"{what}: all wait for their page", released, 10, "s")
    yield at_most(f"{what}: the channel has heard of all", notified, 10, "s")
    yield Row(f"{what}: of the time that it took to store them", f"{released / stored:.2f}")


def _sweeps(one: list[float], held: list[float]) -> Row:
    ratio = median(held) / median(one)
    shown = f"{ratio:.2f} ({spread(held, 'ms', 1000)} against {spread(one, 'ms', 1000)})"
    what = f"the sweep's look at what is due, {HELD:,} held, against one that waits"
    return at_most(what, ratio, 1.5, "", shown=shown)


def _silence(service: Service) -> str:
    answer = requests.post(
        f"{service.client.base}/api/silences",
        json={"match": {"service": "db"}, "minutes": 60, "comment": "deployment"},
        headers=SECRETS,
        timeout=30,
    )
    silence: str = answer.json()["silence"]["id"]
    return silence


def _count(got: Got) -> int:
    """Of how many incidents a message is."""
    counts = json.loads(got.body)["title"].partition("Many incidents at once")[2]
    return sum(map(int, NUMBER.findall(counts))) if counts else 1
