"""A worker while Redis takes no writes: its turn, its share of the limits, and what it stores later."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterator
from itertools import chain

import pytest

from app import actions
from app.bootstrap import Services
from app.destinations.base import RateLimit
from app.domain.alert import Alert
from app.domain.delivery import Outcome
from app.domain.state import State
from app.ingest.service import Options, ReceivedAlert, receive
from app.store import Store, StoreRefusesWrites
from tasks.read_only import TURN, ReadOnly
from tasks.slots import Slots
from tests.delivery.notifying import with_two_channels
from tests.fakes import INFRA, PAGER, Clock, RecordingChannel, RecordingProvider
from tests.refusing import refusing_writes
from tests.stories.stack import wait_until


def due(services: Services, alike: int = 1, **options: float | str) -> list[str]:
    messages = [ReceivedAlert(Alert(title="Disk full", source="test"), "{}")] * alike
    received = receive(services, messages, Options(wait_minutes=0, **options))  # type: ignore[arg-type]
    return [one.incident.id for one in received if one.incident]


class AtOnce(Slots):
    """Works in the caller's thread."""

    def __init__(self) -> None:
        super().__init__("test", each=1, most=1)

    def run(self, destination: Hashable, work: Callable[[], None], then: Callable[[], object]) -> None:
        self.release(destination)
        work()


@pytest.fixture
def quick(services: Services, redis_url: str) -> Services:
    """The services, which is soon told that Redis refuses."""
    return dataclasses.replace(services, store=Store(redis_url, retry_seconds=0.1))


@pytest.fixture
def worker(quick: Services, clock: Clock) -> Callable[[str], ReadOnly]:
    def start(name: str) -> ReadOnly:
        # Those of one request are due a microsecond apart.
        clock.wind(milliseconds=1)
        quick.store.delivery_queue.worker_lives(name, clock.now)
        return ReadOnly(quick, name, AtOnce())

    return start


@pytest.fixture(autouse=True)
def nothing_is_left(quick: Services) -> Iterator[None]:
    yield
    wait_until(lambda: len(quick.backlog) == 0, "all is stored before the next test")


def test_it_pages_once_and_stores_that_later(
    quick: Services, worker: Callable[[str], ReadOnly], provider: RecordingProvider, redis_url: str
) -> None:
    [incident_id] = due(quick)
    only = worker("a")
    with refusing_writes(redis_url):
        with pytest.raises(StoreRefusesWrites):
            quick.store.server.require_writes()
        only.page()
        only.page()
        assert provider.notified() == [("firing", incident_id)]
        assert provider.events[0].page_url is not None
        assert quick.store.incidents.require(incident_id).state is State.PENDING
    quick.backlog.write()
    stored = quick.store.incidents.require(incident_id)
    assert stored.state is State.ESCALATED
    assert stored.attempts == 1
    assert stored.next_step(PAGER) is None
    assert stored.timeline[-1].event == "sent_unclaimed"


def test_what_was_acknowledged_or_is_not_due_pages_nobody(
    quick: Services, worker: Callable[[str], ReadOnly], provider: RecordingProvider, redis_url: str
) -> None:
    [acknowledged] = due(quick)
    actions.acknowledge(quick, acknowledged, "somebody")
    receive(quick, [ReceivedAlert(Alert(title="Later", source="test"), "{}")], Options(wait_minutes=3))
    only = worker("a")
    with refusing_writes(redis_url):
        only.page()
    assert provider.events == []


def test_workers_take_turns_for_each_incident(
    quick: Services,
    worker: Callable[[str], ReadOnly],
    provider: RecordingProvider,
    clock: Clock,
    redis_url: str,
) -> None:
    ids = due(quick, alike=12)
    workers = [worker(name) for name in ("a", "b", "c")]
    paged: list[list[str]] = []
    with refusing_writes(redis_url):
        for _ in workers:
            for one in workers:
                before = len(provider.events)
                one.page()
                paged.append([incident for _, incident in provider.notified()[before:]])
            clock.wind(seconds=TURN.total_seconds())
    assert all(paged[:3])
    for turn in (0, 3, 6):
        assert sorted(chain(*paged[turn : turn + 3])) == sorted(ids)
    for n in range(3):
        assert sorted(chain(*paged[n::3])) == sorted(ids)


def test_a_worker_that_nobody_knows_comes_last(
    quick: Services,
    worker: Callable[[str], ReadOnly],
    provider: RecordingProvider,
    clock: Clock,
    redis_url: str,
) -> None:
    due(quick)
    worker("a"), worker("b")
    late = ReadOnly(quick, "new", AtOnce())
    with refusing_writes(redis_url):
        late.page()
        clock.wind(seconds=2 * TURN.total_seconds() - 1)
        late.page()
        assert provider.events == []
        clock.wind(seconds=1)
        late.page()
        assert len(provider.events) == 1


def test_each_takes_its_share_of_what_is_left_of_the_limits(
    quick: Services,
    worker: Callable[[str], ReadOnly],
    provider: RecordingProvider,
    clock: Clock,
    redis_url: str,
) -> None:
    provider.limits = [RateLimit("incident_io/default", 8)]
    due(quick, alike=20)
    one, _ = worker("a"), worker("b")
    with refusing_writes(redis_url):
        one.page()
        assert len(provider.events) == 4
        one.page()
        assert len(provider.events) == 4
        clock.wind(seconds=62)
        one.page()
        assert len(provider.events) == 8


def test_a_429_holds_back_all_that_it_sends_there(
    quick: Services,
    worker: Callable[[str], ReadOnly],
    provider: RecordingProvider,
    clock: Clock,
    redis_url: str,
) -> None:
    provider.outcomes = [Outcome("try_again", "429", "rate_limited", not_before=30.0, back_off_all=True)]
    due(quick, alike=20)
    only = worker("a")
    with refusing_writes(redis_url):
        only.page()
        clock.wind(seconds=29)
        only.page()
        assert len(provider.events) == 1
        clock.wind(seconds=62)
        only.page()
        assert len(provider.events) == 1 + 20


def test_what_fails_is_tried_again_and_then_its_fallback(
    quick: Services,
    worker: Callable[[str], ReadOnly],
    provider: RecordingProvider,
    clock: Clock,
    redis_url: str,
) -> None:
    oncall = quick.config.oncall.model_copy(update={"fallback": (INFRA,)})
    config = quick.config.model_copy(update={"oncall": oncall})
    [incident_id] = due(dataclasses.replace(quick, config=config))
    provider.outcomes = [Outcome("misconfigured", "404", "not_found")]
    only = worker("a")
    with refusing_writes(redis_url):
        only.page()
        clock.wind(seconds=1)
        only.page()
        assert [event.alert_source for event in provider.events] == ["default", "infra"]
    quick.backlog.write()
    stored = quick.store.incidents.require(incident_id)
    assert stored.pagers[INFRA].accepted == "firing"
    assert stored.pagers[INFRA].fallback
    assert stored.state is State.ESCALATED


def test_it_stops_once_writes_work(
    quick: Services, worker: Callable[[str], ReadOnly], provider: RecordingProvider, redis_url: str
) -> None:
    due(quick, alike=3)
    only = worker("a")
    provider.meanwhile = lambda _: only.end()
    with refusing_writes(redis_url):
        only.page()
    assert len(provider.events) == 1


@pytest.fixture
def channels() -> dict[str, RecordingChannel]:
    return {"ops": RecordingChannel(), "mail": RecordingChannel()}


@pytest.fixture
def notifying(quick: Services, channels: dict[str, RecordingChannel]) -> Services:
    return with_two_channels(quick, *channels.values())


def test_every_channel_is_notified_of_a_page_that_does_not_get_out(
    notifying: Services,
    channels: dict[str, RecordingChannel],
    provider: RecordingProvider,
    clock: Clock,
    redis_url: str,
) -> None:
    [incident_id] = due(notifying)
    provider.outcomes = [Outcome("try_again", "503", "server_error")] * 9
    notifying.store.delivery_queue.worker_lives("a", clock.now)
    only = ReadOnly(notifying, "a", AtOnce())
    with refusing_writes(redis_url):
        only.page()
        assert {name: one.notified() for name, one in channels.items()} == {"ops": [], "mail": []}
        for _ in range(9):
            clock.wind(seconds=30)
            only.page()
    for channel in channels.values():
        assert channel.notified() == [("late", incident_id)]
        assert channel.messages[0][0].ack_url is not None


def test_of_many_they_are_notified_in_one_message_a_minute(
    notifying: Services,
    channels: dict[str, RecordingChannel],
    provider: RecordingProvider,
    clock: Clock,
    redis_url: str,
) -> None:
    due(notifying, alike=3)
    provider.outcomes = [Outcome("misconfigured", "404", "not_found")] * 9
    channels["mail"].answers = [Outcome("try_again", "connection refused")]
    notifying.store.delivery_queue.worker_lives("a", clock.now)
    only = ReadOnly(notifying, "a", AtOnce())
    with refusing_writes(redis_url):
        for _ in range(7):
            clock.wind(seconds=20)
            only.page()
    for channel, tries in (("ops", 1), ("mail", 2)):
        sent = [(summary.total, summary.counts) for summary in channels[channel].summaries]
        assert sent == [(3, [("failed", 3)])] * tries
