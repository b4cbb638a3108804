"""Alerts become incidents: effects, per-request options, arrays, and Redis away."""

from __future__ import annotations

import dataclasses
import re
import threading
from collections.abc import Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
import redis

from app import actions
from app.bootstrap import Services
from app.delivery import pages
from app.delivery.page_job import ATTEMPT_SECONDS
from app.domain.alert import Alert, Effect, Severity
from app.domain.delivery import Outcome
from app.domain.record import Reopening
from app.domain.state import State
from app.ingest.service import OnCallNotConfigured, Options, Received, ReceivedAlert, receive
from app.store import Search, Store, StoreUnavailable
from app.store.backlog import Backlog, Write
from app.task_queue import MOST_AT_ONCE
from config import UnknownAlertSource, load_config
from local.embedded import EmbeddedRedis
from tests.fakes import INFRA, PAGER, Clock, RecordingProvider
from tests.refusing import refusing_writes
from tests.relay import Relay
from tests.rules import with_rules
from tests.stories.stack import wait_until

QUEUE = "versus:broker:versus"
DEFAULT = Options()


def message(
    identity: str | None = None, effect: Effect = Effect.FIRING, title: str = "Disk full"
) -> ReceivedAlert:
    return ReceivedAlert(Alert(title=title, source="generic", effect=effect, identity=identity), "{}")


def one(services: Services, what: ReceivedAlert, options: Options = DEFAULT) -> Received:
    [received] = receive(services, [what], options)
    return received


def with_oncall(services: Services, **changed: Any) -> Services:
    """The same with other settings of `oncall`."""
    oncall = services.config.oncall.model_copy(update=changed)
    return dataclasses.replace(services, config=services.config.model_copy(update={"oncall": oncall}))


def test_a_new_problem_waits_and_a_message_is_published(
    services: Services, clock: Clock, redis_url: str
) -> None:
    received = one(services, message())
    assert received.became == "created"
    assert received.incident is not None
    assert received.incident.due_at == clock.now + timedelta(minutes=3)
    assert redis.Redis.from_url(redis_url).llen(QUEUE) == 1


def test_what_must_wait_long_is_left_to_the_sweep(services: Services, redis_url: str) -> None:
    one(services, message(), Options(wait_minutes=120))
    client = redis.Redis.from_url(redis_url)
    assert client.llen(QUEUE) == 0
    assert client.zcard("versus:due") == 1


def test_a_large_array_is_left_to_the_sweep(services: Services, redis_url: str) -> None:
    receive(services, [message() for _ in range(MOST_AT_ONCE + 1)], DEFAULT)
    client = redis.Redis.from_url(redis_url)
    assert client.llen(QUEUE) == 0
    assert client.zcard("versus:due") == MOST_AT_ONCE + 1


@pytest.mark.parametrize(
    ("options", "state", "wait"),
    [
        (Options(oncall_enable=False), State.OPEN, None),
        (Options(oncall_enable=True), State.PENDING, timedelta(minutes=3)),
        (Options(wait_minutes=0.5), State.PENDING, timedelta(seconds=30)),
        (Options(wait_minutes=0), State.PENDING, timedelta(0)),
    ],
)
def test_a_request_chooses_whether_and_when_it_pages(
    services: Services, clock: Clock, options: Options, state: State, wait: timedelta | None
) -> None:
    incident = one(services, message(), options).incident
    assert incident is not None
    assert incident.state is state
    assert incident.due_at == (None if wait is None else clock.now + wait)


def test_a_request_chooses_its_alert_source_and_the_configuration_stays_as_it_is(services: Services) -> None:
    before = services.config.model_dump_json()
    chosen = one(services, message(), Options(alert_source="infra")).incident
    default = one(services, message()).incident
    assert chosen is not None
    assert default is not None
    assert (chosen.alert_source, default.alert_source) == ("infra", "default")
    assert services.config.model_dump_json() == before


def test_an_unknown_alert_source_is_refused_with_the_names_that_exist(
    services: Services, redis_url: str
) -> None:
    with pytest.raises(UnknownAlertSource, match="infra"):
        one(services, message(), Options(alert_source="infrared"))
    assert redis.Redis.from_url(redis_url).dbsize() == 0


INDEXED = re.compile(rb"^versus:(?!end:|version$|committed:|schema$)")
"""What Redis has besides ends of problems, that they were written, and by which schema."""


@pytest.mark.parametrize("effect", [Effect.RESOLVED, Effect.ACKNOWLEDGED, Effect.NOTE])
@pytest.mark.parametrize("identity", ["k", None])
def test_an_event_about_nothing_known_is_recorded_and_pages_nobody(
    services: Services, redis_url: str, effect: Effect, identity: str | None
) -> None:
    assert one(services, message(identity, effect)) == Received("recorded", None)
    of_incidents = [key for key in redis.Redis.from_url(redis_url).scan_iter() if INDEXED.search(key)]
    assert not of_incidents


def test_one_problem_is_one_incident_until_it_is_resolved(services: Services) -> None:
    became = [
        one(services, message("k", effect)).became
        for effect in (Effect.FIRING, Effect.FIRING, Effect.NOTE, Effect.ACKNOWLEDGED, Effect.RESOLVED)
    ]
    assert became == ["created", "updated", "recorded", "acknowledged", "resolved"]
    assert one(services, message("k")).became == "created"


def test_a_sender_takes_an_acknowledgement_back(services: Services) -> None:
    for effect in (Effect.FIRING, Effect.ACKNOWLEDGED, Effect.UNACKNOWLEDGED):
        received = one(services, message("k", effect))
    assert received.became == "updated"
    assert received.incident is not None
    assert received.incident.state is State.PENDING
    assert one(services, message("j", Effect.UNACKNOWLEDGED)) == Received("recorded", None)


def test_at_the_same_instant_one_problem_is_one_incident(services: Services) -> None:
    senders = 8
    for n in range(20):
        gate = threading.Barrier(senders)

        def send(key: str, gate: threading.Barrier) -> Received:
            gate.wait()
            return one(services, message(key))

        with ThreadPoolExecutor(senders) as pool:
            received = [f.result() for f in [pool.submit(send, f"k{n}", gate) for _ in range(senders)]]
        assert sorted(r.became for r in received) == ["created", *["updated"] * (senders - 1)]
        [incident_id] = {r.incident.id for r in received if r.incident}
        assert services.store.incidents.require(incident_id).occurrences == senders


def test_an_update_moves_no_time_and_undoes_no_acknowledgement(services: Services, clock: Clock) -> None:
    def alert(title: str, severity: Severity, started_at: datetime) -> ReceivedAlert:
        return ReceivedAlert(
            Alert(title=title, source="x", identity="k", severity=severity, started_at=started_at), "{}"
        )

    before = one(services, alert("Disk full", "medium", clock.now)).incident
    assert before is not None
    one(services, message("k", Effect.ACKNOWLEDGED))
    later = clock.wind(minutes=1)
    same_and_quieter: tuple[Severity, ...] = ("medium", "low")
    for severity in same_and_quieter:
        after = one(services, alert("Disk still full", severity, later), Options(wait_minutes=9)).incident
        assert after is not None
        assert (after.title, after.severity, after.state) == (
            "Disk still full",
            "medium",
            State.ACKNOWLEDGED,
        )
        assert (after.due_at, after.started_at) == (before.due_at, before.started_at)
        assert list(after.steps()) == []


def test_a_late_firing_after_the_resolution_is_a_new_incident(services: Services, clock: Clock) -> None:
    first = one(services, message("k")).incident
    one(services, message("k", Effect.RESOLVED))
    clock.wind(seconds=1)
    late = one(services, message("k"))
    assert first is not None
    assert late.incident is not None
    assert (late.became, late.incident.state) == ("created", State.PENDING)
    assert late.incident.id != first.id
    assert services.store.incidents.require(first.id).state is State.RESOLVED


def test_an_alert_without_identity_is_a_new_incident_every_time(services: Services) -> None:
    assert [one(services, message()).became for _ in range(2)] == ["created", "created"]


def test_each_element_of_an_array_has_its_own_effect_in_order(services: Services) -> None:
    received = receive(
        services,
        [
            message("k"),
            message("k", title="again"),
            message("k", Effect.RESOLVED),
            message("k"),
            message("j"),
        ],
        DEFAULT,
    )
    assert [r.became for r in received] == ["created", "updated", "resolved", "created", "created"]
    ids = [r.incident.id for r in received if r.incident]
    assert len(ids) == 5
    assert ids[0] == ids[1] == ids[2] != ids[3]
    assert services.store.incidents.require(ids[0]).state is State.RESOLVED


def test_oncall_that_is_ready_but_off_pages_only_when_asked(services: Services) -> None:
    ready = with_oncall(services, initialized_only=True)
    quiet = one(ready, message()).incident
    asked = one(ready, message(), Options(oncall_enable=True)).incident
    assert quiet is not None
    assert asked is not None
    assert (quiet.state, asked.state) == (State.OPEN, State.PENDING)


def test_asking_for_oncall_that_is_not_configured_is_refused(redis_url: str, services: Services) -> None:
    off = dataclasses.replace(
        services, config=load_config(environ={"REDIS_URL": redis_url, "ONCALL_ENABLE": "false"})
    )
    assert one(off, message()).became == "created"
    with pytest.raises(OnCallNotConfigured):
        one(off, message(), Options(oncall_enable=True))


@pytest.mark.parametrize("identity", [None, "k"])
@pytest.mark.parametrize("oncall", [True, False])
def test_one_lost_answer_makes_no_second_incident_and_pages_nobody(
    services: Services, server: EmbeddedRedis, provider: RecordingProvider, identity: str | None, oncall: bool
) -> None:
    relay = Relay(server.port)
    store = Store(f"redis://127.0.0.1:{relay.port}/0", retry_seconds=2.0, timeout=0.5)
    web = dataclasses.replace(services, store=store, clock=store.now)
    first = one(web, message()).incident
    relay.lose_the_answer_to(b"HSET", b"versus:incident:")

    def a_worker_writes_to_it() -> None:
        def newest() -> str | None:
            [incident] = services.store.incidents.page(Search(), 1, None).incidents
            return None if first is None or incident.id == first.id else incident.id

        incident_id = wait_until(newest, "it is stored")
        services.update(
            lambda unit: unit.save(unit.require(incident_id).noted(services.clock(), "delivered")),
            ids=[incident_id],
        )

    with ThreadPoolExecutor() as pool:
        worker = pool.submit(a_worker_writes_to_it)
        received = one(web, message(identity), Options(oncall_enable=oncall))
        worker.result()
    relay.stop()
    assert received.incident is not None
    assert (received.became, received.incident.occurrences, provider.notified()) == ("created", 1, [])
    assert len(services.store.incidents.page(Search(), 10, None).incidents) == 2


@pytest.fixture
def away(services: Services) -> Services:
    """Services whose Redis can't be reached."""
    gone = Store("redis://127.0.0.1:1/0", retry_seconds=0.05, timeout=0.05)
    gone.deadline = lambda seconds: Store.deadline(gone, 0.05)  # type: ignore[method-assign]
    return dataclasses.replace(services, store=gone, clock=gone.now)


def test_with_redis_away_it_pages_directly_under_a_key_that_is_the_same_every_time(
    away: Services, provider: RecordingProvider
) -> None:
    received = [one(away, message("k")), one(away, message("k", title="again")), one(away, message("j"))]
    assert {r.became for r in received} == {"escalated_directly"}
    ids = [incident_id for _, incident_id in provider.notified()]
    assert ids[0] == ids[1] != ids[2]


def test_with_redis_away_two_installations_are_two_pages(away: Services, provider: RecordingProvider) -> None:
    for installation in ("eu", "us", "eu"):
        one(away, ReceivedAlert(Alert("Gone", "alertmanager", identity="k", installation=installation), "{}"))
    ids = [incident_id for _, incident_id in provider.notified()]
    assert ids[0] == ids[2] != ids[1]


@pytest.mark.parametrize(
    ("what", "options", "outcome"),
    [
        (message("k", Effect.RESOLVED), DEFAULT, None),
        (message("k"), Options(oncall_enable=False), None),
        (message("k"), DEFAULT, Outcome("try_again", "500")),
        (message("k"), DEFAULT, Outcome("misconfigured", "404")),
    ],
)
def test_with_redis_away_what_can_not_be_paged_must_be_sent_again(
    away: Services,
    provider: RecordingProvider,
    what: ReceivedAlert,
    options: Options,
    outcome: Outcome | None,
) -> None:
    provider.outcomes = [outcome] if outcome else []
    with pytest.raises(StoreUnavailable):
        one(away, what, options)


def test_with_redis_away_rules_say_who_is_paged_and_nothing_is_held(
    away: Services, provider: RecordingProvider
) -> None:
    always = {"days": ["mon", "tue", "wed", "thu", "fri", "sat"], "time_zone": "UTC"}
    sunday = {"days": ["sun"], "time_zone": "UTC"}
    ruled = with_rules(
        away,
        [
            {"name": "never", "match": {"title": "never"}, "enable": False},
            {"name": "infra", "match": {"title": "infra"}, "alert_source": "infra"},
            {"name": "week", "match": {"title": "held"}, "hours": always, "enable": False},
            {"name": "sunday", "match": {"title": "held"}, "hours": sunday, "enable": False},
        ],
    )
    for title in ("held", "infra"):
        received = one(ruled, message(title, title=title))
        assert received.became == "escalated_directly"
        assert received.incident is not None
        assert list(received.incident.pagers) == [INFRA if title == "infra" else PAGER]
    assert len(provider.notified()) == 2
    with pytest.raises(StoreUnavailable):
        one(ruled, message("never", title="never"))
    assert len(provider.notified()) == 2


def test_an_array_with_redis_away_is_paged_whole_or_must_be_sent_again(
    away: Services, provider: RecordingProvider
) -> None:
    both = receive(away, [message("k"), message("j")], DEFAULT)
    assert [r.became for r in both] == ["escalated_directly"] * 2
    with pytest.raises(StoreUnavailable):
        receive(away, [message("k"), message("j", Effect.RESOLVED)], DEFAULT)


def test_redis_away_can_be_configured_to_reject(away: Services, provider: RecordingProvider) -> None:
    rejecting = with_oncall(away, when_redis_is_down="reject")
    with pytest.raises(StoreUnavailable):
        one(rejecting, message("k"))
    assert provider.events == []


@pytest.fixture
def quick(services: Services, redis_url: str) -> Iterator[Services]:
    """Services that is soon told that Redis refuses writes."""
    store = Store(redis_url)
    store.deadline = lambda seconds: Store.deadline(store, 0.1)  # type: ignore[method-assign]
    quick = dataclasses.replace(services, store=store)
    yield quick
    wait_until(lambda: len(quick.backlog) == 0, "all is stored before the next test")


def test_a_repeat_of_an_acknowledged_or_waiting_problem_pages_nobody_while_writes_are_refused(
    quick: Services, provider: RecordingProvider, clock: Clock, redis_url: str
) -> None:
    acknowledged = one(quick, message("k")).incident
    assert acknowledged is not None
    actions.acknowledge(quick, acknowledged.id, "somebody")
    clock.wind(minutes=4)
    one(quick, message("j"))
    with refusing_writes(redis_url):
        for known in ("k", "j"):
            with pytest.raises(StoreUnavailable):
                one(quick, message(known))
    assert provider.events == []


def test_a_repeat_of_a_paged_problem_has_its_incidents_key_while_writes_are_refused(
    quick: Services, provider: RecordingProvider, redis_url: str
) -> None:
    paged = one(quick, message("k"), Options(wait_minutes=0)).incident
    assert paged is not None
    pages.deliver(quick, paged.id)
    with refusing_writes(redis_url):
        again = one(quick, message("k"))
    assert again.became == "escalated_directly"
    assert provider.notified() == [("firing", paged.id)] * 2
    quick.backlog.write()
    stored = quick.store.incidents.require(paged.id)
    assert (stored.state, stored.occurrences) == (State.ESCALATED, 2)


def test_what_was_paged_directly_is_an_incident_that_repeats_join_and_that_is_resolved(
    quick: Services, provider: RecordingProvider, redis_url: str
) -> None:
    with refusing_writes(redis_url):
        direct = one(quick, message("k")).incident
        assert one(quick, message("k")).incident is not None
    assert direct is not None
    quick.backlog.write()
    stored = quick.store.incidents.require(direct.id)
    assert stored.state is State.ESCALATED
    joined = one(quick, message("k")).incident
    assert joined is not None
    assert joined.id == direct.id
    resolved = one(quick, message("k", Effect.RESOLVED)).incident
    assert resolved is not None
    pages.deliver(quick, direct.id)
    assert provider.notified()[-1] == ("resolved", direct.id)


class Held(Backlog):
    """Leaves the writing to the test."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[Write] = []

    def add(self, key: Hashable, write: Write, size: int) -> None:
        self.writes.append(write)


def test_what_was_reported_again_before_a_direct_page_was_stored_stays_an_incident_of_its_own(
    quick: Services, provider: RecordingProvider, clock: Clock, redis_url: str
) -> None:
    held = Held()
    with refusing_writes(redis_url):
        direct = one(dataclasses.replace(quick, backlog=held), message("k")).incident
    assert direct is not None
    other = one(quick, message("k")).incident
    assert other is not None
    held.writes[0]()
    stored, kept = (quick.store.incidents.require(i.id) for i in (direct, other))
    assert (stored.state, kept.state) == (State.RESOLVED, State.PENDING)
    again = one(quick, message("k")).incident
    assert again is not None
    assert again.id == other.id
    clock.wind(seconds=1)
    pages.deliver(quick, direct.id)
    assert provider.notified()[-1] == ("resolved", direct.id)


def disk(severity: Severity) -> ReceivedAlert:
    return ReceivedAlert(Alert("Disk full", "generic", identity="k", severity=severity), f'"{severity}"')


def paged_and_acknowledged(services: Services, clock: Clock) -> str:
    """The ID of an incident of medium severity."""
    incident = one(services, disk("medium"), Options(wait_minutes=0)).incident
    assert incident is not None
    pages.deliver(services, incident.id)
    actions.acknowledge(services, incident.id, "somebody")
    clock.wind(seconds=1)
    return incident.id


def test_what_got_worse_after_its_acknowledgement_stays_paged_once_writes_work(
    quick: Services, provider: RecordingProvider, clock: Clock, redis_url: str
) -> None:
    old = paged_and_acknowledged(quick, clock)
    with refusing_writes(redis_url):
        direct = one(quick, disk("critical")).incident
    assert direct is not None
    quick.backlog.write()
    stored, before = (quick.store.incidents.require(i) for i in (direct.id, old))
    assert (stored.state, stored.previous_id, before.next_id) == (State.ESCALATED, old, direct.id)
    clock.wind(minutes=10)
    joined = one(quick, disk("critical")).incident
    assert joined is not None
    pages.deliver(quick, direct.id)
    assert (joined.id, provider.notified()) == (direct.id, [("firing", old), ("firing", direct.id)])
    one(quick, message("k", Effect.RESOLVED))
    for incident_id in (direct.id, direct.id, old):
        clock.wind(seconds=1)
        pages.deliver(quick, incident_id)
    assert provider.notified()[2:] == [("resolved", direct.id), ("resolved", old)]


def test_a_page_of_what_was_acknowledged_before_it_was_stored_is_not_taken_for_another_ones(
    quick: Services, provider: RecordingProvider, clock: Clock, redis_url: str
) -> None:
    held = Held()
    waiting = one(quick, disk("medium"), Options(wait_minutes=0)).incident
    assert waiting is not None
    with refusing_writes(redis_url):
        direct = one(dataclasses.replace(quick, backlog=held), disk("critical")).incident
    assert direct is not None
    assert direct.id == waiting.id
    pages.deliver(quick, waiting.id)
    actions.acknowledge(quick, waiting.id, "somebody")
    held.writes[0]()
    continues = quick.store.incidents.require(waiting.id).next_id
    assert continues is not None
    clock.wind(minutes=10)
    pages.deliver(quick, continues)
    assert provider.notified()[-1] == ("firing", continues)


def test_a_direct_page_reopens_what_was_acknowledged_without_knowing_of_it(
    quick: Services, provider: RecordingProvider, clock: Clock, redis_url: str
) -> None:
    held = Held()
    with refusing_writes(redis_url):
        direct = one(dataclasses.replace(quick, backlog=held), disk("critical")).incident
    assert direct is not None
    milder = paged_and_acknowledged(quick, clock)
    held.writes[0]()
    assert quick.store.incidents.require(direct.id).state is State.RESOLVED
    continues = quick.store.incidents.require(milder).next_id
    assert continues is not None
    clock.wind(minutes=10)
    pages.deliver(quick, continues)
    assert provider.notified()[-1] == ("firing", continues)


@pytest.mark.parametrize("worse", [False, True])
def test_a_direct_page_that_is_stored_after_another_incident_of_its_problem_was_resolved_is_over(
    quick: Services, provider: RecordingProvider, clock: Clock, redis_url: str, worse: bool
) -> None:
    held = Held()
    if worse:
        # It is paged as the incident that continues this one.
        paged_and_acknowledged(quick, clock)
    with refusing_writes(redis_url):
        direct = one(dataclasses.replace(quick, backlog=held), disk("critical")).incident
    assert direct is not None
    clock.wind(seconds=1)
    if not worse:
        one(quick, disk("critical"))
    one(quick, message("k", Effect.RESOLVED))
    held.writes[0]()
    clock.wind(seconds=1)
    pages.deliver(quick, direct.id)
    assert provider.notified()[-1] == ("resolved", direct.id)


def test_a_direct_page_of_what_was_continued_since_leaves_what_continues_it_as_it_is(
    quick: Services, clock: Clock, redis_url: str
) -> None:
    held = Held()
    waiting = one(quick, disk("medium"), Options(wait_minutes=0)).incident
    assert waiting is not None
    with refusing_writes(redis_url):
        one(dataclasses.replace(quick, backlog=held), disk("high"))
    pages.deliver(quick, waiting.id)
    actions.acknowledge(quick, waiting.id, "somebody")
    clock.wind(seconds=1)
    worse = one(quick, disk("critical")).incident
    assert worse is not None
    actions.acknowledge(quick, worse.id, "somebody")
    held.writes[0]()
    stored = quick.store.incidents.require(worse.id)
    assert (stored.state, stored.next_id) == (State.ACKNOWLEDGED, None)
    again = one(quick, disk("critical")).incident
    assert again is not None
    assert again.id == worse.id


def test_of_two_direct_pages_also_the_older_one_reopens_what_was_acknowledged_without_knowing_of_it(
    quick: Services, provider: RecordingProvider, clock: Clock, redis_url: str
) -> None:
    held = Held()
    with refusing_writes(redis_url):
        one(dataclasses.replace(quick, backlog=held), disk("critical"))
        clock.wind(seconds=1)
        one(dataclasses.replace(quick, backlog=held), disk("low"))
    milder = paged_and_acknowledged(quick, clock)
    for write in reversed(held.writes):
        write()
    continues = quick.store.incidents.require(milder).next_id
    assert continues is not None
    clock.wind(minutes=10)
    pages.deliver(quick, continues)
    assert provider.notified()[-1] == ("firing", continues)


def ended(provider: RecordingProvider) -> set[str]:
    """The alert sources that were told the end."""
    return {event.alert_source for event in provider.events if event.kind == "resolved"}


def test_direct_pages_at_two_alert_sources_are_resolved_at_both_when_another_incident_has_the_problem(
    quick: Services, provider: RecordingProvider, clock: Clock, redis_url: str
) -> None:
    held = Held()
    process = dataclasses.replace(quick, backlog=held)
    with refusing_writes(redis_url):
        direct = one(process, message("k")).incident
        clock.wind(seconds=1)
        one(process, message("k"), Options(alert_source="infra"))
    assert direct is not None
    one(quick, message("k"))
    for write in held.writes:
        write()
    clock.wind(seconds=1)
    for pager in (PAGER, INFRA):
        pages.deliver(quick, direct.id, [pager])
    assert ended(provider) == {"default", "infra"}


def test_a_direct_page_at_another_alert_source_leaves_the_end_of_the_one_before_to_be_sent(
    quick: Services, provider: RecordingProvider, clock: Clock, redis_url: str
) -> None:
    with refusing_writes(redis_url):
        direct = one(quick, message("k")).incident
    assert direct is not None
    quick.backlog.write()
    clock.wind(seconds=1)
    one(quick, message("k", Effect.RESOLVED))
    clock.wind(seconds=1)
    with refusing_writes(redis_url):
        one(quick, message("k"), Options(alert_source="infra"))
    quick.backlog.write()
    one(quick, message("k", Effect.RESOLVED))
    for pager in (PAGER, INFRA):
        pages.deliver(quick, direct.id, [pager])
    assert ended(provider) == {"default", "infra"}


def test_a_direct_page_of_a_problem_that_was_resolved_since_is_its_incident_again(
    quick: Services, redis_url: str
) -> None:
    for _ in range(2):
        with refusing_writes(redis_url):
            direct = one(quick, message("k")).incident
        assert direct is not None
        quick.backlog.write()
        assert quick.store.incidents.require(direct.id).state is State.ESCALATED
        resolved = one(quick, message("k", Effect.RESOLVED)).incident
        assert resolved is not None
        assert resolved.id == direct.id


def test_a_direct_page_that_is_stored_after_its_incident_was_resolved_leaves_it_resolved(
    quick: Services, provider: RecordingProvider, clock: Clock, redis_url: str
) -> None:
    held = Held()
    another_process = dataclasses.replace(quick, backlog=held)
    with refusing_writes(redis_url):
        direct = one(quick, message("k")).incident
        one(another_process, message("k"))
    assert direct is not None
    quick.backlog.write()
    clock.wind(seconds=5)
    one(quick, message("k", Effect.RESOLVED))
    pages.deliver(quick, direct.id)
    held.writes[0]()
    assert quick.store.incidents.require(direct.id).state is State.RESOLVED
    pages.deliver(quick, direct.id)
    assert provider.notified() == [("firing", direct.id)] * 2 + [("resolved", direct.id)]


def test_a_direct_page_that_is_stored_after_a_resolve_that_found_nothing_is_resolved(
    quick: Services, provider: RecordingProvider, clock: Clock, redis_url: str
) -> None:
    held = Held()
    with refusing_writes(redis_url):
        direct = one(dataclasses.replace(quick, backlog=held), message("k")).incident
    assert direct is not None
    clock.wind(seconds=1)
    assert one(quick, message("k", Effect.RESOLVED)).became == "recorded"
    held.writes[0]()
    assert quick.store.incidents.require(direct.id).state is State.RESOLVED
    pages.deliver(quick, direct.id)
    assert provider.notified() == [("firing", direct.id), ("resolved", direct.id)]


def test_a_direct_page_after_a_resolve_that_found_nothing_is_an_incident(
    quick: Services, clock: Clock, redis_url: str
) -> None:
    assert one(quick, message("k", Effect.RESOLVED)).became == "recorded"
    clock.wind(seconds=1)
    with refusing_writes(redis_url):
        direct = one(quick, message("k")).incident
    assert direct is not None
    quick.backlog.write()
    assert quick.store.incidents.require(direct.id).state is State.ESCALATED


def test_a_direct_page_is_stored_with_what_the_configuration_says_of_reopening(
    quick: Services, redis_url: str
) -> None:
    never = with_oncall(quick, reopen_on=(), reopen_after_minutes=0)
    with refusing_writes(redis_url):
        direct = one(never, message("k")).incident
    assert direct is not None
    never.backlog.write()
    assert quick.store.incidents.require(direct.id).reopening == Reopening((), None)


def test_a_direct_page_that_fails_goes_to_the_fallback_within_the_same_deadline(
    away: Services, provider: RecordingProvider
) -> None:
    with_fallback = with_oncall(away, fallback=(INFRA,))
    provider.outcomes = [Outcome("try_again", "500", "server_error")]
    incident = one(with_fallback, message("k")).incident
    assert incident is not None
    assert [event.alert_source for event in provider.events] == ["default", "infra"]
    assert {event.incident.id for event in provider.events} == {incident.id}
    assert provider.seconds_left[0] <= ATTEMPT_SECONDS / 2
    assert provider.seconds_left[1] <= ATTEMPT_SECONDS
    assert incident.state is State.ESCALATED
