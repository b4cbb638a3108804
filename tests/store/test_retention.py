"""Old resolved incidents go, with every trace; everything else stays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from app.bootstrap import Services
from app.delivery.pages import deliver
from app.domain.incident import Incident
from app.store import IncidentNotFound, Store, UnitOfWork
from app.store.connection import Command
from app.store.counters import Sources
from app.store.retention import BATCH
from tests.factories import opened
from tests.fakes import PAGER, Clock, RecordingProvider

NOW = datetime(2026, 3, 4, 3, 0, tzinfo=UTC)
DAYS = timedelta(days=30)
MANY = 100_000
LEASE = timedelta(seconds=15)


def put(store: Store, incidents: Iterable[Incident]) -> None:
    """As it happens: each is opened first, and then what it is."""
    whole = list(incidents)
    for start in range(0, len(whole), 500):
        some = whole[start : start + 500]
        unit = store.incidents.assume_new([])
        write(store, unit, [opening(one) for one in some])
        write(store, unit, some)


def write(store: Store, unit: UnitOfWork, incidents: list[Incident]) -> None:
    def work(unit: UnitOfWork) -> None:
        for one in incidents:
            unit.save(one, "{}")

    store.incidents.update(unit, work, lambda *_: False)


def opening(incident: Incident) -> Incident:
    return opened(incident.id, incident.created_at, identity=incident.identity)


def resolved(incident_id: str, ago: timedelta) -> Incident:
    return opened(incident_id, NOW - ago, identity=f"k{incident_id}").resolved("grafana", NOW - ago)


def forget(store: Store, days: timedelta = DAYS, most: int = MANY) -> None:
    while store.retention.forget(NOW, days, most):
        pass


def unfinished(incident_id: str, ago: timedelta) -> Incident:
    """Resolved after its page went out; the provider has yet to take the resolve event."""
    at = NOW - ago
    paged = opened(incident_id, at, due_at=at).claimed(PAGER, "t", at, LEASE).delivered(PAGER, "t", at, "202")
    return paged.resolved("grafana", at)


def event_of(store: Store, incident_id: str) -> str | None:
    """What its pager is to be sent."""
    step = store.incidents.require(incident_id).next_step(PAGER)
    return None if step is None else step.event


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
    assert store.incidents.require("new-1").id == "new-1"
    with pytest.raises(IncidentNotFound):
        store.incidents.require("old-1")
    current = {
        labels: count
        for labels, count in store.snapshot(NOW, DAYS, DAYS, {}).counters.counts["current"].items()
        if count
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
    put(store, [opened("open-1", ago), opened("a", ago)])
    forget(store)
    assert store.incidents.get("open-1") is not None


@pytest.mark.parametrize(("days", "most"), [(DAYS, MANY), (DAYS * 10, 0)], ids=["old", "too many"])
def test_what_is_still_to_be_sent_a_resolve_event_stays_and_hinders_nobody(
    store: Store, days: timedelta, most: int
) -> None:
    waiting = [unfinished(f"unfinished-{n}", timedelta(days=40)) for n in range(BATCH + 1)]
    put(store, [*waiting, *(resolved(f"{n}", timedelta(days=35)) for n in range(5))])
    forget(store, days, most)
    assert all(event_of(store, one.id) == "resolved" for one in waiting)
    assert not any(store.incidents.get(f"{n}") for n in range(5))


def test_the_time_begins_when_the_resolve_event_is_out(store: Store, redis_url: str) -> None:
    out_at = NOW - timedelta(days=10)
    sending = unfinished("unfinished-1", timedelta(days=40)).claimed(PAGER, "u", out_at, LEASE)
    put(store, [unfinished("unfinished-1", timedelta(days=40))])
    sent = sending.delivered(PAGER, "u", out_at, "202", "resolved")
    write(store, store.incidents.unit_of_work(["unfinished-1"]), [sent])
    forget(store)
    assert store.incidents.get("unfinished-1") is not None
    store.retention.forget(out_at + DAYS + timedelta(seconds=1), DAYS, MANY)
    assert traces(redis_url, "unfinished-1") == ["versus:forgotten"]


def test_what_is_to_be_sent_a_resolve_event_again_is_not_over(store: Store) -> None:
    put(store, [resolved("late-1", DAYS * 2)])
    unit = store.incidents.unit_of_work(["late-1"])
    write(store, unit, [unit.require("late-1").delivered(PAGER, "slept", NOW - DAYS * 2, "202")])
    forget(store)
    assert event_of(store, "late-1") == "resolved"


def test_what_has_something_to_send_stays_whatever_the_list_says(store: Store, redis_url: str) -> None:
    put(store, [unfinished("unfinished-1", DAYS * 2), resolved("old-1", DAYS * 2)])
    redis.Redis.from_url(redis_url).zadd("versus:ended", {"unfinished-1": 0})
    forget(store)
    forget(store)
    assert event_of(store, "unfinished-1") == "resolved"
    assert store.incidents.get("old-1") is None


def test_so_many_go_in_one_step_and_it_says_whether_there_are_more(store: Store, redis_url: str) -> None:
    put(store, (resolved(f"{n:04}", DAYS * 2) for n in range(2 * BATCH + 1)))
    client = redis.Redis.from_url(redis_url)
    for left, more in ((BATCH + 1, True), (1, True), (0, False)):
        assert store.retention.forget(NOW, DAYS, MANY) is more
        assert client.zcard("versus:incidents") == left
    later = NOW + timedelta(days=9)
    for left, more in ((BATCH + 1, True), (1, True), (0, False)):
        assert store.retention.forget(later, DAYS, MANY) is more
        assert client.zcard("versus:forgotten") == left


def test_at_no_moment_is_an_incident_half_removed(store: Store, redis_url: str) -> None:
    many = 15 * BATCH + 1
    put(store, (resolved(f"{n:04}", DAYS * 2) for n in range(many)))
    client: Any = redis.Redis.from_url(redis_url, decode_responses=True)

    def look() -> int:
        """How many are left, as everything that knows of them says at one moment."""
        pipe = client.pipeline(transaction=True)
        pipe.keys("versus:incident:*")
        for key in ("incidents", "ended", "state:resolved", "forgotten"):
            pipe.zrange("versus:" + key, 0, -1)
        pipe.hget("versus:counts", "current|grafana|resolved")
        records, *lists, forgotten, counted = pipe.execute()
        left = {key.removeprefix("versus:incident:") for key in records}
        assert [set(one) for one in lists] == [left] * 3
        assert left.isdisjoint(forgotten)
        assert len(left) + len(forgotten) == many
        assert int(counted) == len(left)
        return len(left)

    with ThreadPoolExecutor(1) as pool:
        removal = pool.submit(forget, store)
        while not removal.done():
            look()
        removal.result()
    assert look() == 0


def test_what_is_written_to_meanwhile_stays_until_it_is_read_again(
    store: Store, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, [resolved("old-1", DAYS * 2), resolved("old-2", DAYS * 2)])
    gone = Sources.gone

    def written_to(sources: Sources, incidents: Sequence[Incident]) -> Iterator[Command]:
        monkeypatch.setattr(Sources, "gone", gone)
        unit = store.incidents.unit_of_work(["old-2"])
        write(store, unit, [unit.require("old-2").noted(NOW, "opened")])
        return gone(sources, incidents)

    # Between the moment at which the records are read and that at which they go.
    monkeypatch.setattr(Sources, "gone", written_to)
    store.retention.forget(NOW, DAYS, MANY)
    assert store.incidents.require("old-1").id == "old-1"
    assert store.incidents.require("old-2").timeline[-1].event == "opened"
    assert not store.retention.was_forgotten("old-1")
    forget(store)
    assert traces(redis_url, "old-1") == traces(redis_url, "old-2") == ["versus:forgotten"]


def test_a_record_that_redis_lost_leaves_the_lists_and_is_not_remembered(
    store: Store, redis_url: str
) -> None:
    put(store, [resolved("lost-1", DAYS * 2), resolved("old-1", DAYS * 2)])
    redis.Redis.from_url(redis_url).delete("versus:incident:lost-1")
    forget(store)
    assert traces(redis_url, "lost-1") == []
    assert traces(redis_url, "old-1") == ["versus:forgotten"]


def test_a_newer_problem_keeps_the_identity(store: Store) -> None:
    put(store, [resolved("old-1", DAYS * 2)])
    again = opened("again-1", identity="kold-1")
    write(store, store.incidents.unit_of_work(identities=["kold-1"]), [again])
    forget(store)
    found = store.incidents.unit_of_work(identities=["kold-1"]).find("kold-1")
    assert found is not None
    assert found.id == "again-1"


def test_a_late_message_about_what_was_removed_pages_nobody(
    services: Services, clock: Clock, provider: RecordingProvider
) -> None:
    clock.now = NOW
    put(services.store, [resolved("old-1", DAYS * 2)])
    forget(services.store)
    deliver(services, "old-1", [PAGER], "Disk full")
    assert provider.events == []
    # One that Redis lost is paged: nobody is known to have acknowledged it.
    deliver(services, "lost-1", [PAGER], "Disk full")
    assert provider.notified() == [("firing", "lost-1")]


def test_a_removed_id_is_remembered_for_eight_days(store: Store) -> None:
    put(store, [resolved("old-1", DAYS * 2)])
    forget(store)
    store.retention.forget(NOW + timedelta(days=7, hours=23), DAYS, MANY)
    assert store.retention.was_forgotten("old-1")
    store.retention.forget(NOW + timedelta(days=8, hours=1), DAYS, MANY)
    assert not store.retention.was_forgotten("old-1")


def test_one_caller_of_all_has_the_turn(store: Store, redis_url: str) -> None:
    assert store.retention.acquire_slot(NOW)
    assert not Store(redis_url).retention.acquire_slot(NOW)
