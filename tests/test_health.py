"""Is all well: what readiness says, and when the heartbeat is sent."""

from __future__ import annotations

import dataclasses
import io
from typing import Any, Literal

import pytest
import redis
from pydantic import SecretStr

from app.actions import resolve
from app.agreement import fingerprint
from app.delivery import Outcome
from app.gateway import Gateway
from app.health import FAILED_ATTEMPTS, heartbeat_due, readiness, standing
from app.page import LEASE, deliver
from app.store import Store
from app.store.agenda import HEARTBEAT
from tasks.sweep import Sweep, send_heartbeat
from tests.factories import receive_one
from tests.fakes import PAGER, Clock, RecordingProvider
from tests.stories.stack import wait_until


def seen(gateway: Gateway) -> None:
    gateway.store.agenda.worker_lives("one", gateway.clock())


def page(gateway: Gateway) -> None:
    deliver(gateway, receive_one(gateway, wait=0).id)


def next_turn(redis_url: str) -> None:
    # 30 s later by Redis's own clock, which no test can wind on.
    redis.Redis.from_url(redis_url).delete(HEARTBEAT)


def test_all_is_well_when_a_worker_lives_and_nothing_is_overdue(gateway: Gateway) -> None:
    seen(gateway)
    assert readiness(gateway) == {"redis": "ok", "workers": "ok", "overdue": "ok"}


def test_it_says_what_is_wrong(gateway: Gateway, clock: Clock) -> None:
    receive_one(gateway, wait=0)
    clock.wind(seconds=31)
    checks = readiness(gateway)
    assert "no worker has been seen in the last 30 s" in checks["workers"]
    assert checks["overdue"] == "an incident is overdue by 31 s"


@pytest.mark.parametrize("verdict", ["try_again", "misconfigured"])
def test_a_page_that_is_refused_again_and_again_is_overdue_since_it_was_due(
    verdict: Literal["try_again", "misconfigured"],
    gateway: Gateway,
    provider: RecordingProvider,
    clock: Clock,
) -> None:
    incident = receive_one(gateway, wait=0)
    provider.outcomes = [Outcome(verdict, "500")] * 3
    for _ in range(3):
        deliver(gateway, incident.id)
        clock.wind(seconds=301)
    step = gateway.store.incidents.need(incident.id).next_step(PAGER)
    seen(gateway)
    assert step is not None
    assert readiness(gateway)["overdue"] == "an incident is overdue by 903 s"
    assert not heartbeat_due(gateway)
    deliver(gateway, incident.id)
    assert readiness(gateway)["overdue"] == "ok"


def test_a_problem_that_is_over_is_not_overdue(
    gateway: Gateway, provider: RecordingProvider, clock: Clock
) -> None:
    incident = receive_one(gateway, wait=0)
    provider.outcomes = [Outcome("try_again", "no answer", uncertain=True)]
    deliver(gateway, incident.id)
    clock.wind(seconds=600)
    seen(gateway)
    assert readiness(gateway)["overdue"] != "ok"
    # Now the resolve event is to be sent, since this moment.
    resolve(gateway, incident.id, "me")
    assert readiness(gateway)["overdue"] == "ok"


def test_it_says_that_redis_takes_no_writes_and_asks_every_two_seconds_at_most(
    gateway: Gateway, redis_url: str
) -> None:
    seen(gateway)
    admin: Any = redis.Redis.from_url(redis_url)
    assert set(readiness(gateway).values()) == {"ok"}
    admin.config_resetstat()
    assert set(readiness(gateway).values()) == {"ok"}
    assert "cmdstat_set" not in admin.info("commandstats")
    admin.config_set("min-replicas-to-write", "1")
    try:
        checks = wait_until(lambda: (now := readiness(gateway))["redis"] != "ok" and now, "told", 5)
    finally:
        admin.config_set("min-replicas-to-write", "0")
    assert checks["redis"].startswith("Redis does not take writes: ")
    assert set(readiness(gateway).values()) == {"ok"}


def test_the_heartbeat_is_one_callers_turn(gateway: Gateway, redis_url: str) -> None:
    seen(gateway)
    assert [heartbeat_due(gateway) for _ in range(3)] == [True, False, False]
    next_turn(redis_url)
    assert heartbeat_due(gateway)


def test_there_is_no_heartbeat_while_something_is_overdue(gateway: Gateway, clock: Clock) -> None:
    receive_one(gateway, wait=0)
    clock.wind(seconds=31)
    seen(gateway)
    assert not heartbeat_due(gateway)


def test_there_is_no_heartbeat_while_every_attempt_fails(
    gateway: Gateway, provider: RecordingProvider, redis_url: str
) -> None:
    seen(gateway)
    provider.outcomes = [Outcome("try_again", "500")] * FAILED_ATTEMPTS
    for _ in range(FAILED_ATTEMPTS):
        page(gateway)
    assert not heartbeat_due(gateway)
    page(gateway)
    next_turn(redis_url)
    assert heartbeat_due(gateway)


def test_a_heartbeat_pings_the_provider(gateway: Gateway, provider: RecordingProvider) -> None:
    send_heartbeat(gateway)
    assert provider.pings == 1


def test_when_a_heartbeat_was_accepted_last_is_kept(
    gateway: Gateway, provider: RecordingProvider, clock: Clock
) -> None:
    assert standing(gateway).last_heartbeat is None
    accepted = clock().timestamp()
    send_heartbeat(gateway)
    assert standing(gateway).last_heartbeat == accepted
    clock.wind(seconds=30)
    for pong in (
        Outcome("try_again", "500", "server_error"),
        Outcome("misconfigured", "404", "not_found"),
        None,
    ):
        provider.pong = pong
        send_heartbeat(gateway)
        assert standing(gateway).last_heartbeat == accepted


def test_a_heartbeat_that_can_not_be_noted_is_logged(gateway: Gateway, log: io.StringIO) -> None:
    away = dataclasses.replace(gateway, store=Store("redis://127.0.0.1:1/0", patience=0.05, timeout=0.05))
    send_heartbeat(away)
    assert "heartbeat_not_noted" in log.getvalue()


def with_config(gateway: Gateway, **changed: object) -> Gateway:
    return dataclasses.replace(gateway, config=gateway.config.model_copy(update=changed))


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"gateway_secret": SecretStr("another-secret-91d")}, "gateway_secret"),
        ({"name": "another"}, "name"),
    ],
)
def test_it_names_the_settings_that_a_worker_has_otherwise(
    changed: dict[str, object], named: str, gateway: Gateway, log: io.StringIO
) -> None:
    seen(gateway)
    gateway.store.fingerprints.publish("one", fingerprint(gateway.config))
    assert "settings" not in readiness(gateway)
    said = readiness(with_config(gateway, **changed))["settings"]
    assert said == (
        f"this process and the worker one differ in {named}: start all processes with the same configuration"
    )
    assert "settings_differ" in log.getvalue()
    assert "another-secret" not in log.getvalue()


def test_an_alert_source_that_only_web_has_is_found(gateway: Gateway) -> None:
    seen(gateway)
    oncall = gateway.config.oncall
    without = oncall.incident_io.model_copy(update={"other_alert_source_config_ids": {}})
    worker = with_config(gateway, oncall=oncall.model_copy(update={"incident_io": without}))
    gateway.store.fingerprints.publish("one", fingerprint(worker.config))
    assert "differ in names of alert sources" in readiness(gateway)["settings"]


def test_a_worker_publishes_its_settings(gateway: Gateway) -> None:
    Sweep(gateway).tick()
    assert [
        *gateway.store.fingerprints.of(gateway.store.agenda.workers(gateway.clock(), LEASE)).values()
    ] == [fingerprint(gateway.config)]
