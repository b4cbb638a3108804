"""What the watching thread reports, and what `/readyz` says of it."""

from __future__ import annotations

import redis

from app.actions import acknowledge
from app.bootstrap import Services
from app.delivery.pages import deliver
from app.domain.incident import Incident
from app.ops.health import readiness
from app.ops.watch import check
from app.store import Search
from tests.fakes import RecordingProvider


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
