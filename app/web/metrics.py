"""`/metrics`: what Redis counted and how things stand, the same from every process (docs/monitoring.md)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import get_args

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
from app.notice import channel_of
from app.providers.incident_io_answer import Reason
from app.store import Gauges, Unavailable
from app.store.counters import BUCKETS
from app.telemetry import log
from config import Config

PATIENCE = 2.0

PAGES = ("delivered", "failed", "gave_up")
REASONS = tuple(reason for reason in get_args(Reason) if reason != "ok")
NOTICES = ("told", "failed")

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
                rejected = self._gateway.store.rejected.size()
        except Unavailable as error:
            log.warning("metrics_without_redis", reason=str(error))
            yield GaugeMetricFamily("versus_redis_up", "Whether Redis answers.", 0)
            return
        yield GaugeMetricFamily("versus_redis_up", "Whether Redis answers.", 1)
        yield from _counted(gauges, self._gateway.config)
        yield from _standing(gauges, now, self._gateway.config)
        yield GaugeMetricFamily("versus_rejected_bytes", "Bytes of rejected bodies that are kept.", rejected)
        yield GaugeMetricFamily(
            "versus_rejected_bytes_limit",
            "Above which the oldest of them are removed.",
            self._gateway.config.retention.rejected_mib * 2**20,
        )


def _counted(gauges: Gauges, config: Config) -> Iterable[Metric]:
    # Prometheus sees no growth in a series that begins with 1, so what an alert looks at begins with 0.
    alert_sources, channels = config.oncall.incident_io.alert_sources, [one.name for one in config.channels]
    counters = gauges.counters
    by_source = ["source"]
    yield _counter("versus_incidents_created", "New incidents.", by_source, counters.created)
    yield _counter(
        "versus_alerts_received", "Alerts that made or repeated an incident.", by_source, counters.received
    )
    yield _counter(
        "versus_pages",
        "Pages that were delivered, failed (somebody has to mend the configuration), or were given up.",
        ["outcome", "alert_source"],
        _from_zero(counters.pages, PAGES, alert_sources),
    )
    yield _counter("versus_page_attempts", "Attempts to page.", ["alert_source"], counters.attempts)
    yield _counter(
        "versus_attempts_failed",
        "Attempts in vain, to page or to send an all-clear.",
        ["reason", "alert_source"],
        _from_zero(counters.retries, REASONS, alert_sources),
    )
    yield _counter(
        "versus_channel_deliveries",
        "Notices to channels.",
        ["channel", "outcome"],
        _from_zero(counters.told, channels, NOTICES),
    )
    buckets = [(_bound(bound), float(counters.late.get(bound, 0))) for bound in (*BUCKETS, math.inf)]
    yield HistogramMetricFamily(
        "versus_page_lateness_seconds",
        "How late pages were accepted, after they were due.",
        buckets=buckets,
        sum_value=counters.late_sum,
    )


def _from_zero(values: Labelled, *labels: Iterable[str]) -> Labelled:
    return {**dict.fromkeys(product(*labels), 0), **values}


def _bound(bound: float) -> str:
    return "+Inf" if bound == math.inf else str(bound)


def _standing(gauges: Gauges, now: float, config: Config) -> Iterable[Metric]:
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
        channel = (channel_of(target),)
        waiting[channel] = waiting.get(channel, 0) + count
    yield _gauge("versus_channel_notices_waiting", "Notices that wait to be told.", ["channel"], waiting)
    if gauges.counters.last_page is not None:
        yield GaugeMetricFamily(
            "versus_seconds_since_last_page",
            "Since a page was last accepted.",
            max(0.0, now - gauges.counters.last_page),
        )
    # What was accepted before the heartbeat was switched off would seem older and older.
    if gauges.last_heartbeat is not None and config.oncall.incident_io.heartbeat_config_id is not None:
        yield GaugeMetricFamily(
            "versus_seconds_since_last_heartbeat",
            "Since incident.io last accepted the heartbeat.",
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
