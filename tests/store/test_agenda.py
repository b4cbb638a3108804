"""The agenda over a real server: looks, budgets, pauses, parking in order of urgency."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import redis

from app.alert import Alert, Severity
from app.incident import Incident
from app.store import Store
from app.store.agenda import AHEAD, DUE, GRACE, LOOK
from tests.store.test_incidents import acknowledge, put

NOW = datetime(2026, 3, 4, 3, 0, tzinfo=UTC)
LIMITS = [("source:default", 3), ("key:default", 5)]


def due(
    incident_id: str, severity: Severity | None = None, source: str = "default", at: datetime = NOW
) -> Incident:
    alert = Alert(title=incident_id, source="generic", severity=severity)
    return Incident.opened(incident_id, alert, at, due_at=at, alert_source=source)


def looked(store: Store, now: datetime) -> list[str]:
    return [look.incident_id for look in store.agenda.looks(now, 500)]


def test_an_incident_without_a_message_is_looked_at_ahead_of_time(store: Store) -> None:
    at = NOW + timedelta(hours=2)
    put(store, due("a", at=at))
    assert looked(store, at - AHEAD - timedelta(milliseconds=1)) == []
    [look] = store.agenda.looks(at - AHEAD, 500)
    assert (look.incident_id, look.due_at) == ("a", at.timestamp())


def test_an_announced_incident_is_looked_at_only_when_it_is_late(store: Store) -> None:
    store.incidents.change(lambda draft: draft.put(due("a")), lambda *_: True)
    assert looked(store, NOW + GRACE - timedelta(milliseconds=1)) == []
    assert looked(store, NOW + GRACE) == ["a"]


def test_looks_at_the_same_incident_grow_apart(store: Store) -> None:
    put(store, due("a"))
    seconds = [s for s in range(64) if looked(store, NOW + timedelta(seconds=s))]
    assert seconds == [0, 2, 4, 8, 16, 32]


def test_every_worker_gets_other_incidents_to_announce(store: Store) -> None:
    put(store, *(due(str(n)) for n in range(10)))
    first = {look.incident_id for look in store.agenda.looks(NOW, 6)}
    second = {look.incident_id for look in store.agenda.looks(NOW, 6)}
    assert (len(first), len(second), first & second) == (6, 4, set())


def test_an_acknowledged_incident_is_on_no_list(store: Store, redis_url: str) -> None:
    put(store, due("a"))
    store.agenda.pause("default", NOW + timedelta(minutes=1), NOW)
    assert not store.agenda.take(due("a"), [], NOW, "t")
    acknowledge(store, "a")
    client = redis.Redis.from_url(redis_url)
    assert client.zcard(DUE) == client.zcard(LOOK) == client.zcard("versus:parked:default") == 0


def test_a_budget_lets_so_many_through_and_parks_the_rest(store: Store) -> None:
    put(store, *(due(str(n)) for n in range(5)))
    taken = [store.agenda.take(due(str(n)), LIMITS, NOW, str(n)) for n in range(5)]
    assert taken == [True, True, True, False, False]
    # What is parked is not looked at until its turn comes.
    assert set(looked(store, NOW + timedelta(seconds=30))) == {"0", "1", "2"}
    assert store.agenda.parked_sources() == ["default"]
    assert store.agenda.turn("default", LIMITS, NOW + timedelta(seconds=60), 500) == []
    after = NOW + timedelta(seconds=61)
    assert store.agenda.turn("default", LIMITS, after, 500) == ["3", "4"]
    assert store.agenda.take(due("3"), LIMITS, after, "3")
    assert store.agenda.turn("default", LIMITS, after, 500) == ["4"]


def test_a_budget_of_the_key_holds_for_all_its_sources(store: Store) -> None:
    put(store, *(due(f"{source}{n}", source=source) for source in "ab" for n in range(3)))
    one = [("source:a", 3), ("key:default", 4)]
    other = [("source:b", 3), ("key:default", 4)]
    taken = [store.agenda.take(due(f"a{n}", source="a"), one, NOW, f"a{n}") for n in range(3)]
    taken += [store.agenda.take(due(f"b{n}", source="b"), other, NOW, f"b{n}") for n in range(3)]
    assert taken == [True, True, True, True, False, False]


def test_the_most_severe_goes_first_then_what_was_due_first(store: Store) -> None:
    store.agenda.pause("default", NOW + timedelta(seconds=5), NOW)
    later = NOW + timedelta(seconds=1)
    waiting = [
        due("low", "low"),
        due("none"),
        due("critical 2", "critical", at=later),
        due("critical 1", "critical"),
    ]
    waiting.append(due("high", "high"))
    put(store, *waiting)
    for incident in waiting:
        assert not store.agenda.take(incident, [], later, "t")
    order = store.agenda.turn("default", [], NOW + timedelta(seconds=6), 500)
    assert order == ["critical 1", "critical 2", "high", "none", "low"]


def test_what_gets_worse_while_it_is_parked_moves_ahead(store: Store) -> None:
    put(store, due("first", "medium"), due("worse", "low"))
    store.agenda.pause("default", NOW + timedelta(seconds=5), NOW)
    for incident in (due("first", "medium"), due("worse", "low")):
        assert not store.agenda.take(incident, [], NOW, "t")
    louder = Alert(title="worse", source="generic", severity="critical")
    store.incidents.change(
        lambda draft: draft.put(
            draft.need("worse").repeated(louder, NOW, due_at=None, alert_source="default")
        ),
        lambda *_: False,
        ids=["worse"],
    )
    assert store.agenda.turn("default", [], NOW + timedelta(seconds=6), 500) == ["worse", "first"]


def test_nobody_overtakes_a_more_urgent_incident_that_is_parked(store: Store) -> None:
    limits = [("source:default", 1)]
    put(store, due("first"), due("urgent", "critical"), due("newcomer", "low"))
    assert store.agenda.take(due("first"), limits, NOW, "0")
    assert not store.agenda.take(due("urgent", "critical"), limits, NOW, "1")
    free_again = NOW + timedelta(seconds=61)
    assert not store.agenda.take(due("newcomer", "low"), limits, free_again, "2")
    assert store.agenda.take(due("urgent", "critical"), limits, free_again, "3")


def test_a_pause_holds_everybody_back_and_a_longer_one_stands(store: Store) -> None:
    put(store, due("a"), due("b", source="other"))
    store.agenda.pause("default", NOW + timedelta(seconds=30), NOW)
    store.agenda.pause("default", NOW + timedelta(seconds=5), NOW)
    assert not store.agenda.take(due("a"), [], NOW + timedelta(seconds=29), "t")
    assert store.agenda.take(due("b", source="other"), [], NOW, "t")
    assert store.agenda.turn("default", [], NOW + timedelta(seconds=31), 500) == ["a"]
    assert store.agenda.take(due("a"), [], NOW + timedelta(seconds=31), "t")


def test_a_source_with_nothing_parked_is_forgotten(store: Store) -> None:
    put(store, due("a"))
    store.agenda.pause("default", NOW + timedelta(seconds=5), NOW)
    store.agenda.take(due("a"), [], NOW, "t")
    after = NOW + timedelta(seconds=6)
    assert store.agenda.take(due("a"), [], after, "t")
    assert store.agenda.turn("default", [], after, 500) == []
    assert store.agenda.parked_sources() == []


def test_what_is_not_due_any_more_is_neither_sent_nor_parked(store: Store, redis_url: str) -> None:
    put(store, due("a"))
    acknowledge(store, "a")
    store.agenda.pause("default", NOW + timedelta(seconds=5), NOW)
    assert not store.agenda.take(due("a"), [], NOW, "t")
    assert redis.Redis.from_url(redis_url).zcard("versus:parked:default") == 0


def test_what_is_parked_without_being_due_is_dropped_when_its_turn_comes(
    store: Store, redis_url: str
) -> None:
    # Left over from a record that Redis lost.
    redis.Redis.from_url(redis_url).zadd("versus:parked:default", {"ghost": 0})
    assert store.agenda.turn("default", [], NOW, 500) == []
    assert redis.Redis.from_url(redis_url).zcard("versus:parked:default") == 0


def test_the_oldest_due_and_the_living_workers_are_told(store: Store) -> None:
    assert store.agenda.oldest_due() is None
    put(store, due("a", at=NOW + timedelta(seconds=5)), due("b"))
    assert store.agenda.oldest_due() == NOW
    store.agenda.worker_lives("one", NOW)
    store.agenda.worker_lives("two", NOW + timedelta(seconds=40))
    assert store.agenda.workers(NOW + timedelta(seconds=41), timedelta(seconds=30)) == ["two"]


@pytest.mark.parametrize(("severity", "rank"), [("critical", 0), ("info", 4), (None, 2)])
def test_severity_makes_the_rank(severity: Severity | None, rank: int) -> None:
    assert replace(due("a"), severity=severity).urgency == rank
