"""Old resolved incidents go, with every trace; everything else stays."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from app.alert import Alert
from app.deliver import deliver
from app.gateway import Gateway
from app.incident import Incident
from app.store import BATCH, Draft, Store, Unknown
from tests.fakes import Clock, RecordingProvider

NOW = datetime(2026, 3, 4, 3, 0, tzinfo=UTC)
DAYS = timedelta(days=30)
MANY = 100_000


def put(store: Store, incidents: Iterable[Incident]) -> None:
    """As it happens: each is opened first, and then what it is."""
    whole = list(incidents)
    for start in range(0, len(whole), 500):
        some = whole[start : start + 500]
        draft = store.incidents.unread([])
        write(store, draft, [opening(one) for one in some])
        write(store, draft, some)


def write(store: Store, draft: Draft, incidents: list[Incident]) -> None:
    def work(draft: Draft) -> None:
        for one in incidents:
            draft.put(one, "{}")

    store.incidents.change(draft, work, lambda *_: False, lambda *_: ())


def opening(incident: Incident) -> Incident:
    alert = Alert(title="Disk full", source="grafana", identity=incident.identity)
    return Incident.opened(incident.id, alert, incident.created_at, due_at=None, alert_source="default")


def resolved(incident_id: str, ago: timedelta) -> Incident:
    alert = Alert(title="Disk full", source="grafana", identity=f"k{incident_id}")
    opened = Incident.opened(incident_id, alert, NOW - ago, due_at=None, alert_source="default")
    return opened.resolved("grafana", NOW - ago)


def forget(store: Store, days: timedelta = DAYS, most: int = MANY) -> None:
    while store.retention.forget(NOW, days, most) == BATCH:
        pass


def traces(url: str, incident_id: str) -> list[str]:
    """The keys that still know of an incident."""
    client: Any = redis.Redis.from_url(url, decode_responses=True)
    members = {"zset": lambda k: client.zrange(k, 0, -1), "set": client.smembers, "hash": client.hvals}

    def knows(key: str) -> bool:
        kept = members.get(client.type(key), lambda k: [])(key)
        return incident_id in key or any(incident_id in member for member in kept)

    return sorted(key for key in client.scan_iter("versus:*") if knows(key))


def test_what_ended_long_ago_goes_with_every_trace(store: Store, redis_url: str) -> None:
    put(
        store,
        [resolved("old-1", DAYS + timedelta(seconds=1)), resolved("new-1", DAYS - timedelta(seconds=1))],
    )
    forget(store)
    assert traces(redis_url, "old-1") == ["versus:forgotten"]
    assert store.incidents.need("new-1").id == "new-1"
    with pytest.raises(Unknown):
        store.incidents.need("old-1")
    current = {
        labels: count for labels, count in store.gauges(NOW, DAYS, DAYS, {}).counters.current.items() if count
    }
    assert current == {("grafana", "resolved"): 1}


def test_no_more_than_so_many_stay_and_the_oldest_go(store: Store) -> None:
    put(store, (resolved(f"{n:04}", timedelta(hours=2, seconds=n)) for n in range(1, 1300)))
    forget(store, most=1000)
    stayed = [n for n in range(1, 1300) if store.incidents.get(f"{n:04}") is not None]
    assert stayed == list(range(1, 1001))


def test_within_an_hour_nothing_goes_however_many_there_are(store: Store) -> None:
    put(store, (resolved(f"{n:04}", timedelta(minutes=59)) for n in range(20)))
    forget(store, days=timedelta(0), most=5)
    assert all(store.incidents.get(f"{n:04}") for n in range(20))


def test_what_is_not_resolved_stays_for_ever(store: Store) -> None:
    ago = NOW - timedelta(days=400)
    alert = Alert(title="Disk full", source="grafana")
    opened = Incident.opened("open-1", alert, ago, due_at=None, alert_source="default")
    put(store, [opened, Incident.opened("a", alert, ago, due_at=None, alert_source="default")])
    forget(store)
    assert store.incidents.get("open-1") is not None


def test_what_still_owes_an_all_clear_stays_and_hinders_nobody(store: Store) -> None:
    ago = NOW - timedelta(days=40)
    alert = Alert(title="Disk full", source="grafana")
    opened = Incident.opened("owes-1", alert, ago, due_at=ago, alert_source="default")
    paged = opened.claimed("t", ago, timedelta(seconds=15)).delivered("t", ago, "202")
    put(store, [paged.resolved("grafana", ago), *(resolved(f"{n}", timedelta(days=35)) for n in range(5))])
    forget(store)
    assert store.incidents.need("owes-1").owes == "resolved"
    assert not any(store.incidents.get(f"{n}") for n in range(5))


def test_a_record_that_redis_lost_leaves_the_lists(store: Store, redis_url: str) -> None:
    put(store, [resolved("lost-1", DAYS * 2)])
    redis.Redis.from_url(redis_url).delete("versus:incident:lost-1")
    forget(store)
    client = redis.Redis.from_url(redis_url)
    assert client.zcard("versus:incidents") == client.zcard("versus:ended") == 0


def test_a_newer_problem_keeps_the_identity(store: Store) -> None:
    put(store, [resolved("old-1", DAYS * 2)])
    alert = Alert(title="Disk full", source="grafana", identity="kold-1")
    again = Incident.opened("again-1", alert, NOW, due_at=None, alert_source="default")
    write(store, store.incidents.draft(identities=["kold-1"]), [again])
    forget(store)
    found = store.incidents.draft(identities=["kold-1"]).find("kold-1")
    assert found is not None
    assert found.id == "again-1"


def test_a_late_message_about_what_was_removed_pages_nobody(
    gateway: Gateway, clock: Clock, provider: RecordingProvider
) -> None:
    clock.now = NOW
    put(gateway.store, [resolved("old-1", DAYS * 2)])
    forget(gateway.store)
    deliver(gateway, "old-1", "default", "Disk full")
    assert provider.events == []
    # One that Redis lost is paged: nobody is known to have acknowledged it.
    deliver(gateway, "lost-1", "default", "Disk full")
    assert provider.told() == [("firing", "lost-1")]


def test_a_removed_id_is_remembered_for_eight_days(store: Store) -> None:
    put(store, [resolved("old-1", DAYS * 2)])
    forget(store)
    store.retention.forget(NOW + timedelta(days=7, hours=23), DAYS, MANY)
    assert store.retention.was_forgotten("old-1")
    store.retention.forget(NOW + timedelta(days=8, hours=1), DAYS, MANY)
    assert not store.retention.was_forgotten("old-1")


def test_one_caller_of_all_has_the_turn(store: Store, redis_url: str) -> None:
    assert store.retention.turn()
    assert not Store(redis_url).retention.turn()
