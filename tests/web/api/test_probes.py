"""Liveness and readiness: 200 only when a page would leave, and a reason for each thing that is not well."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from app.bootstrap import Services
from app.delivery.pages import deliver
from app.domain.delivery import Outcome
from app.store.clock import CLOCK
from app.web import create_app
from tests.fakes import Clock, RecordingProvider
from tests.web.conftest import Report


def checks(client: FlaskClient, status: int) -> dict[str, Any]:
    """What /readyz says of each thing, if its answer has this status."""
    answer = client.get("/readyz")
    assert answer.status_code == status, answer.text
    assert answer.get_json()["status"] == ("ready" if status == 200 else "not ready")
    stated: dict[str, Any] = answer.get_json()["checks"]
    return stated


def worker_lives(services: Services) -> None:
    services.store.delivery_queue.worker_lives("worker-1", services.clock())


def test_it_is_ready_when_all_is_well(client: FlaskClient, services: Services) -> None:
    worker_lives(services)
    assert checks(client, 200) == {"redis": "ok", "workers": "ok", "overdue": "ok"}


def test_it_is_not_ready_while_no_worker_was_ever_seen(client: FlaskClient) -> None:
    stated = checks(client, 503)
    assert "no worker has been seen in the last 30 s" in stated["workers"]
    assert (stated["redis"], stated["overdue"]) == ("ok", "ok")


@pytest.mark.parametrize(("seconds", "status"), [(0, 200), (29, 200), (30, 200), (31, 503), (86_400, 503)])
def test_a_worker_counts_for_30_seconds(
    client: FlaskClient, services: Services, clock: Clock, seconds: float, status: int
) -> None:
    worker_lives(services)
    clock.wind(seconds=seconds)
    assert (checks(client, status)["workers"] == "ok") is (status == 200)


def test_one_living_worker_is_enough(client: FlaskClient, services: Services, clock: Clock) -> None:
    services.store.delivery_queue.worker_lives("worker-dead", clock())
    clock.wind(seconds=60)
    worker_lives(services)
    assert checks(client, 200)["workers"] == "ok"


@pytest.mark.parametrize(("late", "status"), [(-1, 200), (0, 200), (30, 200), (31, 503), (3600, 503)])
def test_an_incident_may_be_30_seconds_overdue(
    client: FlaskClient, services: Services, report: Report, clock: Clock, late: float, status: int
) -> None:
    report()
    clock.wind(minutes=3, seconds=late)
    worker_lives(services)
    expected = "ok" if status == 200 else f"an incident is overdue by {late} s"
    assert checks(client, status)["overdue"] == expected


def test_an_acknowledged_incident_is_not_overdue(
    client: FlaskClient, services: Services, report: Report, clock: Clock
) -> None:
    assert client.post(report()["ack_url"]).status_code == 200
    clock.wind(hours=1)
    worker_lives(services)
    checks(client, 200)


def test_a_page_that_waits_for_its_next_attempt_is_overdue(
    client: FlaskClient, services: Services, provider: RecordingProvider, report: Report, clock: Clock
) -> None:
    incident = report()
    clock.wind(minutes=3)
    provider.outcomes = [Outcome("misconfigured", "401", "unauthorized")]
    deliver(services, incident["id"])
    clock.wind(seconds=60)
    worker_lives(services)
    assert checks(client, 503)["overdue"] == "an incident is overdue by 60 s"


def test_each_reason_is_told(client: FlaskClient, report: Report, clock: Clock) -> None:
    report()
    clock.wind(minutes=4)
    stated = checks(client, 503)
    assert {name for name, verdict in stated.items() if verdict != "ok"} == {"workers", "overdue"}


def test_without_redis_it_is_not_ready_but_alive(without_redis: Services) -> None:
    client = create_app(without_redis).test_client()
    stated = checks(client, 503)
    assert "Redis can't be reached" in stated["redis"]
    assert "ok" not in stated.values()
    alive = client.get("/healthz")
    assert (alive.status_code, alive.get_json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_watchdogs_need_no_secret_and_are_told_none(
    client: FlaskClient, services: Services, path: str
) -> None:
    answer = client.get(path)
    assert answer.status_code in (200, 503)
    assert all(secret not in answer.text for secret in services.config.secrets())
    assert client.head(path).status_code == answer.status_code


def test_a_step_of_redis_s_clock_is_shown(person: FlaskClient, services: Services, redis_url: str) -> None:
    services.store.delivery_queue.worker_lives("one", services.clock())
    redis.Redis.from_url(redis_url).hset(CLOCK, mapping={"v": "1", "correction": "-3600.2"})
    services.store.clock.check()
    answer = person.get("/readyz")
    assert answer.status_code == 200
    assert answer.get_json()["clock"] == "Redis's clock stepped, and is corrected by -3600 s"
    assert "is corrected by -3600 s" in person.get("/").text
