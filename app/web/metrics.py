"""`/metrics`: what Redis counted and how things stand, the same from every process (docs/monitoring.md)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product

from flask import Blueprint, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from app import __version__
from app.gateway import Gateway
from app.health import standing
from app.store import Gauges, Unavailable
from app.store.counters import BUCKETS
from app.telemetry import log

PATIENCE = 2.0

OUTCOMES = ("delivered", "failed", "gave_up")
TOLD = ("told", "failed")

Labelled = Mapping[tuple[str, ...], int]


def blueprint(gateway: Gateway) -> Blueprint:
    """For Prometheus; no secret is needed and none is told."""
    metrics = Blueprint("metrics", __name__)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(gateway))

    @metrics.get("/metrics")
    def show() -> Response:
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)

    return metrics


class _Collector:
    """Asks Redis each time: nothing is counted in a process, which may be one of many, or end."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("versus_build", "Which version runs.", {"version": __version__})
        try:
            with self._gateway.store.patience(PATIENCE):
                now, gauges = self._gateway.clock().timestamp(), standing(self._gateway)
        except Unavailable as error:
            log.warning("metrics_without_redis", reason=str(error))
            yield GaugeMetricFamily("versus_redis_up", "Whether Redis answers.", 0)
            return
        yield GaugeMetricFamily("versus_redis_up", "Whether Redis answers.", 1)
        config = self._gateway.config
        sources = config.oncall.incident_io.alert_sources
        yield from _counted(gauges, list(sources), [channel.name for channel in config.channels])
        yield from _standing(gauges, now)


def _counted(gauges: Gauges, alert_sources: Sequence[str], channels: Sequence[str]) -> Iterable[Metric]:
    """`alert_sources` and `channels`: by name, all that are configured.

    What has not happened yet is told as 0: Prometheus sees no growth in a series that begins with 1, and
    nobody would hear of the first page that failed.
    """
    counters = gauges.counters
    pages: Labelled = dict.fromkeys(product(OUTCOMES, alert_sources), 0)
    told: Labelled = dict.fromkeys(product(channels, TOLD), 0)
    by_source = ["source"]
    yield _counter("versus_incidents_created", "New incidents.", by_source, counters.created)
    yield _counter(
        "versus_alerts_received", "Alerts that made or repeated an incident.", by_source, counters.received
    )
    yield _counter(
        "versus_pages",
        "Pages that were delivered, failed (somebody has to mend the configuration), or were given up.",
        ["outcome", "alert_source"],
        {**pages, **counters.pages},
    )
    yield _counter("versus_page_attempts", "Attempts to page.", ["alert_source"], counters.attempts)
    yield _counter(
        "versus_attempts_failed",
        "Attempts in vain, to page or to send an all-clear.",
        ["reason", "alert_source"],
        counters.retries,
    )
    yield _counter(
        "versus_channel_deliveries", "Notices to channels.", ["channel", "outcome"], {**told, **counters.told}
    )
    buckets = [(_bound(bound), float(counters.late.get(bound, 0))) for bound in (*BUCKETS, math.inf)]
    yield HistogramMetricFamily(
        "versus_page_lateness_seconds",
        "How late pages were accepted, after they were due.",
        buckets=buckets,
        sum_value=counters.late_sum,
    )


def _bound(bound: float) -> str:
    return "+Inf" if bound == math.inf else str(bound)


def _standing(gauges: Gauges, now: float) -> Iterable[Metric]:
    yield _gauge(
        "versus_incidents", "Incidents that are stored.", ["source", "state"], gauges.counters.current
    )
    yield _gauge("versus_pending", "Incidents that owe the provider an event.", [], {(): gauges.pending})
    yield _gauge("versus_overdue", "Of these, late or refused for over 30 s.", [], {(): gauges.overdue})
    oldest = 0.0 if gauges.oldest_due is None else max(0.0, now - gauges.oldest_due)
    yield GaugeMetricFamily("versus_oldest_overdue_seconds", "How late the oldest of them is.", oldest)
    yield _gauge("versus_workers", "Workers seen within 30 s.", [], {(): gauges.workers})
    yield _gauge("versus_rejected_bodies", "Rejected bodies that are kept.", [], {(): gauges.rejected})
    waiting: dict[tuple[str, ...], int] = {}
    for target, count in gauges.notices.items():
        channel = (target.partition(">")[0],)
        waiting[channel] = waiting.get(channel, 0) + count
    yield _gauge("versus_channel_notices_waiting", "Notices that wait to be told.", ["channel"], waiting)
    if gauges.counters.last_page is not None:
        yield GaugeMetricFamily(
            "versus_seconds_since_last_page",
            "Since a page was last accepted.",
            max(0.0, now - gauges.counters.last_page),
        )
    if gauges.last_heartbeat is not None:
        yield GaugeMetricFamily(
            "versus_seconds_since_last_heartbeat",
            "Since incident.io last took a heartbeat.",
            max(0.0, now - gauges.last_heartbeat),
        )
    limited = {(name,): budget for name, budget in gauges.budgets.items() if budget.left is not None}
    source = ["alert_source"]
    yield _gauge(
        "versus_rate_limit", "Events a minute.", source, {name: one.limit for name, one in limited.items()}
    )
    yield _gauge(
        "versus_rate_budget_left",
        "Events that may still leave within this minute.",
        source,
        {name: one.left or 0 for name, one in limited.items()},
    )
    yield _gauge(
        "versus_rate_paused",
        "Whether nothing leaves, after an answer 429.",
        source,
        {(name,): int(one.paused_until is not None) for name, one in gauges.budgets.items()},
    )


def _counter(name: str, help_: str, labels: list[str], values: Labelled) -> Metric:
    family = CounterMetricFamily(name, help_, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _gauge(name: str, help_: str, labels: list[str], values: Labelled) -> Metric:
    family = GaugeMetricFamily(name, help_, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family
