"""The strip of the dashboard: what is well, what is not, and in which words."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import redis

from app.gateway import Gateway
from app.page import deliver
from app.providers import Budget
from app.store.record import PAYLOAD_BYTES
from app.web.lights import Light, stand
from tests.factories import receive_one
from tests.fakes import PAGER, Clock, RecordingProvider


@pytest.fixture
def gateway(gateway: Gateway) -> Gateway:
    """One with a heartbeat."""
    provider = gateway.config.oncall.incident_io.model_copy(update={"heartbeat_config_id": "beat"})
    oncall = gateway.config.oncall.model_copy(update={"incident_io": provider})
    return replace(gateway, config=gateway.config.model_copy(update={"oncall": oncall}))


def light(gateway: Gateway, name: str) -> Light:
    [found] = [one for one in stand(gateway).lights if one.name == name]
    return found


def test_a_heartbeat_that_was_never_taken_is_not_well(gateway: Gateway) -> None:
    assert light(gateway, "Heartbeat") == Light("Heartbeat", "none was accepted yet", well=False)


def test_a_heartbeat_is_late_after_three_of_them(gateway: Gateway, clock: Clock) -> None:
    gateway.store.agenda.heartbeat_accepted(clock())
    clock.wind(seconds=90)
    assert light(gateway, "Heartbeat") == Light("Heartbeat", "at 03:00:00 UTC")
    clock.wind(seconds=1)
    assert light(gateway, "Heartbeat") == Light("Heartbeat", "last 03:00:00 UTC", well=False)


def test_a_rate_budget_is_scarce_at_a_tenth(gateway: Gateway, provider: RecordingProvider) -> None:
    provider.limits = [Budget("source:default", 20)]
    assert light(gateway, "Rate of default") == Light("Rate of default", "20 of 20 left", left=20, limit=20)
    for _ in range(18):
        deliver(gateway, receive_one(gateway, wait=0).id)
    scarce = light(gateway, "Rate of default")
    assert (scarce.says, scarce.well) == ("2 of 20 left", False)


def test_an_alert_source_that_is_held_back_is_not_well(
    gateway: Gateway, clock: Clock, provider: RecordingProvider
) -> None:
    provider.limits = [Budget("source:default", 20)]
    until = clock() + timedelta(seconds=60)
    gateway.store.agenda.hold_back(PAGER, gateway.limits(PAGER), until, clock(), "t")
    held = light(gateway, "Rate of default")
    assert "held back until 03:01:00 UTC" in held.says
    assert not held.well


def test_without_a_limit_none_is_shown(gateway: Gateway, provider: RecordingProvider) -> None:
    provider.limits = [Budget("source:default", 0)]
    assert light(gateway, "Rate of default") == Light("Rate of default", "no limit")


def test_bodies_are_reported_before_they_reach_their_limit(gateway: Gateway, redis_url: str) -> None:
    limit = gateway.config.retention.payload_mib * 2**20
    client = redis.Redis.from_url(redis_url)
    client.set(PAYLOAD_BYTES, int(0.8 * limit))
    assert not [one for one in stand(gateway).lights if one.name == "Bodies kept"]
    client.set(PAYLOAD_BYTES, int(0.9 * limit))
    assert light(gateway, "Bodies kept") == Light("Bodies kept", "90% of retention.payload_mib", well=False)
