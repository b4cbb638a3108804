"""The delivery queue over a real server: looks, budgets, pauses, deferring in order of urgency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
import redis

from app.domain.alert import Alert, Severity
from app.domain.delivery import Destination
from app.domain.incident import Incident
from app.store import Store
from app.store.connection import Connection
from app.store.delivery_queue import AHEAD, DUE, GRACE, NEXT_CHECK, PAUSED, PROBES, QUEUE, Limit
from tests.factories import opened
from tests.fakes import INFRA, PAGER
from tests.store.test_incidents import acknowledge, change, put

NOW = datetime(2026, 3, 4, 3, 0, tzinfo=UTC)
SOON = NOW + timedelta(minutes=2)
# As many as workers have on their way at a time, and may be ahead of one that is taken.
CROWD = 100
LEASE = timedelta(seconds=15)
UNLIMITED = [("source:default", 0)]
LIMITS = [("source:default", 3), ("key:default", 5)]


def due(
    incident_id: str, severity: Severity | None = None, pager: Destination = PAGER, at: datetime = NOW
) -> Incident:
    return opened(incident_id, at, due_at=at, pager=pager, severity=severity)


def looked(store: Store, now: datetime) -> list[str]:
    return [entry.incident_id for entry in store.delivery_queue.next_checks(now, 500)]


def turn(store: Store, limits: Sequence[Limit], now: datetime, count: int = 500) -> list[str]:
    return [entry.incident_id for entry in store.delivery_queue.turns({PAGER: limits}, now, count)]


def take(store: Store, incident: Incident, limits: Sequence[Limit], now: datetime, token: str) -> bool:
    [(pager, step)] = incident.steps()
    return store.delivery_queue.acquire_slot(incident, pager, step, limits, now, token)


def back_off(store: Store, until: datetime, now: datetime = NOW, token: str = "t") -> None:
    store.delivery_queue.back_off(PAGER, UNLIMITED, until, now, token)


def pause(redis_url: str, until: datetime) -> None:
    """Nothing leaves until then, and nothing was refused."""
    redis.Redis.from_url(redis_url).set(PAUSED + PAGER, until.timestamp())


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
    [three, four] = store.delivery_queue.turns({PAGER: LIMITS}, after, 500)
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


def test_what_is_late_is_handed_out_with_what_was_deferred(store: Store, redis_url: str) -> None:
    put(store, due("late"), due("deferred", "high"))
    put(store, due("enqueued"), enqueued=True)
    pause(redis_url, NOW + timedelta(seconds=0.2))
    assert not take(store, due("deferred", "high"), [], NOW, "t")
    entries = store.delivery_queue.turns({PAGER: []}, NOW + timedelta(seconds=0.3), 500)
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


def test_the_most_severe_goes_first_then_what_was_due_first(store: Store, redis_url: str) -> None:
    pause(redis_url, NOW + timedelta(seconds=5))
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


def test_what_gets_worse_while_it_is_deferred_moves_ahead(store: Store, redis_url: str) -> None:
    put(store, due("first", "medium"), due("worse", "low"))
    pause(redis_url, NOW + timedelta(seconds=5))
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


# -- what a provider's refusals teach -----------------------------------------------------------------


class Bucket:
    """A provider and its workers, in steps of a tenth of a second: so many a second, as many at once."""

    def __init__(self, store: Store, connection: Connection, count: int, rate: float, size: float) -> None:
        self.store, self.rate, self.size, self.level = store, rate, size, size
        self.waiting = [due(f"{n:03}") for n in range(count)]
        self.probes = connection
        self.attempts = 0
        put(store, *self.waiting)

    def check_pages(self, now: datetime) -> None:
        self.level = min(self.size, self.level + self.rate / 10)
        for one in self.waiting[:]:
            token = f"{self.attempts}"
            if not take(self.store, one, UNLIMITED, now, token):
                return
            self.attempts += 1
            if self.level < 1:
                back_off(self.store, now + timedelta(seconds=1), now, token)
                # It is put off, and others go first.
                self.waiting.remove(one)
                self.waiting.append(one)
                return
            self.level -= 1
            self.waiting.remove(one)
            self.probes.call("HDEL", PROBES, token)
            acknowledge(self.store, one.id)


@pytest.mark.parametrize(("rate", "size"), [(20.0, 20.0), (5.0, 5.0), (2.0, 120.0)])
def test_what_the_provider_takes_is_used_and_little_more_is_tried(
    store: Store, redis_url: str, rate: float, size: float
) -> None:
    seconds = 30
    count = int(size + seconds * rate)
    provider = Bucket(store, Connection(redis_url, retry_seconds=1, timeout=1), 2 * count, rate, size)
    for n in range(10 * seconds):
        provider.check_pages(NOW + timedelta(seconds=n / 10))
    sent = 2 * count - len(provider.waiting)
    assert sent >= 0.85 * count
    assert provider.attempts <= 1.5 * sent


def refused(store: Store, count: int) -> None:
    """A provider takes so many events, and refuses the next one."""
    put(store, *(due(f"{n:03}") for n in range(3 * count)))
    for n in range(count):
        assert take(store, due(f"{n:03}"), UNLIMITED, NOW, f"{n}")
        acknowledge(store, f"{n:03}")
    assert take(store, due(f"{count:03}"), UNLIMITED, NOW, "refused")
    back_off(store, NOW + timedelta(seconds=1), NOW, "refused")
    acknowledge(store, f"{count:03}")


def test_after_a_pause_one_event_probes_whether_the_provider_takes_more(store: Store) -> None:
    refused(store, 30)
    later = NOW + timedelta(seconds=1)
    assert not take(store, due("031"), UNLIMITED, NOW + timedelta(seconds=0.9), "early")
    assert take(store, due("031"), UNLIMITED, later, "probe")
    acknowledge(store, "031")
    assert not take(store, due("032"), UNLIMITED, later, "another")
    assert turn(store, UNLIMITED, later) == []
    # Its worker may have died: a second later the next one probes.
    assert take(store, due("032"), UNLIMITED, later + timedelta(seconds=1), "second probe")


def test_probes_that_are_refused_come_further_and_further_apart(store: Store) -> None:
    refused(store, 30)
    probed = []
    for n in range(10, 300):
        now = NOW + timedelta(seconds=n / 10)
        if take(store, due("031"), UNLIMITED, now, f"probe {n}"):
            probed.append(n / 10)
            back_off(store, now + timedelta(seconds=1), now, f"probe {n}")
    apart = [later - one for one, later in pairwise(probed)]
    assert apart[0] < 2.5
    assert 3.9 < apart[-1] < 4.3


def test_a_probe_that_is_taken_ends_the_probing(store: Store) -> None:
    refused(store, 30)
    later = NOW + timedelta(seconds=1)
    probe = due("031")
    assert take(store, probe, UNLIMITED, later, "probe")
    change(
        store, lambda unit: unit.save(unit.require("031").claimed(PAGER, "probe", later, LEASE)), ids=["031"]
    )
    change(
        store,
        lambda unit: unit.save(unit.require("031").delivered(PAGER, "probe", later, "202")),
        ids=["031"],
    )
    taken = [take(store, due(f"{n:03}"), UNLIMITED, later, f"n{n}") for n in range(32, 45)]
    # 30 a second were taken, of which a quarter may leave at once, the probe among them.
    assert taken.count(True) == 6


def test_no_refusal_teaches_less_than_the_documented_limit(store: Store, redis_url: str) -> None:
    put(store, *(due(str(n)) for n in range(9)))
    connection = Connection(redis_url, retry_seconds=1, timeout=1)
    assert take(store, due("0"), UNLIMITED, NOW, "0")
    back_off(store, NOW + timedelta(seconds=1), NOW, "0")
    minute_later = NOW + timedelta(seconds=61)
    back_off(store, minute_later, minute_later - timedelta(seconds=1), "0")
    assert take(store, due("1"), UNLIMITED, minute_later, "1")
    connection.call("HDEL", PROBES, "1")
    assert all(take(store, due(str(n)), UNLIMITED, minute_later, str(n)) for n in range(2, 9))


def test_more_is_tried_within_seconds_where_all_that_was_believed_was_taken(
    store: Store, redis_url: str
) -> None:
    waiting = iter(range(500))
    put(store, *(due(f"{n:03}") for n in range(500)))
    assert take(store, due(f"{next(waiting):03}"), UNLIMITED, NOW, "refused")
    back_off(store, NOW + timedelta(seconds=1), NOW, "refused")
    began = NOW + timedelta(seconds=1)
    assert take(store, due(f"{next(waiting):03}"), UNLIMITED, began, "probe")
    Connection(redis_url, retry_seconds=1, timeout=1).call("HDEL", PROBES, "probe")
    sent = [0] * 12
    for tenth in range(10 * len(sent)):
        now, n = began + timedelta(seconds=tenth / 10), next(waiting)
        while take(store, due(f"{n:03}"), UNLIMITED, now, f"{n}"):
            sent[tenth // 10] += 1
            acknowledge(store, f"{n:03}")
            n = next(waiting)
    assert sent[0] <= 2
    assert sent[-1] >= 3 * 2


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
    oldest = store.delivery_queue.oldest_due()
    assert oldest is not None
    assert (oldest.incident_id, oldest.pager, oldest.due_at) == ("b", PAGER, NOW.timestamp())
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


def test_one_heartbeat_in_30_seconds_whatever_redis_thinks_of_its_keys(store: Store) -> None:
    turns = [
        store.delivery_queue.acquire_heartbeat(NOW + timedelta(seconds=s)) for s in (0, 0, 29, 30, 31, 60)
    ]
    assert turns == [True, False, False, True, False, True]
    # Time never goes back; if it did all the same, nothing would wait for it to come again.
    assert store.delivery_queue.acquire_heartbeat(NOW - timedelta(hours=1))
