"""The worker's slots: how many a destination may keep, and that none is lost."""

from __future__ import annotations

import dataclasses
import io
import threading
from collections.abc import Callable

import pytest
import redis

from app.bootstrap import Services
from app.destinations.base import Message, PagerEvent, Summary
from app.destinations.channels import Channels
from app.domain.alert import Alert
from app.domain.delivery import Destination, Outcome
from app.ingest.service import Options, receive
from app.ingest.service import ReceivedAlert as Webhook
from app.store import StoreUnavailable
from app.store.notifications import WAKEUPS
from tasks.slots import Slots
from tasks.sweep import CHANNEL_SLOTS, MOST_CHANNEL_SLOTS, PAGE_SLOTS, Sweeper
from tests.delivery.notifying import create, settings, timeline
from tests.fakes import Clock, RecordingChannel, RecordingProvider
from tests.stories.stack import wait_until


class Hanging(RecordingChannel):
    """Answers when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()

    def send(self, message: Message | Summary, address: str | None) -> Outcome:
        outcome = super().send(message, address)
        self.let_go.wait(60)
        return outcome


@pytest.fixture
def ops() -> RecordingChannel:
    return RecordingChannel()


@pytest.fixture
def dead() -> Hanging:
    return Hanging()


@pytest.fixture
def services(services: Services, ops: RecordingChannel, dead: Hanging) -> Services:
    channels = Channels([settings("dead"), settings("ops")], {"dead": dead, "ops": ops})
    return dataclasses.replace(services, channels=channels)


def sweep_until(sweep: Sweeper, condition: Callable[[], bool], what: str) -> None:
    """Sweep again and again, as a worker does, until this is so."""

    def swept() -> bool:
        sweep.notify()
        return condition()

    wait_until(swept, what)


# -- slots by themselves ----------------------------------------------------------------------------------


def test_each_destination_has_its_slots_and_all_together_theirs() -> None:
    slots = Slots("test", each=3, most=4)
    assert [slots.acquire("a") for _ in range(4)] == [True, True, True, False]
    assert [slots.acquire("b") for _ in range(2)] == [True, False]
    slots.release("a")
    # What was refused for want of slots in all has left the destination's own as they were.
    assert [slots.acquire("b") for _ in range(2)] == [True, False]


def test_a_slot_is_free_again_when_its_work_has_ended_however_it_ends(log: io.StringIO) -> None:
    slots = Slots("test", each=1, most=1)

    def fail() -> None:
        raise RuntimeError("a bug")

    for work in (lambda: None, fail):
        free = threading.Event()
        assert slots.acquire("a")
        slots.run("a", work, free.set)
        assert free.wait(60)
    assert slots.acquire("a")
    assert "event=delivery_failed" in log.getvalue()
    assert "a bug" in log.getvalue()


# -- of channels ------------------------------------------------------------------------------------------


def test_a_channel_that_hangs_keeps_few_slots_and_delays_no_other(
    services: Services, ops: RecordingChannel, dead: Hanging
) -> None:
    incidents = [create(services) for _ in range(10)]
    sweep = Sweeper(services)
    try:
        sweep_until(sweep, lambda: len(ops.messages) == 10, "ops is notified of all")
        assert len(dead.messages) == CHANNEL_SLOTS
    finally:
        dead.let_go.set()
    sweep_until(sweep, lambda: len(dead.messages) == 10, "the rest follows")
    wait_until(
        lambda: all(len(timeline(services, one, "notified")) == 2 for one in incidents), "all is recorded", 5
    )
    assert (len(ops.messages), len(dead.messages)) == (10, 10)


def test_all_addresses_of_a_channel_that_hangs_keep_few_slots(
    services: Services, ops: RecordingChannel, dead: Hanging
) -> None:
    addresses = [Destination.of("dead", str(n)) for n in range(MOST_CHANNEL_SLOTS)]
    create(services, channels=("ops", *addresses))
    sweep = Sweeper(services)
    try:
        sweep_until(sweep, lambda: len(ops.messages) == 1, "ops is notified")
        for _ in range(3):
            sweep.notify()
        assert len(dead.messages) == CHANNEL_SLOTS
    finally:
        dead.let_go.set()
    sweep_until(sweep, lambda: len(dead.messages) == len(addresses), "the rest follows")
    assert {address for _, address in dead.messages} == set(map(str, range(MOST_CHANNEL_SLOTS)))


def test_what_waited_for_a_slot_follows_as_soon_as_one_is_free(
    services: Services, dead: Hanging, redis_url: str
) -> None:
    for _ in range(CHANNEL_SLOTS + 2):
        create(services)
    sweep = Sweeper(services)
    try:
        sweep_until(sweep, lambda: len(dead.messages) == CHANNEL_SLOTS, "its slots are taken")
        redis.Redis.from_url(redis_url).delete(WAKEUPS)
    finally:
        dead.let_go.set()
    # Nothing new came, and yet somebody who waits for the list is woken before the second is over.
    woken = threading.Event()

    def wait() -> None:
        services.store.notifications.wait(10)
        woken.set()

    threading.Thread(target=wait, daemon=True).start()
    assert woken.wait(60)
    sweep_until(sweep, lambda: len(dead.messages) == CHANNEL_SLOTS + 2, "the rest follows")


def test_no_slot_is_lost_when_redis_is_away(
    services: Services, ops: RecordingChannel, dead: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead.let_go.set()
    create(services)
    sweep = Sweeper(services)

    def away(*_: object) -> list[str]:
        raise StoreUnavailable("Redis can't be reached.")

    with monkeypatch.context() as patch:
        patch.setattr(services.store.notifications, "next", away)
        for _ in range(MOST_CHANNEL_SLOTS):
            with pytest.raises(StoreUnavailable):
                sweep.notify()
    sweep.notify()
    wait_until(lambda: (len(ops.messages), len(dead.messages)) == (1, 1), "both are notified")


# -- of pagers --------------------------------------------------------------------------------------------


def test_channels_never_take_the_slots_of_pagers_nor_pagers_those_of_channels(
    services: Services, ops: RecordingChannel, dead: Hanging, provider: RecordingProvider, clock: Clock
) -> None:
    names = [f"dead-{n}" for n in range(MOST_CHANNEL_SLOTS)]
    hanging = Channels([settings(name) for name in names], dict.fromkeys(names, dead))
    flooded = dataclasses.replace(services, channels=hanging)
    sweep, paging, go_on = Sweeper(flooded), threading.Semaphore(0), threading.Event()

    def hang(event: PagerEvent) -> None:
        paging.release()
        go_on.wait(60)

    provider.meanwhile = hang
    try:
        for _ in range(CHANNEL_SLOTS):
            create(flooded)
        sweep_until(sweep, lambda: len(dead.messages) == MOST_CHANNEL_SLOTS, "every slot hangs")
        receive(
            flooded, [Webhook(Alert(title="x", source="test"), "{}")] * PAGE_SLOTS, Options(wait_minutes=0)
        )
        clock.wind(seconds=2)
        sweep.check_pages()
        assert all(paging.acquire(timeout=5) for _ in range(PAGE_SLOTS))
        assert len(dead.messages) == MOST_CHANNEL_SLOTS
        # And the other way round: the pagers' slots hang now.
        other = Sweeper(services)
        create(services, channels=("ops",))
        sweep_until(other, lambda: len(ops.messages) == 1, "ops is notified")
    finally:
        dead.let_go.set()
        go_on.set()
