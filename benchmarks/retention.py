"""What it takes Redis to let 100,000 old incidents go, and for how long it blocks others."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import redis

from app.alert import Alert
from app.incident import Incident
from app.store import BATCH, Draft, Store
from benchmarks.report import Row, at_most
from local.embedded import EmbeddedRedis

MANY = 100_000
PAYLOAD = '{"body": "' + "x" * 1_500 + '"}'
KEEP = timedelta(days=30)
LONGEST_MILLISECONDS = 5.0


def retention() -> Iterable[Row]:
    """How long it takes in all, and the longest single command."""
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedRedis(Path(folder)).start()
        try:
            store, client = Store(server.url), redis.Redis.from_url(server.url)
            _fill(store)
            client.config_set("slowlog-log-slower-than", 0)
            client.config_set("slowlog-max-len", 10_000)
            client.slowlog_reset()
            began, longest = time.monotonic(), 0
            while store.retention.forget(store.now(), KEEP, MANY) == BATCH:
                log: Any = client.slowlog_get(10_000)
                ours = [entry["duration"] for entry in log if not entry["command"].startswith(b"SLOWLOG")]
                longest = max(longest, *ours)
                client.slowlog_reset()
            yield Row(
                "retention: to remove 100,000 resolved incidents, s in all", f"{time.monotonic() - began:.1f}"
            )
            yield at_most(
                "retention: the longest command meanwhile", longest / 1000, LONGEST_MILLISECONDS, "ms"
            )
        finally:
            server.stop()


def _fill(store: Store) -> None:
    old = store.now() - 2 * KEEP
    alert = Alert(title="Disk full on host 1234", source="grafana")
    for start in range(0, MANY, 500):
        draft = store.incidents.unread([])
        opened = [
            Incident.opened(f"{n:032}", alert, old, due_at=None, alert_source="default")
            for n in range(start, start + 500)
        ]
        _write(store, draft, opened)
        _write(store, draft, [one.resolved("grafana", old) for one in opened])


def _write(store: Store, draft: Draft, incidents: list[Incident]) -> None:
    def work(draft: Draft) -> None:
        for one in incidents:
            draft.put(one, PAYLOAD)

    store.incidents.change(draft, work, lambda *_: False, lambda *_: ())
