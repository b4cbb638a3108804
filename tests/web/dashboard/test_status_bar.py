"""The strip of the dashboard: what is well, what is not, and in which words."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import redis

from app.bootstrap import Services
from app.delivery.pages import deliver
from app.destinations.base import RateLimit
from app.store.keys import PAYLOAD_BYTES
from app.web.dashboard.status_bar import StatusItem, read_status
from tests.factories import receive_one
from tests.fakes import PAGER, Clock, RecordingProvider


@pytest.fixture
def services(services: Services) -> Services:
    """One with a heartbeat."""
    provider = services.config.oncall.incident_io.model_copy(update={"heartbeat_config_id": "beat"})
    oncall = services.config.oncall.model_copy(update={"incident_io": provider})
    return replace(services, config=services.config.model_copy(update={"oncall": oncall}))


def item(services: Services, name: str) -> StatusItem:
    [found] = [one for one in read_status(services).items if one.name == name]
    return found


def test_a_heartbeat_that_was_never_taken_is_not_well(services: Services) -> None:
    assert item(services, "Heartbeat") == StatusItem("Heartbeat", "none accepted yet", well=False)


def test_a_heartbeat_is_late_after_three_of_them(services: Services, clock: Clock) -> None:
    services.store.delivery_queue.heartbeat_accepted(clock())
    clock.wind(seconds=90)
    assert item(services, "Heartbeat") == StatusItem("Heartbeat", "at 2026-03-04 03:00:00 UTC")
    clock.wind(seconds=1)
    assert item(services, "Heartbeat") == StatusItem("Heartbeat", "last 2026-03-04 03:00:00 UTC", well=False)


def test_a_rate_budget_is_scarce_at_a_tenth(services: Services, provider: RecordingProvider) -> None:
    provider.limits = [RateLimit("source:default", 20)]
    assert item(services, "Rate of default") == StatusItem(
        "Rate of default", "20 of 20 left", left=20, limit=20
    )
    for _ in range(18):
        deliver(services, receive_one(services, wait=0).id)
    scarce = item(services, "Rate of default")
    assert (scarce.says, scarce.well) == ("2 of 20 left", False)


def test_an_alert_source_that_is_held_back_is_not_well(
    services: Services, clock: Clock, provider: RecordingProvider
) -> None:
    provider.limits = [RateLimit("source:default", 20)]
    until = clock() + timedelta(seconds=60)
    services.store.delivery_queue.back_off(PAGER, services.limits(PAGER), until, clock(), "t")
    held = item(services, "Rate of default")
    assert "paused until 2026-03-04 03:01:00 UTC" in held.says
    assert not held.well


def test_without_a_limit_none_is_shown(services: Services, provider: RecordingProvider) -> None:
    provider.limits = [RateLimit("source:default", 0)]
    assert item(services, "Rate of default") == StatusItem("Rate of default", "no limit")


def test_bodies_are_reported_before_they_reach_their_limit(services: Services, redis_url: str) -> None:
    limit = services.config.retention.payload_mib * 2**20
    client = redis.Redis.from_url(redis_url)
    client.set(PAYLOAD_BYTES, int(0.8 * limit))
    assert not [one for one in read_status(services).items if one.name == "Bodies kept"]
    client.set(PAYLOAD_BYTES, int(0.9 * limit))
    assert item(services, "Bodies kept") == StatusItem(
        "Bodies kept", "90% of retention.payload_mib", well=False
    )
