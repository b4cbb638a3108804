"""What the watching thread reports, and what `/readyz` says of it."""

from __future__ import annotations

import dataclasses
import time

import pytest
import redis

from app.actions import acknowledge
from app.bootstrap import Services
from app.delivery.pages import deliver
from app.domain.incident import Incident
from app.ops.health import readiness
from app.ops.watch import check
from app.store import Search, Store, StoreUnavailable
from tests.fakes import RecordingProvider
from tests.refusing import refusing_writes


def incidents(services: Services) -> list[Incident]:
    return services.store.incidents.page(Search(), 10, None).incidents


def lose(services: Services, redis_url: str) -> None:
    check(services)
    check(services)
    redis.Redis.from_url(redis_url).flushall()
    check(services)
    check(services)


def test_a_loss_is_one_incident_that_pages_at_once(
    services: Services, provider: RecordingProvider, redis_url: str
) -> None:
    lose(services, redis_url)
    [lost] = incidents(services)
    assert (lost.title, lost.source) == ("Redis lost data: 0 incidents were pending", "versus")
    assert lost.due_at == services.clock()
    deliver(services, lost.id)
    assert provider.notified() == [("firing", lost.id)]


def test_while_redis_takes_no_writes_a_process_pages_for_a_loss_once(
    services: Services, provider: RecordingProvider, redis_url: str
) -> None:
    quick = dataclasses.replace(services, store=Store(redis_url, retry_seconds=0.1))
    check(quick)
    check(quick)
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    assert quick.store.epoch.check() is not None
    # Who noticed it has had its time to report it.
    client.hset("versus:epoch", "at", time.time() - 10)
    with refusing_writes(redis_url):
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                check(quick)
    assert len(provider.notified()) == 1
    quick.backlog.write()
    check(quick)
    [lost] = incidents(services)
    assert quick.store.epoch.check() is None
    assert provider.notified() == [("firing", lost.id)]


def test_it_is_not_ready_until_somebody_knows(services: Services, redis_url: str) -> None:
    lose(services, redis_url)
    [lost] = incidents(services)
    assert lost.id in readiness(services)["redis"]
    acknowledge(services, lost.id, "Dana")
    assert readiness(services)["redis"] == "ok"


def test_the_last_moments_page_nobody(services: Services, redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    for writes in (100, 150, 120):
        client.set("versus:version", writes)
        check(services)
        check(services)
    [lost] = incidents(services)
    assert (lost.title, lost.due_at) == ("Redis lost its last moments", None)
    assert readiness(services)["redis"] == "ok"
