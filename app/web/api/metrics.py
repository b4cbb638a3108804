"""`/metrics`: what Redis counted and how things stand, the same from every process (docs/monitoring.md)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import accumulate, product
from typing import get_args

from flask import Blueprint, Response
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from app import __version__
from app.bootstrap import Services
from app.destinations.incident_io.answer import Reason
from app.domain.delivery import Destination
from app.ops.health import read_snapshot
from app.store import Snapshot, StoreRefusesWrites, StoreUnavailable
from app.store.counters import BUCKETS
from app.telemetry import log, take_dropped
from app.web.http import overload
from config import Config

STORE_SECONDS = 2.0

PAGES = ("delivered", "failed", "gave_up")
REASONS = tuple(reason for reason in get_args(Reason) if reason != "ok")
NOTIFICATIONS = ("delivered", "failed")

Labelled = Mapping[tuple[str, ...], float]
Row = tuple[str, str, tuple[str, ...], Labelled | float]
"""Name, help, labels, and the values."""


def blueprint(services: Services) -> Blueprint:
    """For Prometheus; no secret is needed and none is shown."""
    metrics = Blueprint("metrics", __name__)
    collector = _Collector(services)

    @metrics.get("/metrics")
    def show() -> Response:
        return Response(generate_latest(collector), content_type=CONTENT_TYPE_PLAIN_0_0_4)

    return metrics


class _Collector(Collector):
    """Asks Redis each time: nothing is counted in a process, which may be one of many, or end."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("versus_build", "Which version runs.", {"version": __version__})
        try:
            with self._services.store.deadline(STORE_SECONDS):
                with suppress(StoreRefusesWrites):
                    self._services.store.count_lost(take_dropped(), overload.refused.take())
                now, snapshot = self._services.clock().timestamp(), read_snapshot(self._services)
        except StoreUnavailable as error:
            log.warning("metrics_without_redis", reason=str(error))
            yield GaugeMetricFamily("versus_redis_up", "Whether Redis answers.", 0)
            return
        yield GaugeMetricFamily("versus_redis_up", "Whether Redis answers.", 1)
        yield _lateness(snapshot)
        yield from (_family(*row) for row in table(snapshot, now, self._services.config))


def table(snapshot: Snapshot, now: float, config: Config) -> list[Row]:
    """Every metric but the lateness of pages, the version, and whether Redis answers."""
    counts, pagers = snapshot.counters.counts, map(Destination, config.oncall.pagers)
    alert_sources = [pager.alert_source for pager in pagers]
    # Prometheus sees no growth in a series that begins with 1, so what an alert looks at begins with 0.
    pages = _from_zero(counts["pages"], PAGES, alert_sources)
    failed = _from_zero(counts["retries"], REASONS, alert_sources)
    notified = _from_zero(counts["delivered"], [one.name for one in config.channels], NOTIFICATIONS)
    waiting: Counter[tuple[str, ...]] = Counter()
    for destination, count in snapshot.notifications.items():
        waiting[destination.name,] += count
    budgets = [((pager.alert_source,), budget) for pager, budget in snapshot.budgets.items()]
    limits: Labelled = {name: budget.limit for name, budget in budgets if budget.limit}
    left: Labelled = {name: budget.left for name, budget in budgets if budget.left is not None}
    paused: Labelled = {name: budget.paused_until is not None for name, budget in budgets}
    # What was accepted before the heartbeat was switched off would seem older and older.
    beats = config.oncall.incident_io.heartbeat_config_id is not None
    beat = _since(snapshot.last_heartbeat if beats else None, now)
    late, page = {(): 0.0, **_since(snapshot.oldest_due, now)}, _since(snapshot.counters.last_page, now)
    source, by_alert_source, by_channel = ("source",), ("alert_source",), ("channel",)
    return [
        ("versus_incidents_created_total", "New incidents.", source, counts["created"]),
        ("versus_alerts_received_total", "Alerts about incidents.", source, counts["received"]),
        ("versus_incidents", "Incidents that are stored.", ("source", "state"), counts["current"]),
        ("versus_pages_total", "Pages, by how they ended.", ("outcome", "alert_source"), pages),
        ("versus_page_attempts_total", "Attempts to page.", by_alert_source, counts["attempts"]),
        ("versus_attempts_failed_total", "Failed attempts at a pager.", ("reason", "alert_source"), failed),
        ("versus_pending", "Pages and resolve events that are scheduled.", (), snapshot.pending),
        ("versus_overdue", "Of these, late or refused for over 30 s.", (), snapshot.overdue),
        ("versus_oldest_overdue_seconds", "How late the oldest of them is.", (), late),
        ("versus_seconds_since_last_page", "Since a page was last accepted.", (), page),
        ("versus_seconds_since_last_heartbeat", "Since incident.io last accepted it.", (), beat),
        ("versus_silences_active", "Silences that are active.", (), len(snapshot.silenced)),
        ("versus_incidents_silenced", "Incidents that they hold.", (), sum(snapshot.silenced)),
        ("versus_workers", "Workers seen within 30 s.", (), snapshot.workers),
        ("versus_rate_limit", "Events a minute.", by_alert_source, limits),
        ("versus_rate_budget_left", "Events that may still leave within it.", by_alert_source, left),
        ("versus_rate_paused", "Whether nothing leaves, after an answer 429.", by_alert_source, paused),
        ("versus_channel_deliveries_total", "Attempts to notify.", ("channel", "outcome"), notified),
        (
            "versus_channel_notifications_waiting",
            "Incidents it has yet to be notified of.",
            by_channel,
            waiting,
        ),
        *_bounded(snapshot, config),
    ]


def _bounded(snapshot: Snapshot, config: Config) -> list[Row]:
    """What is limited in total, and the limits."""
    most_rejected = config.retention.rejected_mib * 2**20
    most_payload = config.retention.payload_mib * 2**20
    dropped, refused = snapshot.counters.log_dropped, snapshot.counters.webhooks_refused
    return [
        ("versus_rejected_bodies", "Rejected bodies that are kept.", (), snapshot.rejected),
        ("versus_rejected_bytes", "Bytes of them.", (), snapshot.rejected_bytes),
        ("versus_rejected_bytes_limit", "Above which the oldest go.", (), most_rejected),
        ("versus_log_lines_dropped_total", "Log lines nobody read in time.", (), dropped),
        ("versus_webhooks_refused_total", "Webhooks answered 503: too many.", (), refused),
        ("versus_payload_bytes", "Bytes of bodies of incidents not resolved.", (), snapshot.payload_bytes),
        ("versus_payload_bytes_limit", "Beyond which no body is kept.", (), most_payload),
    ]


def _from_zero(values: Labelled, *labels: Iterable[str]) -> Labelled:
    return {**dict.fromkeys(product(*labels), 0), **values}


def _since(moment: float | None, now: float) -> Labelled:
    return {} if moment is None else {(): max(0.0, now - moment)}


def _family(name: str, help_: str, labels: tuple[str, ...], values: Labelled | float) -> Metric:
    kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
    family = kind(name, help_, labels=labels)
    for key, value in sorted((values if isinstance(values, Mapping) else {(): values}).items()):
        family.add_metric(key, value)
    return family


def _lateness(snapshot: Snapshot) -> Metric:
    late = snapshot.counters.counts["late"]
    totals = accumulate(late.get((str(bound),), 0) for bound in BUCKETS)
    return HistogramMetricFamily(
        "versus_page_lateness_seconds",
        "How late pages were accepted, after they were due.",
        buckets=[
            (str(bound).replace("inf", "+Inf"), float(total))
            for bound, total in zip(BUCKETS, totals, strict=True)
        ],
        sum_value=snapshot.counters.late_sum,
    )
