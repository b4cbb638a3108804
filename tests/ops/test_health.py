"""Is all well: what readiness says, and when the heartbeat is sent."""

from __future__ import annotations

import dataclasses
import io
from typing import Any, Literal

import pytest
import redis
from pydantic import SecretStr

from app.actions import resolve
from app.bootstrap import Services
from app.delivery.page_job import LEASE
from app.delivery.pages import deliver
from app.domain.delivery import Outcome
from app.ops.agreement import fingerprint
from app.ops.health import FAILED_ATTEMPTS, heartbeat_due, read_snapshot, readiness
from app.store import Store
from app.store.delivery_queue import HEARTBEAT
from tasks.sweep import Sweeper, send_heartbeat
from tests.factories import receive_one
from tests.fakes import PAGER, Clock, RecordingProvider
from tests.stories.stack import wait_until


def seen(services: Services) -> None:
    services.store.delivery_queue.worker_lives("one", services.clock())


def page(services: Services) -> None:
    deliver(services, receive_one(services, wait=0).id)


def next_turn(redis_url: str) -> None:
    # 30 s later by Redis's own clock, which no test can wind on.
    redis.Redis.from_url(redis_url).delete(HEARTBEAT)


def test_all_is_well_when_a_worker_lives_and_nothing_is_overdue(services: Services) -> None:
    seen(services)
    assert readiness(services) == {"redis": "ok", "workers": "ok", "overdue": "ok"}


def test_it_says_what_is_wrong(services: Services, clock: Clock) -> None:
    receive_one(services, wait=0)
    clock.wind(seconds=31)
    checks = readiness(services)
    assert "no worker has been seen in the last 30 s" in checks["workers"]
    assert checks["overdue"] == "an incident is overdue by 31 s"


@pytest.mark.parametrize("verdict", ["try_again", "misconfigured"])
def test_a_page_that_is_refused_again_and_again_is_overdue_since_it_was_due(
    verdict: Literal["try_again", "misconfigured"],
    services: Services,
    provider: RecordingProvider,
    clock: Clock,
) -> None:
    incident = receive_one(services, wait=0)
    provider.outcomes = [Outcome(verdict, "500")] * 3
    for _ in range(3):
        deliver(services, incident.id)
        clock.wind(seconds=301)
    step = services.store.incidents.require(incident.id).next_step(PAGER)
    seen(services)
    assert step is not None
    assert readiness(services)["overdue"] == "an incident is overdue by 903 s"
    assert not heartbeat_due(services)
    deliver(services, incident.id)
    assert readiness(services)["overdue"] == "ok"


def test_a_problem_that_is_over_is_not_overdue(
    services: Services, provider: RecordingProvider, clock: Clock
) -> None:
    incident = receive_one(services, wait=0)
    provider.outcomes = [Outcome("try_again", "no answer", uncertain=True)]
    deliver(services, incident.id)
    clock.wind(seconds=600)
    seen(services)
    assert readiness(services)["overdue"] != "ok"
    # Now the resolve event is to be sent, since this moment.
    resolve(services, incident.id, "me")
    assert readiness(services)["overdue"] == "ok"


def test_it_says_that_redis_takes_no_writes_and_asks_every_two_seconds_at_most(
    services: Services, redis_url: str
) -> None:
    seen(services)
    admin: Any = redis.Redis.from_url(redis_url)
    assert set(readiness(services).values()) == {"ok"}
    admin.config_resetstat()
    assert set(readiness(services).values()) == {"ok"}
    assert "cmdstat_set" not in admin.info("commandstats")
    admin.config_set("min-replicas-to-write", "1")
    try:
        checks = wait_until(lambda: (now := readiness(services))["redis"] != "ok" and now, "delivered")
    finally:
        admin.config_set("min-replicas-to-write", "0")
    assert checks["redis"].startswith("Redis does not take writes: ")
    assert set(readiness(services).values()) == {"ok"}


def test_the_heartbeat_is_one_callers_turn(services: Services, redis_url: str) -> None:
    seen(services)
    assert [heartbeat_due(services) for _ in range(3)] == [True, False, False]
    next_turn(redis_url)
    assert heartbeat_due(services)


def test_there_is_no_heartbeat_while_something_is_overdue(services: Services, clock: Clock) -> None:
    receive_one(services, wait=0)
    clock.wind(seconds=31)
    seen(services)
    assert not heartbeat_due(services)


def test_there_is_no_heartbeat_while_every_attempt_fails(
    services: Services, provider: RecordingProvider, redis_url: str
) -> None:
    seen(services)
    provider.outcomes = [Outcome("try_again", "500")] * FAILED_ATTEMPTS
    for _ in range(FAILED_ATTEMPTS):
        page(services)
    assert not heartbeat_due(services)
    page(services)
    next_turn(redis_url)
    assert heartbeat_due(services)


def test_a_heartbeat_pings_the_provider(services: Services, provider: RecordingProvider) -> None:
    send_heartbeat(services)
    assert provider.pings == 1


def test_when_a_heartbeat_was_accepted_last_is_kept(
    services: Services, provider: RecordingProvider, clock: Clock
) -> None:
    assert read_snapshot(services).last_heartbeat is None
    accepted = clock().timestamp()
    send_heartbeat(services)
    assert read_snapshot(services).last_heartbeat == accepted
    clock.wind(seconds=30)
    for pong in (
        Outcome("try_again", "500", "server_error"),
        Outcome("misconfigured", "404", "not_found"),
        None,
    ):
        provider.pong = pong
        send_heartbeat(services)
        assert read_snapshot(services).last_heartbeat == accepted


def test_a_heartbeat_that_can_not_be_noted_is_logged(services: Services, log: io.StringIO) -> None:
    away = dataclasses.replace(
        services, store=Store("redis://127.0.0.1:1/0", retry_seconds=0.05, timeout=0.05)
    )
    send_heartbeat(away)
    assert "heartbeat_not_noted" in log.getvalue()


def with_config(services: Services, **changed: object) -> Services:
    return dataclasses.replace(services, config=services.config.model_copy(update=changed))


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"gateway_secret": SecretStr("another-secret-91d")}, "gateway_secret"),
        ({"name": "another"}, "name"),
    ],
)
def test_it_names_the_settings_that_a_worker_has_otherwise(
    changed: dict[str, object], named: str, services: Services, log: io.StringIO
) -> None:
    seen(services)
    services.store.fingerprints.publish("one", fingerprint(services.config))
    assert "settings" not in readiness(services)
    said = readiness(with_config(services, **changed))["settings"]
    assert said == (
        f"this process and the worker one differ in {named}: start all processes with the same configuration"
    )
    assert "settings_differ" in log.getvalue()
    assert "another-secret" not in log.getvalue()


def test_an_alert_source_that_only_web_has_is_found(services: Services) -> None:
    seen(services)
    oncall = services.config.oncall
    without = oncall.incident_io.model_copy(update={"other_alert_source_config_ids": {}})
    worker = with_config(services, oncall=oncall.model_copy(update={"incident_io": without}))
    services.store.fingerprints.publish("one", fingerprint(worker.config))
    assert "differ in names of alert sources" in readiness(services)["settings"]


def test_a_worker_publishes_its_settings(services: Services) -> None:
    Sweeper(services).check_pages()
    assert [
        *services.store.fingerprints.of(
            services.store.delivery_queue.workers(services.clock(), LEASE)
        ).values()
    ] == [fingerprint(services.config)]
