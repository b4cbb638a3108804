"""The store over a real server: atomic changes, indexes, identity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest
import redis

from app.domain.alert import Alert
from app.domain.delivery import InvalidTransition
from app.domain.incident import Incident
from app.domain.state import State
from app.store import IncidentNotFound, Store, StoreUnavailable, UnitOfWork
from app.store.connection import Command, Connection
from app.store.transaction import committing
from tests.fakes import PAGER

NOW = datetime(2026, 3, 4, 3, 0, tzinfo=UTC)
DUE = NOW + timedelta(minutes=3)

T = TypeVar("T")


def alert(identity: str | None = None, title: str = "Disk full") -> Alert:
    return Alert(title=title, source="generic", identity=identity)


def incident(incident_id: str = "a", identity: str | None = None, due_at: datetime | None = DUE) -> Incident:
    return Incident.opened(incident_id, alert(identity), NOW, due_at=due_at, pager=PAGER)


def change(
    store: Store,
    work: Callable[[UnitOfWork], T],
    *,
    ids: Sequence[str] = (),
    identities: Sequence[str] = (),
    enqueued: bool = False,
) -> T:
    """What `work` returns, once it is written."""
    unit = store.incidents.unit_of_work(ids, identities)
    return store.incidents.update(unit, work, lambda *_: enqueued)[0]


def put(store: Store, *incidents: Incident, enqueued: bool = False) -> None:
    def work(unit: UnitOfWork) -> None:
        for one in incidents:
            unit.save(one, "{}")

    change(store, work, ids=[i.id for i in incidents], enqueued=enqueued)


def acknowledge(store: Store, incident_id: str, by: str = "ops") -> None:
    change(store, lambda unit: unit.save(unit.require(incident_id).acknowledged(by, NOW)), ids=[incident_id])


def test_what_is_put_can_be_read_again(store: Store) -> None:
    one = incident(identity="k")
    put(store, one)
    assert store.incidents.get("a") == one
    assert store.incidents.payload("a") == {}


def test_an_unknown_id_is_nothing(store: Store) -> None:
    assert store.incidents.get("nobody") is None
    assert store.incidents.payload("nobody") is None
    with pytest.raises(IncidentNotFound):
        store.incidents.require("nobody")


def test_a_change_that_is_not_allowed_writes_nothing(store: Store) -> None:
    put(store, incident())

    def work(unit: UnitOfWork) -> None:
        unit.save(incident("b"))
        raise InvalidTransition("no")

    with pytest.raises(InvalidTransition):
        change(store, work, ids=["a"])
    assert store.incidents.get("b") is None


def test_two_writers_at_once_lose_nothing(store: Store) -> None:
    put(store, incident())

    def note(n: int) -> None:
        change(
            store,
            lambda unit: unit.save(unit.require("a").commented(alert(title=f"note {n}"), NOW)),
            ids=["a"],
        )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(note, range(40)))
    notes = {entry.detail for entry in store.incidents.require("a").timeline if entry.event == "note"}
    assert notes == {f"note {n}" for n in range(40)}


def test_the_same_identity_at_the_same_instant_is_one_incident(store: Store) -> None:
    def receive(n: int) -> str:
        def work(unit: UnitOfWork) -> str:
            known = unit.find("k")
            if known is not None:
                return unit.save(known.repeated(alert("k"), NOW, due_at=None, pager=PAGER, asked=False)).id
            return unit.save(incident(str(n), "k")).id

        return change(store, work, identities=["k"])

    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(receive, range(30)))
    assert len(set(ids)) == 1
    assert store.incidents.require(ids[0]).occurrences == 30


def test_a_unit_of_work_that_was_committed_may_be_changed_again(store: Store) -> None:
    put(store, incident())
    unit = store.incidents.unit_of_work(["a"])

    def note(by: str) -> Callable[[UnitOfWork], Incident]:
        return lambda unit: unit.save(unit.require("a").commented(alert(title=by), NOW))

    for by in ("one", "two"):
        store.incidents.update(unit, note(by), lambda *_: False)
    assert [entry.detail for entry in store.incidents.require("a").timeline][-2:] == ["one", "two"]


def test_a_unit_of_work_that_somebody_overtook_is_read_again(store: Store) -> None:
    put(store, incident())
    unit = store.incidents.unit_of_work(["a"])
    acknowledge(store, "a")
    with pytest.raises(InvalidTransition):
        store.incidents.update(
            unit,
            lambda unit: unit.save(unit.require("a").claimed(PAGER, "t", DUE, timedelta(seconds=15))),
            lambda *_: False,
        )
    assert store.incidents.require("a").state is State.ACKNOWLEDGED


def test_a_resolved_incident_gives_its_identity_back(store: Store) -> None:
    put(store, incident("a", "k"))

    def resolve_and_open(unit: UnitOfWork) -> None:
        known = unit.find("k")
        assert known is not None
        unit.save(known.resolved("ops", NOW))
        assert unit.find("k") is None
        unit.save(incident("b", "k"))

    change(store, resolve_and_open, identities=["k"])
    found = change(store, lambda unit: unit.find("k"), identities=["k"])
    assert found is not None
    assert found.id == "b"


def test_an_identity_whose_record_was_lost_starts_anew(store: Store, redis_url: str) -> None:
    put(store, incident("a", "k"))
    redis.Redis.from_url(redis_url).delete("versus:incident:a")
    change(store, lambda unit: unit.save(incident("b", "k")), identities=["k"])
    found = change(store, lambda unit: unit.find("k"), identities=["k"])
    assert found is not None
    assert found.id == "b"


def test_a_commit_whose_answer_was_lost_is_not_done_twice_anyone_who_wrote_since(redis_url: str) -> None:
    commit = committing(Connection(redis_url, retry_seconds=1, timeout=1))
    client = redis.Redis.from_url(redis_url)
    key = "versus:incident:a"
    commands: list[Command] = [("HSET", key, "v", "token"), ("RPUSH", "versus:test", "done")]
    assert commit("token", [(key, "v", "")], commands)
    assert commit("token", [(key, "v", "")], commands)
    client.hset(key, "v", "theirs")
    assert commit("token", [(key, "v", "")], commands)
    client.delete(key)
    assert commit("token", [(key, "v", "")], commands)
    assert client.llen("versus:test") == 1
    # What is remembered of it goes by itself.
    assert 0 < client.ttl("versus:committed:token") <= 60


def test_a_commit_over_somebody_elses_write_changes_nothing(redis_url: str) -> None:
    commit = committing(Connection(redis_url, retry_seconds=1, timeout=1))
    client = redis.Redis.from_url(redis_url, decode_responses=True)
    key = "versus:incident:a"
    client.hset(key, "v", "theirs")
    assert not commit("ours", [(key, "v", "")], [("HSET", key, "v", "ours")])
    assert not commit("ours", [(key, "v", "")], [("HSET", key, "v", "ours")])
    assert client.hget(key, "v") == "theirs"


def test_redis_away_ends_in_unavailable() -> None:
    store = Store("redis://127.0.0.1:1/0", retry_seconds=0.05, timeout=0.05)
    with pytest.raises(StoreUnavailable):
        store.incidents.get("a")


def test_redis_without_memory_ends_in_unavailable(store: Store, redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    client.config_set("maxmemory", "1")
    try:
        with pytest.raises(StoreUnavailable, match="refuses to work"):
            put(store, incident())
    finally:
        client.config_set("maxmemory", "0")
    assert store.incidents.get("a") is None
