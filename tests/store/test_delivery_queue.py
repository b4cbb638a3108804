"""The delivery queue over a real server: looks, budgets, pauses, deferring in order of urgency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import redis

from app.domain.alert import Alert, Severity
from app.domain.delivery import Destination
from app.domain.incident import Incident
from app.store import Store
from app.store.delivery_queue import AHEAD, DUE, GRACE, LEAST_OBSERVED_LIMIT, NEXT_CHECK, QUEUE, Limit
from tests.fakes import INFRA, PAGER
from tests.store.test_incidents import acknowledge, change, put

NOW = datetime(2026, 3, 4, 3, 0, tzinfo=UTC)
SOON = NOW + timedelta(minutes=2)
# As many as workers have on their way at a time, and may be ahead of one that is taken.
CROWD = 100
UNLIMITED = [("source:default", 0)]
LIMITS = [("source:default", 3), ("key:default", 5)]


def due(
    incident_id: str, severity: Severity | None = None, pager: Destination = PAGER, at: datetime = NOW
) -> Incident:
    alert = Alert(title=incident_id, source="generic", severity=severity)
    return Incident.opened(incident_id, alert, at, due_at=at, pager=pager)


def looked(store: Store, now: datetime) -> list[str]:
    return [entry.incident_id for entry in store.delivery_queue.next_checks(now, 500)]


def turn(store: Store, limits: Sequence[Limit], now: datetime, count: int = 500) -> list[str]:
    return [entry.incident_id for entry in store.delivery_queue.next_ready(PAGER, limits, now, count)]


def take(store: Store, incident: Incident, limits: Sequence[Limit], now: datetime, token: str) -> bool:
    [(pager, step)] = incident.steps()
    return store.delivery_queue.acquire_slot(incident, pager, step, limits, now, token)


def back_off(store: Store, until: datetime) -> None:
    store.delivery_queue.back_off(PAGER, UNLIMITED, until, NOW)


def test_an_incident_without_a_message_is_looked_at_ahead_of_time(store: Store) -> None:
    at = NOW + timedelta(hours=2)
    put(store, due("a", at=at))
    assert looked(store, at - AHEAD - timedelta(milliseconds=1)) == []
    [entry] = store.delivery_queue.next_checks(at - AHEAD, 500)
    assert (entry.incident_id, entry.pager, entry.due_at) == ("a", PAGER, at.timestamp())


def test_what_was_enqueued_ahead_is_looked_at_again_as_soon_as_it_is_late(store: Store) -> None:
    """The worker that got it may have died."""
    at = NOW + timedelta(hours=2)
    put(store, due("a", at=at))
    assert looked(store, at - AHEAD) == ["a"]
    assert looked(store, at + GRACE - timedelta(milliseconds=1)) == []
    assert looked(store, at + GRACE) == ["a"]


def test_an_enqueued_incident_is_looked_at_only_when_it_is_late(store: Store) -> None:
    put(store, due("a"), enqueued=True)
    assert looked(store, NOW + GRACE - timedelta(milliseconds=1)) == []
    assert looked(store, NOW + GRACE) == ["a"]


def test_looks_at_the_same_incident_grow_apart(store: Store) -> None:
    put(store, due("a"))
    seconds = [s for s in range(40) if looked(store, NOW + timedelta(seconds=s))]
    assert seconds == [0, 2, 4, 8, 16, 26, 36]


def test_every_worker_gets_other_incidents_to_enqueue(store: Store) -> None:
    put(store, *(due(str(n)) for n in range(10)))
    first = {entry.incident_id for entry in store.delivery_queue.next_checks(NOW, 6)}
    second = {entry.incident_id for entry in store.delivery_queue.next_checks(NOW, 6)}
    assert (len(first), len(second), first & second) == (6, 4, set())


def test_an_acknowledged_incident_is_on_no_list(store: Store, redis_url: str) -> None:
    put(store, due("a"))
    back_off(store, NOW + timedelta(minutes=1))
    assert not take(store, due("a"), [], NOW, "t")
    acknowledge(store, "a")
    client = redis.Redis.from_url(redis_url)
    assert client.zcard(DUE) == client.zcard(NEXT_CHECK) == client.zcard(QUEUE + PAGER) == 0


def test_a_budget_lets_so_many_through_and_defers_the_rest(store: Store) -> None:
    put(store, *(due(str(n)) for n in range(5)))
    taken = [take(store, due(str(n)), LIMITS, NOW, str(n)) for n in range(5)]
    assert taken == [True, True, True, False, False]
    # What is deferred is not looked at until its turn comes.
    assert set(looked(store, NOW + timedelta(seconds=30))) == {"0", "1", "2"}
    for n in range(3):
        acknowledge(store, str(n))
    assert turn(store, LIMITS, NOW + timedelta(seconds=60)) == []
    after = NOW + timedelta(seconds=61)
    [three, four] = store.delivery_queue.next_ready(PAGER, LIMITS, after, 500)
    assert (three.incident_id, four.incident_id, three.deferred) == ("3", "4", True)
    # Each was handed out, and is again when nobody came within two seconds.
    assert turn(store, LIMITS, after) == []
    assert take(store, due("3"), LIMITS, after, "3")
    acknowledge(store, "3")
    assert turn(store, LIMITS, after + timedelta(seconds=2)) == ["4"]


def test_what_was_taken_is_not_given_to_anybody_else_for_two_seconds(store: Store) -> None:
    put(store, due("a"))
    assert take(store, due("a"), LIMITS, NOW, "one")
    assert not take(store, due("a"), LIMITS, NOW + timedelta(seconds=1.9), "two")
    assert turn(store, LIMITS, NOW + timedelta(seconds=1.9)) == []
    # Anyone who took it has died.
    assert turn(store, LIMITS, NOW + timedelta(seconds=2)) == ["a"]
    assert take(store, due("a"), LIMITS, NOW + timedelta(seconds=2), "three")


def test_what_is_late_is_handed_out_with_what_was_deferred(store: Store) -> None:
    put(store, due("late"), due("deferred", "high"))
    put(store, due("enqueued"), enqueued=True)
    back_off(store, NOW + timedelta(seconds=0.2))
    assert not take(store, due("deferred", "high"), [], NOW, "t")
    entries = store.delivery_queue.next_ready(PAGER, [], NOW + timedelta(seconds=0.3), 500)
    assert [(entry.incident_id, entry.deferred) for entry in entries] == [("deferred", True), ("late", False)]
    assert turn(store, [], NOW + GRACE) == ["enqueued"]


def test_a_budget_of_the_key_holds_for_all_its_sources(store: Store) -> None:
    mine, theirs = Destination("incident_io/a"), Destination("incident_io/b")
    put(store, *(due(f"{pager}{n}", pager=pager) for pager in (mine, theirs) for n in range(3)))
    one = [("source:a", 3), ("key:default", 4)]
    other = [("source:b", 3), ("key:default", 4)]
    taken = [take(store, due(f"{mine}{n}", pager=mine), one, NOW, f"a{n}") for n in range(3)]
    taken += [take(store, due(f"{theirs}{n}", pager=theirs), other, NOW, f"b{n}") for n in range(3)]
    assert taken == [True, True, True, True, False, False]


def test_the_most_severe_goes_first_then_what_was_due_first(store: Store) -> None:
    back_off(store, NOW + timedelta(seconds=5))
    later = NOW + timedelta(seconds=1)
    waiting = [
        due("low", "low"),
        due("none"),
        due("critical-2", "critical", at=later),
        due("critical-1", "critical"),
    ]
    waiting.append(due("high", "high"))
    put(store, *waiting)
    for incident in waiting:
        assert not take(store, incident, [], later, "t")
    order = turn(store, [], NOW + timedelta(seconds=6))
    assert order == ["critical-1", "critical-2", "high", "none", "low"]


def test_what_gets_worse_while_it_is_deferred_moves_ahead(store: Store) -> None:
    put(store, due("first", "medium"), due("worse", "low"))
    back_off(store, NOW + timedelta(seconds=5))
    for incident in (due("first", "medium"), due("worse", "low")):
        assert not take(store, incident, [], NOW, "t")
    louder = Alert(title="worse", source="generic", severity="critical")
    change(
        store,
        lambda unit: unit.save(
            unit.require("worse").repeated(louder, NOW, due_at=None, pager=PAGER, asked=False)
        ),
        ids=["worse"],
    )
    assert turn(store, [], NOW + timedelta(seconds=6)) == ["worse", "first"]


def test_nobody_overtakes_a_more_urgent_incident_that_is_due(store: Store) -> None:
    limits = [("source:default", 1)]
    put(store, due("urgent", "critical"), due("newcomer", "low"), due("soon", "critical", at=SOON))
    # Nobody has asked for the urgent one yet: it goes first all the same.
    assert not take(store, due("newcomer", "low"), limits, NOW, "1")
    assert take(store, due("urgent", "critical"), limits, NOW, "2")
    acknowledge(store, "urgent")
    free_again = NOW + timedelta(seconds=61)
    # What is not due yet keeps nobody waiting.
    assert take(store, due("newcomer", "low"), limits, free_again, "3")


def test_the_first_of_a_crowd_that_does_not_fit_are_the_most_urgent(store: Store) -> None:
    limits = [("source:default", 3 * CROWD)]
    urgent = [due(f"urgent-{n}", "critical") for n in range(CROWD)]
    others = [due(f"other-{n}", "low") for n in range(3 * CROWD)]
    put(store, *urgent, *others)
    # There is room for it, but the more urgent have not been taken.
    assert not take(store, others[0], limits, NOW, "0")
    assert take(store, urgent[0], limits, NOW, "1")
    # One that nobody comes for does not hold up the others for ever.
    assert take(store, others[0], limits, NOW, "2")


def test_where_all_fit_nobody_waits_for_anybody(store: Store) -> None:
    others = [due(f"other-{n}", "low") for n in range(CROWD)]
    put(store, *(due(f"urgent-{n}", "critical") for n in range(CROWD)), *others)
    assert take(store, others[0], [("source:default", 2 * CROWD)], NOW, "0")


def test_a_refusal_teaches_how_much_the_provider_takes_in_a_minute(store: Store) -> None:
    incidents = [due(str(n)) for n in range(LEAST_OBSERVED_LIMIT + 10)]
    put(store, *incidents, *(due(f"next-{n}") for n in range(LEAST_OBSERVED_LIMIT + 10)))
    assert all(take(store, one, UNLIMITED, NOW, one.id) for one in incidents)
    pause = NOW + timedelta(seconds=1)
    for _ in range(3):
        back_off(store, pause)
    for one in incidents:
        acknowledge(store, one.id)
    assert not take(store, due("next-0"), UNLIMITED, pause, "t")
    # A minute later there is room for as many as were not refused.
    later = NOW + timedelta(seconds=61)
    taken = [
        take(store, due(f"next-{n}"), UNLIMITED, later, f"next-{n}") for n in range(LEAST_OBSERVED_LIMIT + 10)
    ]
    assert taken == [True] * (LEAST_OBSERVED_LIMIT + 7) + [False] * 3


def test_a_provider_that_refuses_everything_teaches_nothing_but_the_pause(store: Store) -> None:
    put(store, *(due(str(n)) for n in range(5)))
    assert take(store, due("0"), UNLIMITED, NOW, "0")
    pause = NOW + timedelta(seconds=1)
    back_off(store, pause)
    assert all(take(store, due(str(n)), UNLIMITED, pause, str(n)) for n in range(1, 5))


def test_a_pause_holds_everybody_back_and_a_longer_one_stands(store: Store) -> None:
    put(store, due("a"), due("b", pager=INFRA))
    back_off(store, NOW + timedelta(seconds=30))
    back_off(store, NOW + timedelta(seconds=5))
    assert not take(store, due("a"), [], NOW + timedelta(seconds=29), "t")
    assert take(store, due("b", pager=INFRA), [], NOW, "t")
    assert turn(store, [], NOW + timedelta(seconds=31)) == ["a"]
    assert take(store, due("a"), [], NOW + timedelta(seconds=31), "t")


def test_a_pager_that_is_to_be_sent_nothing_is_forgotten(store: Store) -> None:
    put(store, due("a"))
    assert store.delivery_queue.pagers(NOW) == [PAGER]
    acknowledge(store, "a")
    assert turn(store, [], NOW) == []
    assert store.delivery_queue.pagers(NOW) == []
    put(store, due("b"))
    assert store.delivery_queue.pagers(NOW) == [PAGER]


def test_what_is_not_due_any_more_is_neither_sent_nor_deferred(store: Store, redis_url: str) -> None:
    put(store, due("a"))
    acknowledge(store, "a")
    back_off(store, NOW + timedelta(seconds=5))
    assert not take(store, due("a"), [], NOW, "t")
    assert redis.Redis.from_url(redis_url).zcard(QUEUE + PAGER) == 0


def test_what_is_queued_without_being_due_is_dropped_when_its_turn_comes(
    store: Store, redis_url: str
) -> None:
    # Left over from a record that Redis lost.
    redis.Redis.from_url(redis_url).zadd(QUEUE + PAGER, {"ghost incident_io/default": 0})
    assert turn(store, [], NOW) == []
    assert redis.Redis.from_url(redis_url).zcard(QUEUE + PAGER) == 0


def test_the_oldest_due_and_the_living_workers_are_told(store: Store) -> None:
    assert store.delivery_queue.oldest_due() is None
    put(store, due("a", at=NOW + timedelta(seconds=5)), due("b"))
    assert store.delivery_queue.oldest_due() == NOW
    store.delivery_queue.worker_lives("one", NOW)
    store.delivery_queue.worker_lives("two", NOW + timedelta(seconds=40))
    assert store.delivery_queue.workers(NOW + timedelta(seconds=41), timedelta(seconds=30)) == ["two"]


@pytest.mark.parametrize(("severity", "rank"), [("critical", 0), ("info", 4), (None, 2)])
def test_severity_makes_the_rank(severity: Severity | None, rank: int) -> None:
    incident = replace(due("a"), severity=severity)
    assert [incident.urgency(step) for _, step in incident.steps()] == [rank]


def test_the_pager_for_which_the_most_urgent_is_due_comes_first(store: Store) -> None:
    app, later = Destination("incident_io/app"), NOW + timedelta(hours=1)
    put(store, due("a", "info", PAGER), due("b", "high", INFRA), due("c", "high", app, NOW - GRACE))
    put(store, due("d", "critical", PAGER, later))
    assert store.delivery_queue.pagers(NOW) == [app, INFRA, PAGER]
    assert store.delivery_queue.pagers(later) == [PAGER, app, INFRA]
