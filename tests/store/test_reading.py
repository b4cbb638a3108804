"""Records that can't be read: each has a stand-in, and whatever is done to it is stored."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import redis

from app.domain.alert import Alert
from app.domain.delivery import Delivery
from app.domain.incident import Incident
from app.domain.state import State
from app.store import Search, Store, UnitOfWork
from tests.fakes import INFRA, PAGER
from tests.store.damage import DAMAGE, damage

NOW = datetime(2026, 3, 4, 3, 0, tzinfo=UTC)
DUE = NOW + timedelta(minutes=3)


def incident(incident_id: str, identity: str | None = None) -> Incident:
    alert = Alert(title="Disk full", source="generic", identity=identity, severity="critical")
    return Incident.opened(incident_id, alert, NOW, due_at=DUE, pager=INFRA)


def put(store: Store, *incidents: Incident) -> None:
    def work(unit: UnitOfWork) -> None:
        for one in incidents:
            unit.save(one, "{}")

    unit = store.incidents.unit_of_work([one.id for one in incidents])
    store.incidents.update(unit, work, lambda *_: False)


@pytest.fixture
def client(redis_url: str) -> redis.Redis:
    return redis.Redis.from_url(redis_url)


@pytest.mark.parametrize("kind", DAMAGE)
def test_it_is_listed_beside_the_others(store: Store, client: redis.Redis, kind: str) -> None:
    put(store, incident("a"), incident("b"))
    damage(client, kind, "a")
    listed = {one.id: one for one in store.incidents.page(Search(), 10, None).incidents}
    assert set(listed) == {"a", "b"}
    assert listed["a"].labels == {"unreadable": "true"}
    assert listed["b"].labels == {}
    assert {one.id for one in store.incidents.soonest(10)} == {"a", "b"}


@pytest.mark.parametrize("kind", DAMAGE)
def test_it_is_still_due_where_and_when_it_was(store: Store, client: redis.Redis, kind: str) -> None:
    put(store, incident("a"))
    damage(client, kind, "a")
    found = store.incidents.require("a")
    assert [(pager, step.event, step.at) for pager, step in found.steps()] == [(INFRA, "firing", DUE)]
    assert found.created_at == NOW


@pytest.mark.parametrize("kind", DAMAGE)
def test_an_acknowledgement_of_it_is_stored_and_stops_its_page(
    store: Store, client: redis.Redis, kind: str
) -> None:
    put(store, incident("a"))
    damage(client, kind, "a")
    unit = store.incidents.unit_of_work(["a"], channels=True)
    store.incidents.update(unit, lambda u: u.save(u.require("a").acknowledged("ops", NOW)), lambda *_: False)
    found = store.incidents.require("a")
    assert found.state is State.ACKNOWLEDGED
    assert found.acknowledged_by == "ops"
    assert store.delivery_queue.oldest_due() is None
    assert client.zcard("versus:state:pending") == 0
    assert [
        one.id for one in store.incidents.page(Search(frozenset({State.ACKNOWLEDGED})), 10, None).incidents
    ] == ["a"]


def test_its_own_texts_are_kept_where_it_is_json(store: Store, client: redis.Redis) -> None:
    put(store, incident("a"))
    damage(client, "of a newer version", "a")
    found = store.incidents.require("a")
    assert (found.title, found.source, found.severity) == ("Disk full", "generic", "critical")


def test_what_cannot_be_read_is_kept_beside_what_stands_in_its_place(
    store: Store, client: redis.Redis
) -> None:
    put(store, incident("a"))
    damage(client, "of a newer version", "a")
    before = client.hget("versus:incident:a", "doc")
    put(store, store.incidents.require("a").resolved("ops", NOW))
    assert client.hget("versus:incident:a", "unreadable") == before


def paged(one: Incident) -> Incident:
    has = Delivery(accepted="firing", accepted_at=NOW)
    return replace(one, pagers={INFRA: has})


@pytest.mark.parametrize("kind", ["cut", "of another type"])
@pytest.mark.parametrize(
    ("was", "state"),
    [
        (incident("a").acknowledged("ops", NOW), State.ACKNOWLEDGED),
        (paged(incident("a")), State.ESCALATED),
        (incident("a").resolved("ops", NOW), State.RESOLVED),
    ],
)
def test_what_has_nothing_to_send_still_has_not(
    store: Store, client: redis.Redis, was: Incident, state: State, kind: str
) -> None:
    put(store, was)
    damage(client, kind, "a")
    found = store.incidents.require("a")
    assert found.state is state
    assert list(found.steps()) == []


def test_a_resolve_event_that_is_due_is_still_due(store: Store, client: redis.Redis) -> None:
    put(store, paged(incident("a")).resolved("ops", NOW))
    damage(client, "cut", "a")
    assert [(p, step.event) for p, step in store.incidents.require("a").steps()] == [(INFRA, "resolved")]


def test_a_repeat_joins_it(store: Store, client: redis.Redis) -> None:
    put(store, incident("a", identity="disk"))
    damage(client, "cut", "a")
    unit = store.incidents.unit_of_work(identities=["disk"])
    found = unit.find("disk")
    assert found is not None
    assert found.id == "a"


def test_what_a_channel_has_may_be_damaged_too(store: Store, client: redis.Redis) -> None:
    put(store, incident("a"))
    client.hset("versus:incident:a", "channel:ops", "{")
    client.hset("versus:summary:ops", "delivery", "{")
    assert store.incidents.deliveries("a") == {"ops": Delivery()}
    summary = store.notifications.summary(PAGER)
    assert summary == Delivery()


def test_a_damaged_summary_can_be_written_again(store: Store, client: redis.Redis) -> None:
    client.hset("versus:summary:" + PAGER, "delivery", "{")
    before = store.notifications.summary(PAGER)
    assert store.notifications.save_summary(PAGER, before, Delivery(failures=1), NOW)
    assert store.notifications.summary(PAGER) == Delivery(failures=1)


def test_what_is_over_is_removed_in_its_time(store: Store, client: redis.Redis) -> None:
    put(store, incident("a").resolved("ops", NOW), incident("b").resolved("ops", NOW))
    damage(client, "of another type", "a")
    damage(client, "cut", "b")
    store.retention.forget(NOW + timedelta(days=3), timedelta(days=1), 100)
    assert store.incidents.page(Search(), 10, None).incidents == []
    assert not client.exists("versus:incident:a", "versus:incident:b")


def test_a_payload_that_is_no_json_is_a_text(store: Store, client: redis.Redis) -> None:
    put(store, incident("a"))
    client.set("versus:payload:a", '{"cut')
    assert store.incidents.payload("a") == '{"cut'


def test_each_is_logged_once(store: Store, client: redis.Redis, log: io.StringIO) -> None:
    put(store, incident("a"))
    damage(client, "cut", "a")
    store.incidents.require("a")
    store.incidents.require("a")
    assert log.getvalue().count("record_unreadable") == 1
