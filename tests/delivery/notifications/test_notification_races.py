"""Notifications while other things happen: no change is lost, and nobody waits for a channel."""

from __future__ import annotations

import dataclasses
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest
import redis

from app import actions
from app.bootstrap import Services
from app.delivery.notifications import notify
from app.delivery.pages import deliver
from app.delivery.retry import RetryPolicy
from app.destinations.base import Message, Summary
from app.destinations.channels import Channels
from app.domain.delivery import Destination, InvalidTransition, Outcome
from app.domain.incident import Incident
from app.domain.subscription import CHANGE_EVENTS
from app.store import Store, UnitOfWork
from app.store.keys import CHANNEL, INCIDENT
from app.store.transaction import Check
from tasks.sweep import Sweeper
from tests.delivery.notifying import (
    OPS,
    REFUSED,
    WRONG_KEY,
    acknowledge,
    after_reading,
    create,
    due,
    notify_all,
    page,
    resolve,
    settings,
)
from tests.fakes import Clock, RecordingChannel, RecordingProvider
from tests.stories.stack import wait_until

# -- a change that comes while a message is in flight -----------------------------------------------------


def repeat(services: Services, incident: Incident) -> None:
    create(services, incident.identity, "critical")


def fail(services: Services, incident: Incident) -> None:
    provider = services.providers["incident_io"]
    assert isinstance(provider, RecordingProvider)
    provider.outcomes = [WRONG_KEY]
    deliver(services, incident.id)


def late(services: Services, incident: Incident) -> None:
    def work(unit: UnitOfWork) -> None:
        unit.save(unit.require(incident.id).became_late(services.clock()))

    services.update(work, ids=[incident.id])


def reopen(services: Services, incident: Incident) -> None:
    acknowledge(services, incident)
    actions.unacknowledge(services, incident.id, "dana")


HAPPENS: dict[str, Callable[[Services, Incident], None]] = {
    "severity_raised": repeat,
    "acknowledged": acknowledge,
    "reopened": reopen,
    "late": late,
    "escalated": page,
    "failed": fail,
    "resolved": resolve,
}


def test_each_change_but_the_first_can_come_later() -> None:
    assert {"created", *HAPPENS} == set(CHANGE_EVENTS)


@pytest.mark.parametrize("answer", [Outcome("delivered"), REFUSED], ids=["delivered", "refused"])
@pytest.mark.parametrize("change", HAPPENS)
def test_a_change_that_comes_while_a_message_is_in_flight_is_notified_afterwards(
    services: Services, ops: RecordingChannel, clock: Clock, change: str, answer: Outcome
) -> None:
    incident = create(services, "k", "low")
    clock.wind(minutes=4)

    def meanwhile() -> None:
        # The message about the new incident is claimed and not recorded yet.
        ops.meanwhile = lambda: None
        HAPPENS[change](services, incident)
        notify_all(services)

    ops.meanwhile, ops.answers = meanwhile, [answer]
    notify_all(services)
    assert [event for event, _ in ops.notified()] == ["created"]
    notify_all(services)
    assert [event for event, _ in ops.notified()] == ["created", change]
    clock.wind(minutes=10)
    assert due(services) == []


@pytest.mark.parametrize("change", HAPPENS)
def test_a_change_that_comes_between_reading_and_claiming_is_in_the_message(
    services: Services, ops: RecordingChannel, clock: Clock, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    incident = create(services, "k", "low")
    clock.wind(minutes=4)
    [(channel, _)] = due(services)
    after_reading(services, monkeypatch, lambda: HAPPENS[change](services, incident))
    notify(services, channel, incident.id)
    notify_all(services)
    assert [event for event, _ in ops.notified()] == [change]


def test_a_worker_that_reports_after_its_lease_loses_no_change(
    services: Services, ops: RecordingChannel, clock: Clock
) -> None:
    incident = create(services)

    def sleep() -> None:
        ops.meanwhile = lambda: None
        clock.wind(seconds=21)
        acknowledge(services, incident)
        notify_all(services)

    ops.meanwhile = sleep
    notify_all(services)
    clock.wind(minutes=1)
    notify_all(services)
    assert [event for event, _ in ops.notified()] == ["created", "acknowledged"]
    assert due(services) == []


# -- what does not contend --------------------------------------------------------------------------------


def test_a_channels_commits_leave_the_incidents_version_and_document_as_they_were(
    services: Services, ops: RecordingChannel, redis_url: str, clock: Clock
) -> None:
    client = redis.Redis.from_url(redis_url, decode_responses=True)
    incident = create(services)
    before = client.hgetall(INCIDENT + incident.id)
    seen = []
    ops.meanwhile = lambda: seen.append(client.hmget(INCIDENT + incident.id, "v", "doc"))
    ops.answers = [REFUSED]
    notify_all(services)
    clock.wind(seconds=10)
    notify_all(services)
    after = client.hgetall(INCIDENT + incident.id)
    assert after.pop(CHANNEL + "ops")
    assert after == before
    assert seen == [[before["v"], before["doc"]]] * 2


@pytest.mark.parametrize(("happens", "writes"), [(page, 2), (acknowledge, 1), (resolve, 1)])
def test_no_page_and_no_acknowledgement_has_to_be_written_twice_because_of_a_channel(
    services: Services,
    clock: Clock,
    happens: Callable[[Services, Incident], None],
    writes: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    incident = create(services)
    clock.wind(minutes=4)
    checks, tries = UnitOfWork.checks, []

    def after_a_channel(unit: UnitOfWork) -> Iterable[Check]:
        with monkeypatch.context() as patch:
            patch.setattr(UnitOfWork, "checks", checks)
            notify_all(services)
        tries.append(unit)
        return checks(unit)

    monkeypatch.setattr(UnitOfWork, "checks", after_a_channel)
    happens(services, incident)
    assert len(tries) == writes


def test_two_channels_of_one_incident_do_not_wait_for_each_other(
    services: Services, ops: RecordingChannel, mail: RecordingChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    incident = create(services, channels=("ops", "mail"))
    checks, tries = UnitOfWork.checks, []

    def counted(unit: UnitOfWork) -> Iterable[Check]:
        tries.append(unit)
        return checks(unit)

    monkeypatch.setattr(UnitOfWork, "checks", counted)
    ops.meanwhile = lambda: notify(services, Destination("mail"), incident.id)
    notify(services, OPS, incident.id)
    # Each channel's claim and outcome, none of them a second time.
    assert len(tries) == 4
    assert (len(ops.messages), len(mail.messages)) == (1, 1)


# -- many workers, and many things that happen ------------------------------------------------------------

PEOPLE = 3
SECONDS = 4.0
LEASE = timedelta(seconds=3)
SOON = RetryPolicy(first=0.05, longest=0.2, misconfigured=None, give_up_after=timedelta(hours=1))


class Killed(BaseException):
    """What SIGKILL does to the code: nothing after it runs."""


class Moody:
    """A channel that takes most messages, refuses some, and whose worker dies now and then."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._lock = threading.Lock()
        self.heard: dict[str, int] = {}
        """The last change that it was notified of, for each incident."""
        self.kinds = {"singles": 0, "summaries": 0, "refused": 0, "killed": 0}

    def send(self, message: Message | Summary, address: str | None) -> Outcome:
        if isinstance(message, Summary):
            return self._answer("summaries", [incident for _, incident in message.incidents])
        return self._answer("singles", [message.incident])

    def rendered(self, message: Message | Summary) -> dict[str, Any]:
        return {}

    def _answer(self, kind: str, incidents: list[Incident]) -> Outcome:
        with self._lock:
            mood, pause = self._chance.random(), self._chance.random() / 100
        time.sleep(pause)
        with self._lock:
            if sum(self.kinds.values()) % 12 == 11:
                self.kinds["killed"] += 1
                raise Killed
            if mood < 0.25:
                self.kinds["refused"] += 1
                return REFUSED
            self.kinds[kind] += 1
            for one in incidents:
                self.heard[one.id] = max(self.heard.get(one.id, 0), one.changes[-1].sequence)
            return Outcome("delivered")


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute is a second, and five incidents in it are a storm."""
    for name, value in {"MOST_SINGLES": 5, "MINUTE": 1, "FIRST_SUMMARY": 0.2, "HANDED_OUT": 0.5}.items():
        monkeypatch.setattr(f"app.store.notifications.{name}", value)
    for module in ("app.delivery.notification_job", "app.delivery.summaries"):
        monkeypatch.setattr(f"{module}.NOTIFICATIONS", SOON)
        monkeypatch.setattr(f"{module}.LEASE", LEASE)
    # All of them, so that the test sees them.
    monkeypatch.setattr("app.delivery.summaries.NAMED", 10_000)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.usefixtures("hasty")
def test_with_many_workers_and_much_that_happens_every_change_that_is_wanted_is_notified(
    services: Services, redis_url: str, seed: int
) -> None:
    chance = random.Random(seed)
    made = {name: Moody(random.Random(f"{seed} {name}")) for name in ("ops", "mail")}
    wanted = [settings("ops"), settings("mail", events=("acknowledged", "resolved"), min_severity="high")]

    def worker() -> Services:
        store = Store(redis_url)
        channels = Channels(wanted, dict(made))
        return dataclasses.replace(
            services,
            store=store,
            clock=store.now,
            channels=channels,
            providers={"incident_io": Whimsical(chance.random())},
        )

    people = [(worker(), random.Random(f"{seed} person {n}")) for n in range(PEOPLE)]
    sweeps = [Sweeper(worker()) for _ in range(2)]
    direct = worker()
    ids: list[str] = []
    until = time.monotonic() + SECONDS
    with (
        repeating([one.notify for one in sweeps]),
        repeating([lambda: notify_all_but_the_killed(direct)] * 2),
    ):
        lives = [threading.Thread(target=live, args=(*person, ids, until)) for person in people]
        for thread in lives:
            thread.start()
        for thread in lives:
            thread.join(60)
        assert len(ids) > 30
        wait_until(lambda: not direct.store.notifications.channels(), "everybody is notified", 60)
    stored = [direct.store.incidents.require(incident_id) for incident_id in ids]
    for name, channel in made.items():
        assert missed(Destination(name), stored, channel.heard) == [], name
        assert min(channel.kinds.values()) > 0, channel.kinds
        assert direct.store.notifications.held(Destination(name)) == []


def missed(channel: Destination, stored: list[Incident], heard: dict[str, int]) -> list[tuple[str, int, int]]:
    """Incidents of which it was not notified up to the last change that it wants."""
    found = []
    for incident in stored:
        [one] = [s for s in incident.subscriptions if s.destination == channel]
        last = max((c.sequence for c in incident.changes if one.wants(c.event, incident.severity)), default=0)
        if heard.get(incident.id, 0) < last:
            found.append((incident.id, last, heard.get(incident.id, 0)))
    return found


class Whimsical(RecordingProvider):
    """Takes most pages, and calls some misconfigured."""

    def __init__(self, seed: float) -> None:
        super().__init__()
        self._chance = random.Random(seed)

    def send(self, event: Any, *, deadline: float) -> Outcome:
        return WRONG_KEY if self._chance.random() < 0.2 else super().send(event, deadline=deadline)


def live(services: Services, chance: random.Random, ids: list[str], until: float) -> None:
    """What senders and people do to a few incidents at a time, all at once."""
    what: list[Callable[[Services, str], object]] = [
        lambda services, one: actions.acknowledge(services, one, "somebody"),
        lambda services, one: actions.escalate_now(services, one, "somebody"),
        deliver,
        lambda services, one: actions.resolve(services, one, "somebody"),
    ]
    while time.monotonic() < until:
        severity = chance.choice(("low", "medium", "high", "critical"))
        incident = create(services, f"problem {chance.randrange(12)}", severity)
        if incident.id not in ids:
            ids.append(incident.id)
        for happens in chance.sample(what, 3):
            with suppress(InvalidTransition):
                happens(services, chance.choice(ids[-10:]))
            time.sleep(chance.random() / 50)


def notify_all_but_the_killed(services: Services) -> None:
    for channel, incident_id in due(services):
        with suppress(Killed):
            notify(services, channel, incident_id)


@contextmanager
def repeating(works: list[Callable[[], None]]) -> Iterator[None]:
    """Each of these again and again, in a thread of its own."""
    ended, errors = threading.Event(), []

    def repeat(work: Callable[[], None]) -> None:
        try:
            while not ended.wait(0.01):
                work()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=repeat, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join(60)
    assert errors == []
