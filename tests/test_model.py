"""Whatever happens, in whatever order: a simple model of the promises, real code and a real server.

The model knows of each incident only what the outside may rely on: when each of its pagers must page, whether
somebody acknowledged or resolved it, what incident.io has, and which changes each channel is to hear of.
Workers here die, sleep through their leases, lose their messages and find records gone.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
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
from pydantic import SecretStr

from app import actions, silences
from app.ack_links import AckLinks
from app.bootstrap import Services
from app.delivery import pages, summaries
from app.delivery.notifications import notify
from app.delivery.page_job import LEASE
from app.delivery.retry import NOTIFICATIONS, PAGES
from app.destinations.base import Message as ChannelMessage
from app.destinations.base import PagerEvent, RateLimit, Summary
from app.destinations.channels import Channels
from app.domain.alert import SEVERITIES, Alert, Effect, Severity, most_severe
from app.domain.delivery import Destination, InvalidTransition, Outcome
from app.domain.delivery import EventKind as Kind
from app.domain.incident import Incident
from app.domain.record import ITSELF
from app.domain.silence import Silence
from app.domain.state import State
from app.domain.subscription import ChangeEvent
from app.domain.trace import Trace
from app.ingest.service import Options, ReceivedAlert, receive
from app.store import IncidentNotFound, Store, notifications
from app.store.delivery_queue import member_of
from app.task_queue import TaskQueue
from config import ChannelSettings, Config, load_config
from local.embedded import EmbeddedRedis
from tasks.slots import Slots
from tasks.sweep import Sweeper
from tests.fakes import DELIVERED, INFRA, PAGER, Clock, environment

PAGERS = (PAGER, INFRA)
SOURCES = (None, "default", "infra")
LATE_AFTER = timedelta(minutes=2)
LIMITED = "infra"
PER_MINUTE = 2

URL = SecretStr("json://127.0.0.1/")
CHANNELS = {
    "ops": ChannelSettings("ops", URL),
    "chat": ChannelSettings("chat", URL, events=("created", "resolved"), min_severity="high"),
    "audit": ChannelSettings("audit", URL, events=("acknowledged", "escalated"), default=False),
}
"""What each wants to hear of; that a page failed is for all of them."""
# A storm begins soon, and its summary names all.
MOST_SINGLES = 3
NAMED = 10_000

T = TypeVar("T")
Meanwhile = Literal[
    "nothing",
    "acknowledge",
    "acknowledge_for_a_while",
    "unacknowledge",
    "resolve",
    "escalate_now",
    "lose",
    "tick",
    "deliver",
    "repeat",
    "repeat_elsewhere",
    "notify",
    "silence",
    "end_silence",
]
MEANWHILE: tuple[Meanwhile, ...] = (
    *("nothing", "nothing", "acknowledge", "acknowledge", "resolve", "resolve", "resolve"),
    *("acknowledge_for_a_while", "unacknowledge"),
    *("escalate_now", "lose", "tick", "deliver", "deliver", "repeat", "repeat_elsewhere", "notify", "notify"),
    *("silence", "end_silence"),
)
DEEDS: tuple[Meanwhile, ...] = (
    *(
        "acknowledge",
        "acknowledge_for_a_while",
        "unacknowledge",
        "resolve",
        "escalate_now",
        "repeat",
        "repeat_elsewhere",
        "silence",
        "end_silence",
    ),
)


class Died(BaseException):
    """A worker's end in the middle of its work."""


@dataclass(frozen=True)
class Attempt:
    """How one attempt to send will go."""

    outcome: Outcome
    taken: bool
    """The destination has the event, whatever the worker gets to know."""
    dies: bool = False
    sleeps: float = 0.0
    """Seconds that pass before the worker sees the answer."""
    meanwhile: tuple[Meanwhile, ...] = ()


@dataclass
class Page:
    """What the promises say of one pager of an incident."""

    since: datetime | None = None
    """When it was asked for, if that was after the others."""
    told_delivered: bool = False
    """A worker learned that incident.io has the page."""
    gave_up: bool = False
    failing_since: datetime | None = None
    attempts: list[tuple[datetime, Kind]] = field(default_factory=list)
    taken: list[Kind] = field(default_factory=list)
    """What incident.io has, in order."""


@dataclass(frozen=True)
class Wanted:
    """A change of an incident, and the channels that want to hear of it."""

    number: int
    """Of all that happens in this world."""
    event: ChangeEvent
    at: datetime
    channels: frozenset[str]


@dataclass
class Heard:
    """What one channel got of an incident."""

    last: int = -1
    """The number of the last message, or summary, that it has."""
    settled: int = -1
    """The number of the newest change that it was notified of, as a worker wrote down in time."""
    excused: int = -1
    """The newest change that was given up."""
    tried: int = -1
    failing_since: datetime | None = None


@dataclass
class Fate:
    """What the promises say of one incident."""

    identity: str | None
    due: datetime | None
    severity: Severity | None
    subscribed: tuple[str, ...]
    pages: dict[Destination, Page] = field(default_factory=dict)
    acknowledged: bool = False
    acknowledged_at: datetime | None = None
    until: datetime | None = None
    """When the acknowledgement ends; None: not by itself."""
    wait: timedelta | None = None
    escalated_at: datetime | None = None
    next_id: str | None = None
    """The incident that continues this one."""
    previous_id: str | None = None
    resolved_at: datetime | None = None
    quiet: datetime | None = None
    """The end of the silence that holds it, or held it last."""
    quiet_since: datetime | None = None
    page_asked: bool = False
    """Somebody asked for its page: no silence holds it."""
    doubtful: bool = False
    """Its record was lost at some time: since then a page too many is right, one too few still wrong."""
    escalated: bool = False
    failed: bool = False
    late: int = 0
    """How often people were to hear that a page does not get out, as far as its record says."""
    changes: list[Wanted] = field(default_factory=list)
    heard: dict[str, Heard] = field(default_factory=lambda: {name: Heard() for name in CHANNELS})

    def must_page(self, pager: Destination) -> bool:
        over = self.acknowledged or self.resolved_at or self.pages[pager].gave_up
        return self.due is not None and not over

    def forget_failures(self) -> None:
        for one in self.pages.values():
            one.gave_up, one.failing_since = False, None
        self.failed = False

    def wants(self, name: str, event: ChangeEvent) -> bool:
        if event in ("failed", "late"):
            return True
        settings = CHANNELS[name]
        severe_enough = settings.min_severity is None or rank(self.severity) <= rank(settings.min_severity)
        wanted = "created" if event in ("severity_raised", "reopened") else event
        return name in self.subscribed and wanted in settings.events and severe_enough

    def event(self, name: str) -> Wanted | None:
        """The newest change that the channel wants to hear of."""
        return next((change for change in reversed(self.changes) if self.wants(name, change.event)), None)


def rank(severity: str | None) -> int:
    return [*SEVERITIES].index(severity or "medium")  # type: ignore[arg-type]


class HookedClock(Clock):
    """Lets something happen when it is read next."""

    hook: Callable[[], None] | None = None

    def __call__(self) -> datetime:
        hook, self.hook = self.hook, None
        if hook is not None:
            hook()
        return super().__call__()


class RecordingTaskQueue(TaskQueue):
    """Keeps the messages instead of publishing them."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, list[Destination], str | None]] = []

    def enqueue(
        self, incident_id: str, wait: float, pagers: Sequence[Destination] = (), title: str | None = None
    ) -> bool:
        self.messages.append((incident_id, list(pagers), title))
        return True


class InlineSlots(Slots):
    """Works at once, in the thread of the sweep, so that a failure can be found again."""

    def __init__(self, works: Callable[[functools.partial[None]], None], *, each: int) -> None:
        super().__init__("inline", each=each, most=20)
        self._works = works

    def run(self, destination: Hashable, work: Callable[[], None], then: Callable[[], object]) -> None:
        assert isinstance(work, functools.partial)
        self._works(work)
        self.release(destination)
        then()


class SettlingAtOnce:
    """What a sweep has done beside it; silences are settled at once, so that a failure can be found again."""

    def __init__(self, sweep: Sweeper, see: Callable[[], None]) -> None:
        self._pool, self._see = sweep._background, see

    def submit(self, work: Callable[..., None], *args: Any) -> None:
        if work is silences.settle:
            self._see()
            work(*args)
            self._see()
        else:
            self._pool.submit(work, *args)


class ModelChannel:
    """A channel of the world."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name

    def send(self, message: ChannelMessage | Summary, address: str | None) -> Outcome:
        if isinstance(message, Summary):
            assert len(message.incidents) == message.total
            return self._world.notified(self._name, message.incidents, in_summary=True)
        return self._world.notified(self._name, [(message.event, message.incident)], in_summary=False)

    def rendered(self, message: ChannelMessage | Summary) -> dict[str, Any]:
        return {}


@functools.cache
def config_for(url: str) -> Config:
    return load_config(environ=environment(url))


durations = st.sampled_from([0.0, 0.5, 3.0, 20.0])
identities = st.sampled_from([None, "one", "two", "three"])
severities: st.SearchStrategy[Severity | None] = st.sampled_from([None, *SEVERITIES])
asked_channels = st.sampled_from([None, None, (), ("audit",), ("ops", "chat", "audit")])
fine_or_lost = [
    (DELIVERED, True),
    (Outcome("try_again", "500", "server_error"), False),
    (Outcome("try_again", "no answer", "timeout", uncertain=True), True),
    (Outcome("try_again", "no answer", "timeout", uncertain=True), False),
]
answers = st.sampled_from(
    [
        *fine_or_lost,
        (Outcome("misconfigured", "404", "not_found"), False),
        (Outcome("try_again", "429", "rate_limited", not_before=40, back_off_all=True), False),
    ]
)
answers_of_channels = st.sampled_from(
    [*[(DELIVERED, True)] * 2, *fine_or_lost, (Outcome("misconfigured", "404", "not_found"), False)]
)


def attempts(answers: st.SearchStrategy[tuple[Outcome, bool]]) -> st.SearchStrategy[Sequence[Attempt]]:
    one = st.builds(
        lambda answer, dies, sleeps, meanwhile: Attempt(answer[0], answer[1], dies, sleeps, tuple(meanwhile)),
        answers,
        st.sampled_from([False, False, True]),
        st.sampled_from([0.0, 0.0, 0.0, 5.0, 14.0, 20.0]),
        st.lists(st.sampled_from(MEANWHILE), max_size=3),
    )
    return st.tuples(one, one, one)


plans = attempts(answers)
channel_plans = attempts(answers_of_channels)
# Taking an acknowledgement back is what a person does here.
EFFECTS = [*(one for one in Effect if one is not Effect.UNACKNOWLEDGED), Effect.FIRING]
requests = st.lists(st.tuples(identities, st.sampled_from(EFFECTS), severities), min_size=1, max_size=3)
which = st.integers(0, 99)


def chosen(which: int, among: Sequence[T]) -> Sequence[T]:
    """One of them, or none when there are none; what is drawn depends on no random ID."""
    return [among[which % len(among)]] if among else []


class World(RuleBasedStateMachine):
    """Senders, people, workers, Redis, incident.io and channels; also the provider of its own services."""

    name = "incident_io"

    def __init__(self, url: str) -> None:
        super().__init__()
        self.redis = redis.Redis.from_url(url, decode_responses=True)
        self.redis.flushdb()
        self.clock = HookedClock()
        self.task_queue = RecordingTaskQueue()
        config = config_for(url)
        links = AckLinks(config.link_key or b"of a test", config.public_base)
        channels = Channels(CHANNELS.values(), {name: ModelChannel(self, name) for name in CHANNELS})
        providers = {self.name: self}
        self.services = Services(config, Store(url), self.task_queue, providers, channels, links, self.clock)
        self.sweep = Sweeper(
            self.services,
            pages=InlineSlots(lambda work: self._work(*work.args[1:]), each=20),
            notifications=InlineSlots(self._notifies, each=3),
        )
        self.sweep._background = SettlingAtOnce(self.sweep, self._see_silences)  # type: ignore[assignment]
        self.silence: Silence | None = None
        self.fates: dict[str, Fate] = {}
        self.identities: dict[str, str] = {}
        self.plans: list[Attempt] = []
        self.channel_plans: list[Attempt] = []
        self.before_take: Meanwhile = "nothing"
        self.working_on: list[str] = []
        self.paused_until: dict[str, datetime] = {}
        self.sent: list[tuple[datetime, str]] = []
        self.messages: list[tuple[str, ChangeEvent, str]] = []
        """Channel, change and incident of all that channels were sent."""
        self.numbers = itertools.count()
        self.broken: list[str] = []
        """Promises that were broken where an exception would have been taken for a worker's death."""

    # -- senders ------------------------------------------------------------------------------------

    @rule(
        what=requests,
        enable=st.sampled_from([True, True, True, False]),
        wait=durations,
        source=st.sampled_from(SOURCES),
        channels=asked_channels,
    )
    def webhook(
        self,
        what: Sequence[tuple[str | None, Effect, Severity | None]],
        enable: bool,
        wait: float,
        source: str | None,
        channels: Sequence[str] | None = None,
    ) -> None:
        messages = [
            ReceivedAlert(Alert("Disk full", "test", effect, identity=identity, severity=severity), "{}")
            for identity, effect, severity in what
        ]
        asked = None if channels is None else tuple(map(Destination, channels))
        received = receive(self.services, messages, Options(enable, wait, source, channels=asked))
        for n, ((identity, effect, severity), one) in enumerate(zip(what, received, strict=True)):
            now = self.clock.now + timedelta(microseconds=n)
            due = now + timedelta(minutes=wait) if enable else None
            if one.became != "created":
                known = one.incident.id if one.incident else None
                self._expect(identity, known)
                if one.incident is not None:
                    self._came_again(one.incident, effect, severity, due, source, now)
                    self._see_silence(one.incident, now)
                continue
            assert effect is Effect.FIRING
            assert one.incident is not None
            self._expect(identity, None)
            subscribed = ("ops", "chat") if channels is None else tuple(channels)
            pager = Destination.of("incident_io", source or "default")
            fate = Fate(identity, due, severity, subscribed, {pager: Page()})
            fate.wait = None if due is None else due - now
            self.fates[one.incident.id] = fate
            self._changed(fate, "created", now)
            self._see_silence(one.incident, now)
            if identity is not None:
                self.identities[identity] = one.incident.id

    def _expect(self, identity: str | None, incident_id: str | None) -> None:
        """One problem is one incident, while it is not resolved and no record of it was ever lost."""
        known = None if identity is None else self.identities.get(identity)
        if incident_id is not None and incident_id not in self.fates:
            # A successor: the rest is judged where it is adopted.
            previous = self.services.store.incidents.require(incident_id).previous_id
            assert previous == known or (previous in self.fates and not self._is_sure(identity))
        elif known is None:
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
        channel_plans=channel_plans,
        faster=st.sampled_from(MEANWHILE),
    )
    def one_problem(
        self,
        identity: str | None,
        severity: Severity | None,
        source: str | None,
        plans: Sequence[Attempt],
        channel_plans: Sequence[Attempt],
        faster: Meanwhile,
    ) -> None:
        """It pages at once, if it is new, and workers come at once."""
        self.webhook([(identity, Effect.FIRING, severity)], True, 0.0, source)
        self.plans, self.channel_plans, self.before_take = list(plans), list(channel_plans), faster
        self.answer_all_messages()
        self.before_take = "nothing"
        self.sweep.notify()

    def _came_again(
        self,
        stored: Incident,
        effect: Effect,
        severity: Severity | None,
        due: datetime | None,
        source: str | None,
        now: datetime,
    ) -> None:
        is_new = stored.id not in self.fates
        old = self.fates[stored.previous_id or "" if is_new else stored.id]
        # What this report brings is its successor's, if there is one.
        fate = replace(old, pages=dict(old.pages), changes=[]) if is_new else old
        if effect is Effect.RESOLVED:
            self._is_resolved(fate, now)
        elif effect is Effect.ACKNOWLEDGED:
            self._is_acknowledged(fate, now, None)
        elif effect is Effect.FIRING:
            before, fate.severity = fate.severity, most_severe(fate.severity, severity)
            too_old = self._is_too_old(fate, now)
            reopens = (fate.acknowledged and rank(fate.severity) < rank(before)) or too_old
            if rank(fate.severity) < rank(before):
                self._changed(fate, "severity_raised", now)
            if due is not None:
                self._asked_to_page(fate, due, source, now)
            if fate.doubtful:
                reopens = is_new or (fate.acknowledged and stored.state is not State.ACKNOWLEDGED)
            assert reopens or not is_new
            if reopens:
                self._reopened(fate, stored, now)
                old.next_id = fate.next_id

    def _is_too_old(self, fate: Fate, now: datetime) -> bool:
        """It is reported long after it was acknowledged, or after a page that nobody acknowledged."""
        paged = fate.due is not None and all(one.told_delivered for one in fate.pages.values())
        since = fate.acknowledged_at if fate.acknowledged else fate.escalated_at if paged else None
        return since is not None and now - since > timedelta(days=1)

    def _reopened(self, fate: Fate, stored: Incident, now: datetime) -> None:
        """`stored`: what stands for the problem now, it or its successor."""
        tried = any(one.attempts for one in fate.pages.values())
        has_alert = any(one.told_delivered for one in fate.pages.values())
        if stored.id in self.fates:
            self._promise(fate.doubtful or not has_alert, "an alert that is open collapses another page")
            fate.acknowledged, fate.until = False, None
            fate.page_asked = False
        else:
            self._promise(fate.doubtful or tried, "a successor only where there may be an alert")
            old, pages = fate, {pager: Page() for pager in fate.pages}
            fate = Fate(old.identity, None, old.severity, old.subscribed, pages, doubtful=old.doubtful)
            fate.quiet, fate.quiet_since = old.quiet, old.quiet_since
            fate.wait, fate.previous_id, old.next_id = old.wait, stored.previous_id, stored.id
            self.fates[stored.id] = fate
            if fate.identity is not None:
                self.identities[fate.identity] = stored.id
        begins = max(now, fate.quiet or now)
        fate.due = None if fate.wait is None else begins + fate.wait
        fate.forget_failures()
        same = stored.silenced_until == fate.quiet
        self._promise(
            fate.doubtful or not same or stored.due_at == fate.due, "a full wait after it was reopened"
        )
        self._changed(fate, "reopened", now)

    def _newest(self, incident_id: str) -> str:
        """What is done to one that is continued is done to the one that continues it.

        A record that was lost and made anew does not know of that one.
        """
        incidents = self.services.store.incidents
        while self._exists(incident_id) and (after := self.fates[incident_id].next_id):
            if self.fates[incident_id].doubtful and incidents.require(incident_id).next_id is None:
                break
            incident_id = after
        return incident_id

    def _asked_to_page(self, fate: Fate, due: datetime, source: str | None, now: datetime) -> None:
        pager = Destination.of("incident_io", source or "default")
        if fate.wait is None:
            fate.wait = due - now
        if fate.due is None and not fate.acknowledged:
            fate.due, fate.pages = max(due, (fate.quiet or now) + fate.wait), {pager: Page()}
            fate.failed, fate.page_asked = False, False
            self._changed(fate, "created", now)
            return
        waiting = [one for one in fate.pages.values() if not one.told_delivered]
        if source is not None and pager not in fate.pages:
            fate.pages[pager] = Page(since=now)
        if waiting and all(one.gave_up for one in waiting) and not fate.acknowledged:
            fate.due = max(due, (fate.quiet or now) + fate.wait)
            fate.page_asked = False
            fate.forget_failures()

    def _changed(self, fate: Fate, event: ChangeEvent, now: datetime) -> None:
        wanted = frozenset(name for name in CHANNELS if fate.wants(name, event))
        fate.changes.append(Wanted(next(self.numbers), event, now, wanted))

    # -- people -------------------------------------------------------------------------------------

    @rule(which=which, what=st.sampled_from(DEEDS))
    def somebody_acts(self, which: int, what: Meanwhile) -> None:
        for incident_id in chosen(which, list(self.fates)):
            self._meanwhile(what, incident_id)

    def _acknowledge(self, incident_id: str, minutes: float | None = None) -> None:
        newest = self._newest(incident_id)
        fate = self.fates[newest]
        if not self._exists(newest):
            with pytest.raises(IncidentNotFound):
                actions.acknowledge(self.services, incident_id, "somebody", minutes)
        elif fate.resolved_at:
            with pytest.raises(InvalidTransition):
                actions.acknowledge(self.services, incident_id, "somebody", minutes)
        else:
            assert actions.acknowledge(self.services, incident_id, "somebody", minutes).id == newest
            self._is_acknowledged(fate, self.clock.now, minutes)

    def _unacknowledge(self, incident_id: str) -> None:
        newest = self._newest(incident_id)
        fate = self.fates[newest]
        if not self._exists(newest) or fate.resolved_at:
            with pytest.raises((IncidentNotFound, InvalidTransition)):
                actions.unacknowledge(self.services, incident_id, "somebody")
            return
        after = actions.unacknowledge(self.services, incident_id, "somebody")
        if fate.acknowledged:
            self._reopened(fate, after, self.clock.now)
        else:
            assert fate.doubtful or after.id == newest

    def _is_acknowledged(self, fate: Fate, now: datetime, minutes: float | None) -> None:
        until = None if minutes is None else now + timedelta(minutes=minutes)
        if not fate.acknowledged or (fate.until and (until is None or until > fate.until)):
            fate.acknowledged, fate.acknowledged_at, fate.until = True, now, until
            for one in fate.pages.values():
                one.gave_up, one.failing_since = False, None
            self._changed(fate, "acknowledged", now)

    def _resolve(self, incident_id: str) -> None:
        if not self._exists(incident_id):
            with pytest.raises(IncidentNotFound):
                actions.resolve(self.services, incident_id, "somebody")
            return
        newest = self._newest(incident_id)
        if not self._exists(newest):
            with pytest.raises(IncidentNotFound):
                actions.resolve(self.services, incident_id, "somebody")
            return
        actions.resolve(self.services, incident_id, "somebody")
        self._is_resolved(self.fates[newest], self.clock.now)

    def _is_resolved(self, fate: Fate, now: datetime) -> None:
        if not fate.resolved_at:
            fate.resolved_at = now
            for one in fate.pages.values():
                one.gave_up, one.failing_since = False, None
            self._changed(fate, "resolved", now)
            if fate.quiet and fate.quiet_since and now <= fate.quiet <= now + timedelta(days=31):
                self._is_over_unheard(fate, fate.quiet_since)

    def _is_over_unheard(self, fate: Fate, since: datetime) -> None:
        """Nobody had heard of it, and now nobody has to."""
        for one in fate.heard.values() if fate.changes[0].at >= since else ():
            one.excused = fate.changes[-1].number

    def _escalate_now(self, incident_id: str) -> None:
        incident_id = self._newest(incident_id)
        fate = self.fates[incident_id]
        paged = all(one.told_delivered for one in fate.pages.values())
        try:
            actions.escalate_now(self.services, incident_id, "somebody")
        except IncidentNotFound:
            assert not self._exists(incident_id)
        except InvalidTransition:
            attempts = [attempt for one in fate.pages.values() for attempt in one.attempts]
            last = max((at for at, kind in attempts if kind == "firing"), default=None)
            under_way = last is not None and self.clock.now < last + LEASE
            assert fate.resolved_at or paged or under_way or fate.doubtful
        else:
            assert not fate.resolved_at
            assert fate.doubtful or not paged
            fate.due, fate.acknowledged, fate.until = self.clock.now, False, None
            fate.wait = fate.wait or timedelta(0)
            fate.quiet, fate.page_asked = None, True
            fate.forget_failures()

    # -- silences -----------------------------------------------------------------------------------

    @rule(minutes=st.sampled_from([1, 5, 30]))
    def somebody_silences(self, minutes: int) -> None:
        """What is of low severity, if that is not silenced already."""
        if self.silence is None or not self.silence.is_active(self.clock.now):
            self.silence = silences.make(
                self.services,
                {"severity": "low"},
                minutes=minutes,
                until=None,
                comment="deployment",
                by="Dana",
            )
            self._see_silences()

    @rule()
    def somebody_ends_the_silence(self) -> None:
        if self.silence is not None:
            ended, self.silence = self.silence, None
            silences.end(self.services, ended.id, "Dana")
            self._see_silences()

    def _is_silenced(self, fate: Fate) -> bool:
        active = self.silence is not None and self.silence.is_active(self.clock.now)
        exempt = fate.severity != "low" or fate.page_asked or fate.resolved_at or fate.next_id
        return active and not exempt and not fate.doubtful

    def _see_silences(self) -> None:
        for incident_id in list(self.fates):
            stored = self.services.store.incidents.get(incident_id)
            if stored is not None:
                self._see_silence(stored, self.clock.now)

    def _see_silence(self, stored: Incident, now: datetime) -> None:
        """It is held, or held no longer, as it was stored at this time."""
        fate = self.fates[stored.id]
        was, fate.quiet = fate.quiet, stored.silenced_until
        if was == fate.quiet or fate.resolved_at or fate.next_id or fate.doubtful:
            return
        untold = any(fate.must_page(p) and not one.told_delivered for p, one in fate.pages.items())
        wait = fate.wait or timedelta(0)
        if fate.quiet is not None:
            self._promise(self._is_silenced(fate), "only what a silence matches is held")
            fate.quiet_since = fate.quiet_since if was and was > now else now
            if untold and fate.due != fate.quiet + wait:
                fate.due = fate.quiet + wait
                fate.forget_failures()
        else:
            self._promise(not self._is_silenced(fate), "it is held until the silence ends")
            if untold and was and was > now:
                fate.due = now + wait
                fate.forget_failures()
            is_new = fate.due is None or untold
            if (
                fate.quiet_since
                and fate.changes[0].at < fate.quiet_since
                and is_new
                and not fate.acknowledged
            ):
                self._changed(fate, "reopened", now)
        self._promise(not untold or stored.due_at == fate.due, "a full wait after a silence")

    # -- time, workers, accidents -------------------------------------------------------------------

    @rule(
        seconds=st.sampled_from([0.5, 1.0, 2.0, 4.0, 16.0, 61.0, 180.0, 1300.0, 25 * 3600.0]),
        looks=st.booleans(),
        plans=plans,
        channel_plans=channel_plans,
    )
    def time_passes(
        self, seconds: float, looks: bool, plans: Sequence[Attempt], channel_plans: Sequence[Attempt]
    ) -> None:
        """Then the sweep may have looked, and workers answer their messages."""
        self.clock.wind(seconds=seconds)
        self.plans, self.channel_plans = list(plans), list(channel_plans)
        if looks:
            self.sweep.check_pages()
            self.sweep.notify()
        self.answer_all_messages()

    def answer_all_messages(self) -> None:
        while self.task_queue.messages:
            self._work(*self.task_queue.messages.pop(0))

    @rule(which=which, plans=plans, faster=st.sampled_from(MEANWHILE))
    def a_worker_tries(self, which: int, plans: Sequence[Attempt], faster: Meanwhile) -> None:
        """It sends what one pager is to be sent. `faster` happens between its look at it and its claim."""
        for incident_id, pager in chosen(which, self._unsent()):
            due = self._scores("versus:due")[member_of(incident_id, pager)]
            self.clock.wind(seconds=max(0.0, due - self.clock.now.timestamp()))
            self.plans, self.before_take = list(plans), faster
            self._work(incident_id, [pager])
            self.before_take = "nothing"

    def _unsent(self) -> list[tuple[str, Destination]]:
        due = self._members("versus:due")
        return [(i, pager) for i in self.fates for pager in PAGERS if member_of(i, pager) in due]

    @rule(
        seconds=st.sampled_from([0.0, 0.0, 3.0, 11.0, 61.0, 3700.0]),
        which=which,
        channel_plans=channel_plans,
        faster=st.sampled_from(MEANWHILE),
    )
    def channels_are_notified(
        self, seconds: float, which: int, channel_plans: Sequence[Attempt], faster: Meanwhile
    ) -> None:
        """`faster` happens between the look of the first worker and its claim."""
        self.clock.wind(seconds=seconds)
        self.channel_plans = list(channel_plans)
        for channel in self.services.store.notifications.channels()[:1]:
            due = self._members(f"versus:notifications:{channel}")
            for incident_id in chosen(which, [i for i in self.fates if i in due and self._exists(i)]):
                self.clock.hook = functools.partial(self._meanwhile, faster, incident_id)
                self._notify(channel, incident_id)
        self.clock.hook = None
        self.sweep.notify()

    def _notifies(self, work: functools.partial[None]) -> None:
        """In its turn. Had it to wait for longer than it was handed out for, then another worker has it."""
        _, channel, incident_id = work.args
        at = self.redis.zscore(f"versus:notifications:{channel}", incident_id)
        if at is not None and at > self.clock.now.timestamp():
            with suppress(Died):
                work()
            self._see_silences()

    def _notify(self, channel: Destination, incident_id: str) -> None:
        """As one worker does to whom the incident was handed out, if it is there to be handed out."""
        queue, now = f"versus:notifications:{channel}", self.clock.now.timestamp()
        if (self.redis.zscore(queue, incident_id) or now + 1) > now:
            return
        self.redis.zadd(queue, {incident_id: now + notifications.HANDED_OUT})
        with suppress(Died):
            notify(self.services, channel, incident_id)
        self._see_silences()

    @rule(which=which, what=st.sampled_from(["messages", "messages", "a record"]))
    def something_is_lost(self, which: int, what: str) -> None:
        if what == "messages":
            self.task_queue.messages.clear()
            return
        for incident_id in chosen(which, list(self.fates)):
            self._lose(incident_id)

    def _lose(self, incident_id: str) -> None:
        self.redis.delete(f"versus:incident:{incident_id}")
        fate = self.fates[incident_id]
        fate.doubtful, fate.acknowledged, fate.resolved_at = True, False, None
        fate.quiet = None
        fate.until, fate.wait = None, timedelta(0)
        fate.forget_failures()
        fate.pages = {
            pager: Page(attempts=fate.pages[pager].attempts, taken=fate.pages[pager].taken)
            for pager in fate.pages
            if self.redis.zscore("versus:due", member_of(incident_id, pager)) is not None
        }
        if not fate.pages:
            # Nothing is to be sent as far as anybody knows, unless a message still comes.
            fate.due = None

    def _meanwhile(self, what: Meanwhile, incident_id: str) -> None:
        fate = self.fates[incident_id]
        match what:
            case "acknowledge":
                self._acknowledge(incident_id)
            case "acknowledge_for_a_while":
                self._acknowledge(incident_id, 2)
            case "unacknowledge":
                self._unacknowledge(incident_id)
            case "resolve":
                self._resolve(incident_id)
            case "escalate_now":
                self._escalate_now(incident_id)
            case "lose" if not (fate.resolved_at or fate.acknowledged):
                self._lose(incident_id)
            case "tick":
                self.sweep.check_pages()
                self.sweep.notify()
            case "deliver":
                self._work(incident_id)
            case "notify":
                for name in CHANNELS:
                    self._notify(Destination(name), incident_id)
            case "silence":
                self.somebody_silences(5)
            case "end_silence":
                self.somebody_ends_the_silence()
            case "repeat":
                self.webhook([(fate.identity, Effect.FIRING, "critical")], True, 0.5, "default")
            case "repeat_elsewhere":
                self.webhook([(fate.identity, Effect.FIRING, None)], True, 0.5, "infra")

    def _work(self, incident_id: str, pagers: Sequence[Destination] = (), title: str | None = None) -> None:
        fate = self.fates[incident_id]
        if not self._exists(incident_id):
            fate.due = self.clock.now
            for pager in pagers or ([PAGER] if not fate.pages else []):
                if pager != ITSELF:
                    fate.pages.setdefault(pager, Page())
        self.working_on.append(incident_id)
        with suppress(Died):
            pages.deliver(self.services, incident_id, pagers, title)
        self.working_on.pop()
        self._see_silences()
        self._see_late(incident_id)
        self._see_what_time_did(incident_id)

    def _see_what_time_did(self, incident_id: str) -> None:
        """A worker let the incident take its own step."""
        stored, fate = self.services.store.incidents.get(incident_id), self.fates[incident_id]
        if stored is None:
            return
        acknowledged = stored.state is State.ACKNOWLEDGED and not stored.next_id
        if fate.acknowledged and not (fate.resolved_at or fate.next_id or acknowledged):
            over = fate.until is not None and fate.until <= self.clock.now
            self._promise(fate.doubtful or over, "an acknowledgement lasts as long as it was given for")
            self._reopened(
                fate, self.services.store.incidents.require(stored.next_id or stored.id), self.clock.now
            )
        previous = fate.previous_id and self.services.store.incidents.get(fate.previous_id)
        if fate.resolved_at and previous and previous.state is State.RESOLVED:
            self._is_resolved(self.fates[previous.id], self.clock.now)

    def _see_late(self, incident_id: str) -> None:
        """A worker noticed that a page does not get out."""
        stored, fate = self.services.store.incidents.get(incident_id), self.fates[incident_id]
        late = 0 if stored is None else sum(entry.event == "late" for entry in stored.timeline)
        if late > fate.late:
            tried = any(one.attempts and not one.told_delivered for one in fate.pages.values())
            due = fate.due is not None and fate.due + LATE_AFTER <= self.clock.now
            over = fate.acknowledged or fate.resolved_at
            self._promise(fate.doubtful or (tried and due and not over), "late is what was tried for long")
            self._changed(fate, "late", self.clock.now)
        fate.late = late

    # -- the provider, and what it may be asked to do ------------------------------------------------

    def rate_limits(self, alert_source: str) -> list[RateLimit]:
        if self.working_on:
            self._see_late(self.working_on[-1])
            what, self.before_take = self.before_take, "nothing"
            self._meanwhile(what, self.working_on[-1])
        return [RateLimit("source:infra", PER_MINUTE)] if alert_source == LIMITED else []

    def ping(self, *, deadline: float) -> Outcome | None:
        return None

    def trace(self, incident_id: str, address: str, *, deadline: float) -> Trace:
        return Trace("unknown")

    def on_call(self, *, deadline: float) -> None:
        return None

    def check(self, address: str, *, deadline: float) -> None:
        return None

    def send(self, event: PagerEvent, *, deadline: float) -> Outcome:
        incident_id, now = event.incident.id, self.clock.now
        # It may have taken its own step first, and the one that it continues is over.
        self._see_what_time_did(incident_id)
        fate, pager = self.fates[incident_id], Destination.of("incident_io", event.alert_source)
        self._promise(fate.doubtful or pager in fate.pages, "the alert sources that were asked for")
        one = fate.pages.setdefault(pager, Page())
        self._check_attempt(event, fate, one)
        one.attempts.append((now, event.kind))
        self.sent.append((now, event.alert_source))
        attempt = self.plans.pop(0) if self.plans else Attempt(DELIVERED, taken=True)
        if attempt.taken:
            one.taken.append(event.kind)
        mine, failing_since = len(one.attempts), one.failing_since
        self.clock.wind(seconds=attempt.sleeps)
        for what in attempt.meanwhile:
            self._meanwhile(what, incident_id)
        if attempt.dies:
            raise Died
        one = fate.pages.setdefault(pager, one)
        self._learned(event, fate, one, attempt.outcome, failing_since, held=len(one.attempts) == mine)
        return attempt.outcome

    def _check_attempt(self, event: PagerEvent, fate: Fate, one: Page) -> None:
        now, source = self.clock.now, event.alert_source
        if event.kind == "firing":
            due = fate.due if fate.due is None else max(fate.due, one.since or fate.due)
            self._promise(not fate.acknowledged, "no page after an acknowledgement")
            self._promise(not fate.resolved_at, "no page after the problem was over")
            self._promise(not self._is_silenced(fate), "no page while a silence holds")
            self._promise(fate.doubtful or (due is not None and due <= now), "no page too early")
            self._promise(fate.doubtful or not one.told_delivered, "no second page after the first")
        else:
            paged = any(kind == "firing" for _, kind in one.attempts)
            self._promise(bool(fate.resolved_at), "no resolve event before the problem is over")
            self._promise(fate.doubtful or paged, "no resolve event without a page")
        self._promise(self.paused_until.get(source, now) <= now, "a 429 pauses everybody")
        within = [at for at, name in self.sent if name == source and now - at < timedelta(seconds=60)]
        self._promise(source != LIMITED or len(within) < PER_MINUTE, "no more events than allowed")

    def _learned(
        self,
        event: PagerEvent,
        fate: Fate,
        one: Page,
        outcome: Outcome,
        failing_since: datetime | None,
        *,
        held: bool,
    ) -> None:
        now, source = self.clock.now, event.alert_source
        if outcome.back_off_all:
            until = now + timedelta(seconds=outcome.not_before or 0)
            self.paused_until[source] = max(until, self.paused_until.get(source, until))
        if outcome.delivered:
            one.told_delivered = one.told_delivered or event.kind == "firing"
            one.failing_since = None
            if event.kind == "firing" and not fate.escalated:
                fate.escalated, fate.escalated_at = True, now
                self._changed(fate, "escalated", now)
            return
        over = fate.acknowledged or fate.resolved_at or one.told_delivered
        needed = not over if event.kind == "firing" else bool(fate.resolved_at)
        if not held or not needed:
            return
        misconfigured = outcome.verdict == "misconfigured"
        too_long = failing_since is not None and now - failing_since >= PAGES.give_up_after
        one.gave_up = too_long and not misconfigured
        one.failing_since = None if misconfigured else one.failing_since or now
        if event.kind == "firing" and (misconfigured or one.gave_up) and not fate.failed:
            fate.failed = True
            self._changed(fate, "failed", now)

    # -- the channels --------------------------------------------------------------------------------

    def notified(
        self, name: str, stated: Sequence[tuple[ChangeEvent, Incident]], *, in_summary: bool
    ) -> Outcome:
        """A message, or a summary, reaches a channel, and something comes of it."""
        number, now = next(self.numbers), self.clock.now
        event = {incident.id: self._check_message(name, event, incident) for event, incident in stated}
        self.messages += [(name, event, incident.id) for event, incident in stated]
        attempt = self.channel_plans.pop(0) if self.channel_plans else Attempt(DELIVERED, taken=True)
        heard = {i: self.fates[i].heard[name] for i in event}
        for i, one in heard.items():
            if event[i] > one.tried and not in_summary:
                one.tried, one.failing_since = event[i], None
            if attempt.taken:
                one.last = number
        if in_summary:
            self._summary_fails(name, heard, attempt, now)
        self.clock.wind(seconds=attempt.sleeps)
        for what in attempt.meanwhile:
            self._meanwhile(what, stated[0][1].id)
        if attempt.dies:
            raise Died
        in_time = self.clock.now - now < summaries.LEASE
        for i, one in heard.items():
            if not in_time:
                # What a worker that slept writes down may be older than what was told meanwhile.
                one.settled = -1
            elif attempt.outcome.delivered:
                one.settled = max(one.settled, event[i])
            if not attempt.outcome.delivered and not in_summary:
                self._failed(one, event[i])
        return attempt.outcome

    def _check_message(self, name: str, event: ChangeEvent, incident: Incident) -> int:
        """The number of the change that it is about."""
        fate = self.fates[incident.id]
        newest = fate.event(name)
        if fate.doubtful:
            return -1
        self._promise(newest is not None and newest.event == event, "a message about the newest change")
        self._promise(not self._is_silenced(fate), "nobody is notified while a silence holds")
        if newest is None:
            return -1
        resolved, acknowledged = incident.state is State.RESOLVED, incident.state is State.ACKNOWLEDGED
        self._promise(resolved == bool(fate.resolved_at), "a message that is up to date")
        self._promise(resolved or acknowledged == fate.acknowledged, "a message that is up to date")
        self._promise(newest.number > fate.heard[name].settled, "nobody is notified twice")
        return newest.number

    def _failed(self, one: Heard, about: int) -> None:
        since = one.failing_since
        one.failing_since = since or self.clock.now
        if since is not None and self.clock.now - since >= NOTIFICATIONS.give_up_after:
            one.excused = max(one.excused, about)

    def _summary_fails(self, name: str, heard: dict[str, Heard], attempt: Attempt, began: datetime) -> None:
        """One that is given up takes with it what waited for an hour."""
        if attempt.outcome.delivered:
            return
        for i, one in heard.items():
            old = [c for c in self.fates[i].changes if began - c.at >= NOTIFICATIONS.give_up_after]
            one.excused = max([one.excused, *(change.number for change in old)])

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
        self._see_silences()
        due = self._scores("versus:due")
        by_state = {state: self._members(f"versus:state:{state}") for state in State}
        for incident_id, fate in self.fates.items():
            incident = self.services.store.incidents.get(incident_id)
            if incident is None:
                continue
            for pager in incident.pagers:
                step = incident.next_step(pager)
                at = due.get(member_of(incident_id, pager))
                assert at == (step.at.timestamp() if step else None)
            if not fate.doubtful:
                assert [s for s, ids in by_state.items() if incident_id in ids] == [incident.state]
                self._agrees(incident, fate)

    def _agrees(self, incident: Incident, fate: Fate) -> None:
        assert (incident.state is State.RESOLVED) == bool(fate.resolved_at)
        if not fate.resolved_at:
            assert (incident.state is State.ACKNOWLEDGED) == fate.acknowledged
        assert set(incident.pagers) == set(fate.pages)
        for pager, one in fate.pages.items():
            if fate.must_page(pager) and not one.told_delivered and not fate.next_id:
                step = incident.next_step(pager)
                assert step is not None
                assert step.event == "firing"
        assert incident.next_id == fate.next_id
        if fate.identity is not None and self._is_sure(fate.identity) and not fate.next_id:
            name = f"{fate.identity} {incident.id}"
            listed = self.redis.zscore("versus:open_identities", name) is not None
            assert listed == (not fate.resolved_at)

    @invariant()
    def nothing_due_is_out_of_sight(self) -> None:
        due = self._members("versus:due")
        in_sight = self._members("versus:next_check")
        for pager in PAGERS:
            if self.redis.sismember("versus:pagers", pager):
                in_sight |= self._members(f"versus:queue:{pager}")
        assert due <= in_sight

    @invariant()
    def nothing_waits_for_a_turn_that_it_does_not_need(self) -> None:
        due = self._members("versus:due")
        for member in self._queued() - due:
            # What was queued when its record was lost goes at its turn.
            assert self.fates[member.partition(" ")[0]].doubtful, (
                "queued, and in the way of others, though nothing is to be sent"
            )

    @invariant()
    def whom_a_channel_is_to_hear_of_is_in_its_queue(self) -> None:
        """Everything that it has yet to hear of waits there, or is summarized; nobody has to look for it."""
        channels = self.services.store.notifications.channels()
        for name in CHANNELS:
            waiting = self._waiting(name)
            assert not waiting or Destination(name) in channels
            for incident_id, fate in self.fates.items():
                newest, heard = fate.event(name), fate.heard[name]
                if (
                    newest is not None
                    and not fate.doubtful
                    and newest.number > max(heard.last, heard.excused)
                ):
                    assert incident_id in waiting

    def _queued(self) -> set[str]:
        return set().union(*(self._members(f"versus:queue:{pager}") for pager in PAGERS))

    def _waiting(self, name: str) -> set[str]:
        return self._members(f"versus:notifications:{name}") | self._members(f"versus:held:{name}")

    # -- what holds in the end -----------------------------------------------------------------------

    def teardown(self) -> None:
        self.plans.clear()
        self.channel_plans.clear()
        self.before_take = "nothing"
        for _ in range(200):
            if not (self.redis.zcard("versus:due") or self._queued() or any(map(self._waiting, CHANNELS))):
                break
            self.clock.wind(seconds=30)
            self.sweep.check_pages()
            self.answer_all_messages()
            self.sweep.notify()
        assert self.redis.zcard("versus:due") == 0, "something is to be sent that never leaves"
        assert self._queued() == set(), "something is queued for ever"
        assert {name: self._waiting(name) for name in CHANNELS} == {name: set() for name in CHANNELS}
        self.no_promise_is_broken()
        for fate in self.fates.values():
            for pager in fate.pages:
                self._ended_well(fate, pager)
            if not fate.doubtful:
                self._all_was_heard_of(fate)

    def _ended_well(self, fate: Fate, pager: Destination) -> None:
        one = fate.pages[pager]
        if fate.must_page(pager):
            assert "firing" in one.taken, "somebody had to be paged and was not"
        if fate.doubtful or one.gave_up:
            return
        if "firing" in one.taken and fate.resolved_at:
            assert one.taken[-1] == "resolved", "incident.io has an alert that nobody closes"
        if "resolved" in one.taken:
            first = one.taken.index("resolved")
            assert "firing" not in one.taken[first:], "a page after the resolve event"

    def _all_was_heard_of(self, fate: Fate) -> None:
        for change in fate.changes:
            for name in change.channels:
                heard = fate.heard[name]
                assert change.number < heard.last or change.number <= heard.excused, (name, change)


@pytest.fixture(autouse=True)
def small_storms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few incidents are a storm already, and its summary names all."""
    monkeypatch.setattr(notifications, "MOST_SINGLES", MOST_SINGLES)
    monkeypatch.setattr(summaries, "NAMED", NAMED)


def test_no_order_of_events_breaks_a_promise(server: EmbeddedRedis) -> None:
    class ThisWorld(World):
        def __init__(self) -> None:
            super().__init__(server.url)

    run_state_machine_as_test(
        ThisWorld,
        settings=settings(
            max_examples=100,
            stateful_step_count=30,
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


def test_what_is_acknowledged_just_before_it_is_deferred_stands_in_nobodys_way(world: World) -> None:
    world.webhook([PROBLEM] * (PER_MINUTE + 1), True, 0.0, LIMITED)
    world.clock.wind(seconds=1)
    world.answer_all_messages()
    world.webhook([PROBLEM], True, 0.0, LIMITED)
    world.before_take = "acknowledge"
    world.answer_all_messages()
    world.nothing_waits_for_a_turn_that_it_does_not_need()
    world.teardown()


def test_a_record_that_is_lost_just_before_its_claim_is_paged_all_the_same(world: World) -> None:
    world.webhook([PROBLEM], True, 0.0, "default")
    world.before_take = "lose"
    world.answer_all_messages()
    world.teardown()
    assert [fate.pages[PAGER].taken for fate in world.fates.values()] == [["firing"]]


@pytest.mark.parametrize("identity", [None, "disk"])
def test_a_record_that_is_lost_while_its_page_is_sent_is_written_again(
    world: World, identity: str | None
) -> None:
    world.webhook([(identity, Effect.FIRING, None)], True, 0.0, "default")
    world.plans = [Attempt(DELIVERED, taken=True, meanwhile=("lose",))]
    world.answer_all_messages()
    [(incident_id, fate)] = world.fates.items()
    incident = world.services.store.incidents.require(incident_id)
    assert (incident.state, incident.identity) == (State.ESCALATED, identity)
    world.every_index_agrees_with_the_records()
    world.teardown()
    assert fate.pages[PAGER].taken == ["firing"]


def test_paging_now_goes_to_the_alert_source_that_the_webhook_asked_for(world: World) -> None:
    world.webhook([PROBLEM], False, 0.0, "infra")
    world.somebody_acts(0, "escalate_now")
    world.answer_all_messages()
    assert [source for _, source in world.sent] == ["infra"]


def test_each_pager_of_a_lost_record_is_paged(world: World) -> None:
    for source in ("default", "infra"):
        world.webhook([("disk", Effect.FIRING, None)], True, 0.0, source)
    world.task_queue.messages.clear()
    world.something_is_lost(0, "a record")
    world.clock.wind(seconds=5)
    world.teardown()
    [fate] = world.fates.values()
    assert {pager: one.taken for pager, one in fate.pages.items()} == {PAGER: ["firing"], INFRA: ["firing"]}


def test_a_pager_that_joined_during_an_attempt_is_paged_though_the_record_was_lost_then(world: World) -> None:
    world.webhook([("disk", Effect.FIRING, None)], True, 0.0, "default")
    world.plans = [Attempt(DELIVERED, taken=True, meanwhile=("repeat_elsewhere", "lose"))]
    world.answer_all_messages()
    world.teardown()
    [fate] = world.fates.values()
    assert {pager: one.taken for pager, one in fate.pages.items()} == {PAGER: ["firing"], INFRA: ["firing"]}


def test_what_comes_while_a_summary_is_sent_is_told_after_it(world: World) -> None:
    problems = [(f"{n}", Effect.FIRING, "critical") for n in range(MOST_SINGLES + 1)]
    world.webhook(problems, False, 0.0, None)
    world.clock.wind(seconds=1)
    world.sweep.notify()
    world.sweep.notify()
    last = list(world.fates)[-1]
    assert last not in [incident_id for _, _, incident_id in world.messages]
    world.channel_plans = [Attempt(DELIVERED, taken=True, meanwhile=("resolve",))]
    world.clock.wind(seconds=11)
    world.sweep.notify()
    world.teardown()
    assert [event for name, event, i in world.messages if (name, i) == ("chat", last)] == [
        "created",
        "resolved",
    ]


def test_a_summary_is_not_about_what_is_being_told_by_itself(world: World) -> None:
    """In a storm, an incident is resolved while its own message is being sent."""
    world.webhook([PROBLEM] * (MOST_SINGLES + 1), False, 0.0, None, ("ops",))
    world.clock.wind(seconds=1)
    world.sweep.notify()
    world.sweep.notify()
    world.clock.wind(seconds=8)
    world.webhook([PROBLEM], False, 0.0, None, ("ops",))
    last = list(world.fates)[-1]
    world.channel_plans = [Attempt(DELIVERED, taken=True, sleeps=5.0, meanwhile=("resolve", "tick"))]
    world._notify(Destination("ops"), last)
    assert [event for _, event, i in world.messages if i == last] == ["created"]
    world.teardown()
    assert [event for _, event, i in world.messages if i == last] == ["created", "resolved"]


def test_what_leaves_a_summary_that_failed_is_told_once(world: World) -> None:
    """It changes while the summary waits to be tried again."""
    world.webhook([PROBLEM] * (MOST_SINGLES + 1), False, 0.0, None, ("ops",))
    world.clock.wind(seconds=1)
    world.sweep.notify()
    world.sweep.notify()
    last = list(world.fates)[-1]
    world.channel_plans = [Attempt(Outcome("try_again", "500", not_before=70), taken=False)]
    world.clock.wind(seconds=10)
    world.sweep.notify()
    world.clock.wind(seconds=61)
    world._resolve(last)
    world.clock.wind(seconds=10)
    world.sweep.notify()
    world.teardown()
    assert [event for _, event, i in world.messages if i == last] == ["created", "resolved"]


def test_channels_hear_of_a_lost_record(world: World) -> None:
    world.webhook([PROBLEM], True, 0.0, "default")
    world.something_is_lost(0, "a record")
    world.answer_all_messages()
    world.teardown()
    assert [name for name, _, _ in world.messages] == ["ops"]


def test_of_two_workers_that_read_the_same_summary_one_sends_it(world: World) -> None:
    ops = Destination("ops")
    world.webhook([PROBLEM] * (MOST_SINGLES + 1), False, 0.0, None, (ops,))
    world.clock.wind(seconds=1)
    world.sweep.notify()
    world.sweep.notify()
    last = list(world.fates)[-1]
    world.channel_plans = [Attempt(DELIVERED, taken=True, dies=True)]
    world.clock.wind(seconds=10)

    def other() -> None:
        with suppress(Died):
            notify(world.services, ops, notifications.SUMMARY)

    world.clock.hook = other
    notify(world.services, ops, notifications.SUMMARY)
    assert [event for _, event, i in world.messages if i == last] == ["created"]
    world.teardown()


def test_a_page_that_fails_is_for_every_channel_whatever_it_wants_to_hear_of(world: World) -> None:
    world.webhook([(None, Effect.FIRING, "info")], True, 0.0, "default")
    world.plans = [Attempt(Outcome("misconfigured", "404", "not_found"), taken=False)]
    world.answer_all_messages()
    world.sweep.notify()
    assert [(name, event) for name, event, _ in world.messages] == [
        (name, "failed") for name in sorted(CHANNELS)
    ]
