"""`/metrics`: numbers that follow what happened, from any process, with Redis away too."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from app import actions
from app.bootstrap import Services
from app.delivery.pages import deliver
from app.destinations.base import RateLimit
from app.domain.delivery import Outcome
from app.domain.incident import Incident
from app.ops import health
from app.store import Store
from app.web import create_app
from app.web.api import metrics
from config import load_config
from tasks.sweep import send_heartbeat
from tests.factories import receive_one
from tests.fakes import Clock, RecordingProvider, environment

Numbers = Callable[..., float | None]


@pytest.fixture
def client(services: Services) -> FlaskClient:
    return create_app(services).test_client()


@pytest.fixture
def number(services: Services) -> Numbers:
    """One sample, by name and labels; None when it is not there."""

    return partial(read, services)


def read(services: Services, name: str, **labels: str) -> float | None:
    """One sample as a process with these services has it; None when it is not there."""
    answer = create_app(services).test_client().get("/metrics")
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain; version=0.0.4")
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    return None


def create(services: Services, source: str = "grafana") -> Incident:
    return receive_one(services, source=source)


def test_before_anything_happened_everything_is_zero_or_absent(number: Numbers) -> None:
    assert number("versus_redis_up") == 1
    assert number("versus_pending") == number("versus_overdue") == number("versus_workers") == 0
    assert number("versus_oldest_overdue_seconds") == 0
    assert number("versus_seconds_since_last_page") is None
    # Prometheus sees no growth from nothing to 1.
    assert number("versus_pages_total", outcome="failed", alert_source="infra") == 0
    assert number("versus_page_lateness_seconds_count") == 0


def test_a_page_is_counted_with_how_late_it_was(services: Services, clock: Clock, number: Numbers) -> None:
    incident = create(services)
    assert number("versus_incidents_created_total", source="grafana") == 1
    assert number("versus_incidents", source="grafana", state="pending") == 1
    clock.wind(minutes=3, seconds=2)
    deliver(services, incident.id)
    assert number("versus_pages_total", outcome="delivered", alert_source="default") == 1
    assert number("versus_page_attempts_total", alert_source="default") == 1
    assert number("versus_page_lateness_seconds_bucket", le="1.0") == 0
    assert number("versus_page_lateness_seconds_bucket", le="2.5") == 1
    assert number("versus_page_lateness_seconds_sum") == 2.0
    assert number("versus_incidents", source="grafana", state="pending") == 0
    assert number("versus_incidents", source="grafana", state="escalated") == 1
    clock.wind(seconds=9)
    assert number("versus_seconds_since_last_page") == 9.0


def test_what_is_late_and_what_fails_can_be_seen(
    services: Services, clock: Clock, provider: RecordingProvider, number: Numbers
) -> None:
    incident = create(services)
    create(services)
    clock.wind(minutes=4)
    assert (number("versus_pending"), number("versus_overdue")) == (2, 2)
    assert number("versus_oldest_overdue_seconds") == 60.0
    provider.outcomes = [Outcome("misconfigured", "401", "unauthorized")]
    deliver(services, incident.id)
    assert number("versus_attempts_failed_total", reason="unauthorized", alert_source="default") == 1
    assert number("versus_pages_total", outcome="failed", alert_source="default") == 1
    assert number("versus_overdue") == 2


def test_the_rate_budget_can_be_seen(
    services: Services, clock: Clock, provider: RecordingProvider, number: Numbers
) -> None:
    provider.limits = [RateLimit("source:default", 10)]
    incident = create(services)
    clock.wind(minutes=4)
    deliver(services, incident.id)
    assert number("versus_rate_limit", alert_source="default") == 10
    assert number("versus_rate_budget_left", alert_source="default") == 9
    assert number("versus_rate_paused", alert_source="default") == 0
    clock.wind(seconds=62)
    assert number("versus_rate_budget_left", alert_source="default") == 10


def watched(services: Services) -> Services:
    """With a heartbeat and a channel."""
    environ = environment(
        services.config.redis.url.get_secret_value(),
        INCIDENTIO_HEARTBEAT_CONFIG_ID="source-heartbeat",
        LARK_ENABLE="true",
        LARK_WEBHOOK_URL="https://open.larksuite.com/open-apis/bot/v2/hook/x",
    )
    return dataclasses.replace(services, config=load_config(environ=environ))


def test_since_the_last_heartbeat(services: Services, clock: Clock) -> None:
    name, with_heartbeat = "versus_seconds_since_last_heartbeat", watched(services)
    assert read(with_heartbeat, name) is None
    send_heartbeat(with_heartbeat)
    clock.wind(seconds=9)
    assert read(with_heartbeat, name) == 9.0
    # It was switched off.
    assert read(services, name) is None


def test_what_alerts_look_at_begins_with_zero(services: Services) -> None:
    configured = watched(services)
    for source in ("default", "infra"):
        for outcome in ("delivered", "failed", "gave_up"):
            assert read(configured, "versus_pages_total", outcome=outcome, alert_source=source) == 0
        for reason in ("unauthorized", "not_found", "rejected", "redirected", "timeout"):
            assert read(configured, "versus_attempts_failed_total", reason=reason, alert_source=source) == 0
    for outcome in ("delivered", "failed"):
        assert read(configured, "versus_channel_deliveries_total", channel="lark", outcome=outcome) == 0


def test_every_process_tells_the_same(services: Services, redis_url: str, client: FlaskClient) -> None:
    incident = create(services)
    actions.acknowledge(services, incident.id, "somebody")
    other = create_app(dataclasses.replace(services, store=Store(redis_url))).test_client()
    assert client.get("/metrics").text == other.get("/metrics").text


def test_a_strangers_source_is_only_a_label(services: Services, number: Numbers) -> None:
    nasty = 'a"b\\c|d'
    create(services, source=nasty)
    assert number("versus_incidents_created_total", source=nasty.replace("|", "/")) == 1


def test_without_redis_it_says_so(services: Services) -> None:
    store = Store("redis://127.0.0.1:1/0", retry_seconds=0.05, timeout=0.05)
    away = dataclasses.replace(services, store=store, clock=store.now)
    answer = create_app(away).test_client().get("/metrics")
    assert answer.status_code == 200
    assert "versus_redis_up 0.0" in answer.text
    assert "versus_pending" not in answer.text


def test_the_page_about_monitoring_names_every_metric_and_no_other(
    services: Services, clock: Clock, provider: RecordingProvider
) -> None:
    provider.limits = [RateLimit("source:default", 10)]
    incident = create(services)
    clock.wind(minutes=4)
    deliver(services, incident.id)
    send_heartbeat(services)
    configured = watched(services)
    page = (Path(__file__).parents[3] / "docs" / "monitoring.md").read_text()
    named = {
        name: tuple(re.findall(r"`(\w+)`", labels))
        for names, labels in re.findall(r"^\| (`versus_.*?) \| (.*?)\| ", page, re.M)
        for name in re.findall(r"`(\w+)`", names)
    }
    rows = metrics.table(health.read_snapshot(configured), clock().timestamp(), configured.config)
    others = {"versus_redis_up": (), "versus_build_info": ("version",), "versus_page_lateness_seconds": ()}
    assert named == others | {name: labels for name, _, labels, _ in rows}
    assert set(re.findall(r"`(versus_\w+)`", page)) == set(named)
    stated = text_string_to_metric_families(create_app(configured).test_client().get("/metrics").text)
    shown = {family.name.removesuffix("_info") for family in stated}
    assert shown == {re.sub("_(total|info)$", "", name) for name in named}
