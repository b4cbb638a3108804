"""What it costs to read a body: typical ones of every sender, and the worst that a mebibyte can hold."""

from __future__ import annotations

import json
from collections.abc import Iterable
from time import process_time

from app.ingest.webhooks import read_and_keep
from app.web.http.body import read_body
from benchmarks.report import Row, at_most
from tests.ingest.webhooks.samples import ACCEPTED, SAMPLES, elements
from tests.ingest.webhooks.worst import WORST

BODIES = 10_000
# 1.3 times what it cost with half of the senders, and with secrets known by the ends of their names alone.
GOAL = 135


def normalise() -> Iterable[Row]:
    """CPU time from JSON that is parsed to the alert and to the body as it is kept, without its secrets."""
    typical = [(element, SAMPLES[name]["headers"]) for name in ACCEPTED for element in elements(name)]
    bodies = (typical * (BODIES // len(typical) + 1))[:BODIES]
    begun = process_time()
    for body, headers in bodies:
        read_and_keep(body, headers)
    each = (process_time() - begun) / BODIES * 1e6
    yield at_most(
        f"a body becomes an alert, and JSON without its secrets, CPU time ({BODIES} of all senders in turns)",
        each,
        GOAL,
        "µs",
    )
    slowest, name = max((_seconds(name), name) for name in WORST)
    yield at_most(
        f"the worst body of 1 MiB is parsed, becomes an alert and is kept, CPU time ({len(WORST)} tried)",
        slowest,
        0.5,
        "s",
        shown=f"{slowest:.3g} s ({name})",
    )


def _seconds(name: str) -> float:
    raw = json.dumps(WORST[name], separators=(",", ":"), ensure_ascii=False).encode()
    begun = process_time()
    for body in read_body(raw, content_type="application/json", content_encoding="").elements:
        read_and_keep(body)
    return process_time() - begun
