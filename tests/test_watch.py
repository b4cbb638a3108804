"""What the watching thread reports, and what `/readyz` says of it."""

from __future__ import annotations

import redis

from app.actions import acknowledge
from app.gateway import Gateway
from app.health import readiness
from app.incident import Incident
from app.page import deliver
from app.store import Search
from app.watch import check
from tests.fakes import RecordingProvider


def incidents(gateway: Gateway) -> list[Incident]:
    return gateway.store.incidents.page(Search(), 10, None).incidents


def lose(gateway: Gateway, redis_url: str) -> None:
    check(gateway)
    check(gateway)
    redis.Redis.from_url(redis_url).flushall()
    check(gateway)
    check(gateway)


def test_a_loss_is_one_incident_that_pages_at_once(
    gateway: Gateway, provider: RecordingProvider, redis_url: str
) -> None:
    lose(gateway, redis_url)
    [lost] = incidents(gateway)
    assert (lost.title, lost.source) == ("Redis lost data: 0 incidents were pending", "versus")
    assert lost.due_at == gateway.clock()
    deliver(gateway, lost.id)
    assert provider.told() == [("firing", lost.id)]


def test_it_is_not_ready_until_somebody_knows(gateway: Gateway, redis_url: str) -> None:
    lose(gateway, redis_url)
    [lost] = incidents(gateway)
    assert lost.id in readiness(gateway)["redis"]
    acknowledge(gateway, lost.id, "Dana")
    assert readiness(gateway)["redis"] == "ok"


def test_the_last_moments_page_nobody(gateway: Gateway, redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    for writes in (100, 150, 120):
        client.set("versus:version", writes)
        check(gateway)
        check(gateway)
    [lost] = incidents(gateway)
    assert (lost.title, lost.due_at) == ("Redis lost its last moments", None)
    assert readiness(gateway)["redis"] == "ok"
