"""Whatever happens, in whatever order: a simple model of the promises, real code and a real server.

The model knows of each incident only what the outside may rely on: when it must page, whether somebody
acknowledged or resolved it, and what incident.io has. Workers here die, sleep through their leases, lose
their knocks and find records gone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from app import actions
from app.alert import SEVERITIES, Alert, Effect, Severity
from app.channels import Channels
from app.deliver import GIVE_UP_AFTER, LEASE, deliver
from app.gateway import Gateway
from app.incident import Incident, Kind, NotAllowed, State
from app.links import Links
from app.providers import Budget, Event, Outcome
from app.receive import Message, Options, receive
from app.store import Store, Unknown
from app.wakeup import Wakeup
from config import Config, load_config
from local.embedded import EmbeddedRedis
from tasks.sweep import Sweep
from tests.fakes import DELIVERED, Clock, environment

SOURCES = ("default", "infra")
LIMITED = "infra"
PER_MINUTE = 2

T = TypeVar("T")
Meanwhile = Literal["nothing", "acknowledge", "resolve", "page_now", "lose", "tick", "deliver", "repeat"]
MEANWHILE: tuple[Meanwhile, ...] = (
    *("nothing", "nothing", "acknowledge", "acknowledge", "resolve", "resolve", "resolve"),
    *("page_now", "lose", "tick", "deliver", "deliver", "repeat"),
)
DEEDS: tuple[Meanwhile, ...] = ("acknowledge", "resolve", "page_now", "repeat")


class Died(BaseException):
    """A worker's end in the middle of its work."""


@dataclass(frozen=True)
class Attempt:
    """How one attempt to send will go."""

    outcome: Outcome
    taken: bool
    """incident.io has the event, whatever the worker gets to know."""
    dies: bool = False
    sleeps: float = 0.0
    """Seconds that pass before the worker sees the answer."""
    meanwhile: tuple[Meanwhile, ...] = ()


@dataclass
class Fate:
    """What the promises say of one incident."""

    identity: str | None
    due: datetime | None
    source: str
    acknowledged: bool = False
    resolved_at: datetime | None = None
    doubtful: bool = False
    """Its record was lost at some time: since then a page too many is right, one too few still wrong."""
    told_delivered: bool = False
    """A worker learned that incident.io has the page."""
    gave_up: bool = False
    failing_since: datetime | None = None
    attempts: list[tuple[datetime, Kind]] = field(default_factory=list)
    taken: list[Kind] = field(default_factory=list)
    """What incident.io has, in order."""

    @property
    def must_page(self) -> bool:
        return self.due is not None and not (self.acknowledged or self.resolved_at or self.gave_up)


class RecordingWakeup(Wakeup):
    """Keeps the knocks instead of publishing them."""

    def __init__(self) -> None:
        self.knocks: list[tuple[str, str | None, str | None]] = []

    def knock(
        self, incident_id: str, wait: float, alert_source: str | None = None, title: str | None = None
    ) -> bool:
        self.knocks.append((incident_id, alert_source, title))
        return True


class InlineSweep(Sweep):
    """Delivers with its own hands at once, so that a failure can be found again."""

    def __init__(self, gateway: Gateway, work: Callable[[str, str], None]) -> None:
        super().__init__(gateway)
        self._work = work

    def _deliver_here(self, source: str, incident_id: str) -> bool:
        self._work(incident_id, source)
        return True


@functools.cache
def config_for(url: str) -> Config:
    return load_config(environ=environment(url))


durations = st.sampled_from([0.0, 0.5, 3.0, 20.0])
identities = st.sampled_from([None, "one", "two", "three"])
severities: st.SearchStrategy[Severity | None] = st.sampled_from([None, *SEVERITIES])
answers = st.sampled_from(
    [
        (DELIVERED, True),
        (Outcome("try_again", "500", "server_error"), False),
        (Outcome("try_again", "no answer", "timeout", uncertain=True), True),
        (Outcome("try_again", "no answer", "timeout", uncertain=True), False),
        (Outcome("misconfigured", "404", "not_found"), False),
        (Outcome("try_again", "429", "rate_limited", not_before=40, hold_all=True), False),
    ]
)
attempts = st.builds(
    lambda answer, dies, sleeps, meanwhile: Attempt(answer[0], answer[1], dies, sleeps, tuple(meanwhile)),
    answers,
    st.sampled_from([False, False, True]),
    st.sampled_from([0.0, 0.0, 0.0, 5.0, 14.0, 20.0]),
    st.lists(st.sampled_from(MEANWHILE), max_size=3),
)
plans = st.tuples(attempts, attempts, attempts)
requests = st.lists(
    st.tuples(identities, st.sampled_from([*Effect, Effect.FIRING]), severities), min_size=1, max_size=3
)
which = st.integers(0, 99)


def chosen(which: int, among: Sequence[T]) -> Sequence[T]:
    """One of them, or none when there are none; what is drawn depends on no random ID."""
    return [among[which % len(among)]] if among else []


class World(RuleBasedStateMachine):
    """Senders, people, workers, Redis and incident.io; also the provider of its own gateway."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.redis = redis.Redis.from_url(url, decode_responses=True)
        self.redis.flushdb()
        self.clock = Clock()
        self.wakeup = RecordingWakeup()
        config = config_for(url)
        links = Links(config.link_key, config.public_base)
        self.gateway = Gateway(
            config, Store(url), self.wakeup, self, Channels(config.channels, {}), links, self.clock
        )
        self.sweep = InlineSweep(self.gateway, self._work)
        self.fates: dict[str, Fate] = {}
        self.identities: dict[str, str] = {}
        self.plans: list[Attempt] = []
        self.before_take: Meanwhile = "nothing"
        self.working_on: list[str] = []
        self.paused_until: dict[str, datetime] = {}
        self.sent: list[tuple[datetime, str]] = []
        self.broken: list[str] = []
        """Promises that were broken where an exception would have been taken for a worker's death."""

    # -- senders ------------------------------------------------------------------------------------

    @rule(
        what=requests,
        enable=st.sampled_from([True, True, True, False]),
        wait=durations,
        source=st.sampled_from(SOURCES),
    )
    def webhook(
        self,
        what: Sequence[tuple[str | None, Effect, Severity | None]],
        enable: bool,
        wait: float,
        source: str,
    ) -> None:
        messages = [
            Message(Alert("Disk full", "test", effect, identity=identity, severity=severity), "{}")
            for identity, effect, severity in what
        ]
        now = self.clock.now
        received = receive(self.gateway, messages, Options(enable, wait, source))
        for n, ((identity, effect, _), one) in enumerate(zip(what, received, strict=True)):
            due = now + timedelta(microseconds=n, minutes=wait) if enable else None
            if one.became != "created":
                known = one.incident.id if one.incident else None
                self._expect(identity, known)
                if known is not None:
                    self._heard(self.fates[known], effect, due, source)
                continue
            assert effect is Effect.FIRING
            assert one.incident is not None
            self._expect(identity, None)
            self.fates[one.incident.id] = Fate(identity, due, source)
            if identity is not None:
                self.identities[identity] = one.incident.id

    def _expect(self, identity: str | None, incident_id: str | None) -> None:
        """One problem is one incident, while it is not resolved and no record of it was ever lost."""
        known = None if identity is None else self.identities.get(identity)
        if known is None:
            assert incident_id is None
        elif self._is_sure(identity):
            assert incident_id == (None if self.fates[known].resolved_at else known)

    def _is_sure(self, identity: str | None) -> bool:
        return not any(fate.doubtful and fate.identity == identity for fate in self.fates.values())

    @rule(
        identity=identities,
        severity=severities,
        source=st.sampled_from(SOURCES),
        plans=plans,
        faster=st.sampled_from(MEANWHILE),
    )
    def one_problem(
        self,
        identity: str | None,
        severity: Severity | None,
        source: str,
        plans: Sequence[Attempt],
        faster: Meanwhile,
    ) -> None:
        """It pages at once, if it is new, and workers come at once."""
        self.webhook([(identity, Effect.FIRING, severity)], True, 0.0, source)
        self.plans, self.before_take = list(plans), faster
        self.answer_all_knocks()
        self.before_take = "nothing"

    def _heard(self, fate: Fate, effect: Effect, due: datetime | None, source: str) -> None:
        if effect is Effect.RESOLVED:
            fate.resolved_at = self.clock.now
        elif effect is Effect.ACKNOWLEDGED:
            fate.acknowledged = True
        elif effect is Effect.FIRING and fate.due is None and due and not fate.acknowledged:
            fate.due, fate.source = due, source

    # -- people -------------------------------------------------------------------------------------

    @rule(which=which, what=st.sampled_from(DEEDS))
    def somebody_acts(self, which: int, what: Meanwhile) -> None:
        for incident_id in chosen(which, list(self.fates)):
            self._meanwhile(what, incident_id)

    def _acknowledge(self, incident_id: str) -> None:
        fate = self.fates[incident_id]
        if not self._exists(incident_id):
            with pytest.raises(Unknown):
                actions.acknowledge(self.gateway, incident_id, "somebody")
        elif fate.resolved_at:
            with pytest.raises(NotAllowed):
                actions.acknowledge(self.gateway, incident_id, "somebody")
        else:
            actions.acknowledge(self.gateway, incident_id, "somebody")
            fate.acknowledged = True

    def _resolve(self, incident_id: str) -> None:
        if not self._exists(incident_id):
            with pytest.raises(Unknown):
                actions.resolve(self.gateway, incident_id, "somebody")
            return
        actions.resolve(self.gateway, incident_id, "somebody")
        fate = self.fates[incident_id]
        fate.resolved_at = fate.resolved_at or self.clock.now

    def _page_now(self, incident_id: str) -> None:
        fate = self.fates[incident_id]
        try:
            actions.page_now(self.gateway, incident_id, "somebody")
        except Unknown:
            assert not self._exists(incident_id)
        except NotAllowed:
            last = max((at for at, kind in fate.attempts if kind == "firing"), default=None)
            under_way = last is not None and self.clock.now < last + LEASE
            assert fate.resolved_at or fate.told_delivered or under_way or fate.doubtful
        else:
            assert not fate.resolved_at
            assert fate.doubtful or not fate.told_delivered
            fate.due, fate.acknowledged, fate.gave_up = self.clock.now, False, False

    # -- time, workers, accidents -------------------------------------------------------------------

    @rule(
        seconds=st.sampled_from([0.5, 1.0, 2.0, 4.0, 16.0, 61.0, 180.0, 1300.0, 25 * 3600.0]),
        looks=st.booleans(),
        plans=plans,
    )
    def time_passes(self, seconds: float, looks: bool, plans: Sequence[Attempt]) -> None:
        """Then the second hand may have moved, and workers answer their knocks."""
        self.clock.wind(seconds=seconds)
        if looks:
            self.sweep.tick()
        self.plans = list(plans)
        self.answer_all_knocks()

    def answer_all_knocks(self) -> None:
        knocks, self.wakeup.knocks[:] = list(self.wakeup.knocks), []
        for knock in knocks:
            self._work(*knock)

    @rule(which=which, plans=plans, faster=st.sampled_from(MEANWHILE))
    def a_worker_tries(self, which: int, plans: Sequence[Attempt], faster: Meanwhile) -> None:
        """It sends what one incident owes. `faster` happens between its look at it and its claim."""
        for incident_id in chosen(which, self._owing()):
            due = self._scores("versus:due")[incident_id]
            self.clock.wind(seconds=max(0.0, due - self.clock.now.timestamp()))
            self.plans, self.before_take = list(plans), faster
            self._work(incident_id)
            self.before_take = "nothing"

    def _owing(self) -> list[str]:
        due = self._members("versus:due")
        return [incident_id for incident_id in self.fates if incident_id in due]

    @rule(which=which, what=st.sampled_from(["knocks", "knocks", "a record"]))
    def something_is_lost(self, which: int, what: str) -> None:
        if what == "knocks":
            self.wakeup.knocks.clear()
            return
        for incident_id in chosen(which, list(self.fates)):
            self._lose(incident_id)

    def _lose(self, incident_id: str) -> None:
        self.redis.delete(f"versus:incident:{incident_id}")
        fate = self.fates[incident_id]
        fate.doubtful, fate.acknowledged, fate.resolved_at, fate.gave_up = True, False, None, False
        fate.told_delivered = False
        if self.redis.zscore("versus:due", incident_id) is None:
            # Nothing is owed as far as anybody knows, unless a knock still comes.
            fate.due = None

    def _meanwhile(self, what: Meanwhile, incident_id: str) -> None:
        fate = self.fates[incident_id]
        match what:
            case "acknowledge":
                self._acknowledge(incident_id)
            case "resolve":
                self._resolve(incident_id)
            case "page_now":
                self._page_now(incident_id)
            case "lose" if not (fate.resolved_at or fate.acknowledged):
                self._lose(incident_id)
            case "tick":
                self.sweep.tick()
            case "deliver":
                self._work(incident_id)
            case "repeat":
                self.webhook([(fate.identity, Effect.FIRING, "critical")], True, 0.5, "default")

    def _work(self, incident_id: str, source: str | None = None, title: str | None = None) -> None:
        fate = self.fates[incident_id]
        if not self._exists(incident_id):
            fate.due, fate.source = self.clock.now, source or "default"
        self.working_on.append(incident_id)
        try:
            deliver(self.gateway, incident_id, source, title)
        except Died:
            pass
        finally:
            self.working_on.pop()

    # -- the provider, and what it may be asked to do ------------------------------------------------

    def budgets(self, alert_source: str) -> list[Budget]:
        if self.working_on:
            what, self.before_take = self.before_take, "nothing"
            self._meanwhile(what, self.working_on[-1])
        return [Budget("source:infra", PER_MINUTE)] if alert_source == LIMITED else []

    def ping(self, *, deadline: float) -> Outcome | None:
        return None

    def send(self, event: Event, *, deadline: float) -> Outcome:
        incident_id, now = event.incident.id, self.clock.now
        fate = self.fates[incident_id]
        self._check_attempt(event, fate)
        fate.attempts.append((now, event.kind))
        self.sent.append((now, event.incident.alert_source))
        attempt = self.plans.pop(0) if self.plans else Attempt(DELIVERED, taken=True)
        if attempt.taken:
            fate.taken.append(event.kind)
        self.clock.wind(seconds=attempt.sleeps)
        for what in attempt.meanwhile:
            self._meanwhile(what, incident_id)
        if attempt.dies:
            raise Died
        self._learned(event, fate, attempt.outcome)
        return attempt.outcome

    def _check_attempt(self, event: Event, fate: Fate) -> None:
        now, source = self.clock.now, event.incident.alert_source
        if event.kind == "firing":
            self._promise(not fate.acknowledged, "no page after an acknowledgement")
            self._promise(not fate.resolved_at, "no page after the problem was over")
            self._promise(fate.doubtful or (fate.due is not None and fate.due <= now), "no page too early")
        else:
            paged = any(kind == "firing" for _, kind in fate.attempts)
            self._promise(bool(fate.resolved_at), "no all-clear before the problem is over")
            self._promise(paged, "no all-clear without a page")
        self._promise(fate.doubtful or source == fate.source, "the alert source that was asked for")
        self._promise(self.paused_until.get(source, now) <= now, "a 429 holds back everybody")
        within = [at for at, name in self.sent if name == source and now - at < timedelta(seconds=60)]
        self._promise(source != LIMITED or len(within) < PER_MINUTE, "no more events than allowed")

    def _learned(self, event: Event, fate: Fate, outcome: Outcome) -> None:
        now, source = self.clock.now, event.incident.alert_source
        if outcome.hold_all:
            until = now + timedelta(seconds=outcome.not_before or 0)
            self.paused_until[source] = max(until, self.paused_until.get(source, until))
        if outcome.verdict == "delivered":
            fate.told_delivered = True
        if outcome.verdict != "try_again":
            fate.failing_since = None
        elif fate.failing_since is None:
            fate.failing_since = now
        elif now - fate.failing_since >= GIVE_UP_AFTER:
            fate.gave_up = True

    def _promise(self, kept: bool, what: str) -> None:
        if not kept:
            self.broken.append(what)

    # -- what holds at any time ----------------------------------------------------------------------

    def _scores(self, key: str) -> dict[str, float]:
        rows: Any = self.redis.zrange(key, 0, -1, withscores=True)
        return dict(rows)

    def _members(self, key: str) -> set[str]:
        return set(self._scores(key))

    def _exists(self, incident_id: str) -> bool:
        return bool(self.redis.exists(f"versus:incident:{incident_id}"))

    @invariant()
    def no_promise_is_broken(self) -> None:
        assert self.broken == [], self.broken

    @invariant()
    def every_index_agrees_with_the_records(self) -> None:
        due = self._scores("versus:due")
        by_state = {state: self._members(f"versus:state:{state}") for state in State}
        for incident_id, fate in self.fates.items():
            incident = self.gateway.store.incidents.get(incident_id)
            if incident is None:
                continue
            at = incident.next_attempt_at
            assert due.get(incident_id) == (at.timestamp() if at else None)
            assert (incident.owes is None) == (at is None)
            if not fate.doubtful:
                assert [s for s, ids in by_state.items() if incident_id in ids] == [incident.state]
                self._agrees(incident, fate)

    def _agrees(self, incident: Incident, fate: Fate) -> None:
        assert (incident.state is State.RESOLVED) == bool(fate.resolved_at)
        if not fate.resolved_at:
            assert (incident.state is State.ACKNOWLEDGED) == fate.acknowledged
        if fate.must_page and not fate.told_delivered:
            assert incident.owes == "firing"
        if fate.identity is not None and self._is_sure(fate.identity):
            mapped = self.redis.hget("versus:identities", fate.identity)
            assert (mapped == incident.id) == (not fate.resolved_at)

    @invariant()
    def nothing_due_is_out_of_sight(self) -> None:
        due = self._members("versus:due")
        in_sight = self._members("versus:look")
        for source in SOURCES:
            if self.redis.sismember("versus:sources", source):
                in_sight |= self._members(f"versus:queue:{source}")
        assert due <= in_sight

    @invariant()
    def nothing_waits_for_a_turn_that_it_does_not_need(self) -> None:
        due = self._members("versus:due")
        for incident_id in self._queued() - due:
            # What was queued when its record was lost goes at its turn.
            assert self.fates[incident_id].doubtful, (
                "queued, and in the way of others, though it owes nothing"
            )

    def _queued(self) -> set[str]:
        return set().union(*(self._members(f"versus:queue:{source}") for source in SOURCES))

    # -- what holds in the end -----------------------------------------------------------------------

    def teardown(self) -> None:
        self.plans.clear()
        self.before_take = "nothing"
        for _ in range(200):
            if not (self.redis.zcard("versus:due") or self._queued()):
                break
            self.clock.wind(seconds=30)
            self.sweep.tick()
            self.answer_all_knocks()
        assert self.redis.zcard("versus:due") == 0, "something is owed that never leaves"
        assert self._queued() == set(), "something is queued for ever"
        self.no_promise_is_broken()
        for fate in self.fates.values():
            self._ended_well(fate)

    def _ended_well(self, fate: Fate) -> None:
        if fate.must_page:
            assert "firing" in fate.taken, "somebody had to be paged and was not"
        if fate.doubtful or fate.gave_up:
            return
        if "firing" in fate.taken and fate.resolved_at:
            assert fate.taken[-1] == "resolved", "incident.io has an alert that nobody closes"
        if "resolved" in fate.taken:
            first = fate.taken.index("resolved")
            assert "firing" not in fate.taken[first:], "a page after the all-clear"


def test_no_order_of_events_breaks_a_promise(server: EmbeddedRedis) -> None:
    class ThisWorld(World):
        def __init__(self) -> None:
            super().__init__(server.url)

    run_state_machine_as_test(
        ThisWorld,
        settings=settings(
            max_examples=100,
            stateful_step_count=30,
            deadline=None,
            # Making a story of thirty steps shorter may take minutes; it can be read as it is.
            phases=set(Phase) - {Phase.shrink, Phase.explain},
            report_multiple_bugs=False,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )


# -- stories that the model found, told one by one --------------------------------------------------------


@pytest.fixture
def world(redis_url: str) -> World:
    """A world in which nothing happens by itself."""
    return World(redis_url)


PROBLEM = (None, Effect.FIRING, None)


def test_what_is_acknowledged_just_before_it_is_parked_stands_in_nobodys_way(world: World) -> None:
    world.webhook([PROBLEM] * (PER_MINUTE + 1), True, 0.0, LIMITED)
    world.clock.wind(seconds=1)
    world.answer_all_knocks()
    world.webhook([PROBLEM], True, 0.0, LIMITED)
    world.before_take = "acknowledge"
    world.answer_all_knocks()
    world.nothing_waits_for_a_turn_that_it_does_not_need()
    world.teardown()


def test_a_record_that_is_lost_just_before_its_claim_is_paged_all_the_same(world: World) -> None:
    world.webhook([PROBLEM], True, 0.0, "default")
    world.before_take = "lose"
    world.answer_all_knocks()
    world.teardown()
    assert [fate.taken for fate in world.fates.values()] == [["firing"]]


@pytest.mark.parametrize("identity", [None, "disk"])
def test_a_record_that_is_lost_while_its_page_is_sent_is_written_again(
    world: World, identity: str | None
) -> None:
    world.webhook([(identity, Effect.FIRING, None)], True, 0.0, "default")
    world.plans = [Attempt(DELIVERED, taken=True, meanwhile=("lose",))]
    world.answer_all_knocks()
    [(incident_id, fate)] = world.fates.items()
    incident = world.gateway.store.incidents.need(incident_id)
    assert (incident.state, incident.identity) == (State.ESCALATED, identity)
    world.every_index_agrees_with_the_records()
    world.teardown()
    assert fate.taken == ["firing"]


def test_paging_now_goes_to_the_alert_source_that_the_webhook_asked_for(world: World) -> None:
    world.webhook([PROBLEM], False, 0.0, "infra")
    world.somebody_acts(0, "page_now")
    world.answer_all_knocks()
    assert [source for _, source in world.sent] == ["infra"]
