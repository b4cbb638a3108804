"""The service's own time: even, the same in all processes, corrected once for each step of Redis's clock."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import redis

from app.store import clock
from app.store.clock import CLOCK, Clock
from app.store.connection import Connection
from tests.relay import Relay
from tests.stories.stack import wait_until

HOUR = 3600.0


class Stepping(Connection):
    """To a real server whose clock can be set."""

    def __init__(self, url: str, ahead: Callable[[], float]) -> None:
        super().__init__(url, retry_seconds=5, timeout=5)
        self._ahead = ahead

    def calls(self, commands: Any, **more: Any) -> list[Any]:
        commands = list(commands)
        answers = super().calls(commands, **more)
        return [
            self._moved(answer) if command == ("TIME",) else answer
            for command, answer in zip(commands, answers, strict=True)
        ]

    def _moved(self, answer: Sequence[int]) -> tuple[int, int]:
        seconds, microseconds = divmod((answer[0] + self._ahead()) * 1_000_000 + answer[1], 1_000_000)
        return int(seconds), int(microseconds)


class Scene:
    """Processes of one Redis whose clock steps."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.ahead = 0.0
        self.began = time.time()
        """Where the service's time began to go on evenly."""

    def process(self, seconds_known: float = 60.0) -> Clock:
        """One that has known the clock for so long."""
        one = Clock(Stepping(self.url, lambda: self.ahead))
        one.check()
        one._known_since -= seconds_known
        return one


@pytest.fixture
def scene(redis_url: str) -> Scene:
    return Scene(redis_url)


@pytest.fixture
def relay(redis_url: str) -> Iterator[Relay]:
    relay = Relay(int(redis_url.rsplit(":", 1)[1].partition("/")[0]))
    yield relay
    relay.stop()


def difference(one: Clock) -> float:
    """Seconds between the time of this host, which is Redis's at first, and the service's.

    The most of several: a process that was stopped between the two would find less.
    """
    return max(one.now().timestamp() - time.time() for _ in range(5))


def near(one: Clock, seconds: float = 0.0) -> bool:
    return abs(difference(one) - seconds) < 1


# -- slow answers ---------------------------------------------------------------------------------------


def over(relay: Relay) -> Clock:
    return Clock(Connection(f"redis://127.0.0.1:{relay.port}/0", retry_seconds=5, timeout=5))


def test_a_slow_answer_does_not_put_the_clock_back(relay: Relay) -> None:
    one = over(relay)
    before = difference(one)
    relay.latency = 0.3
    one.check()
    assert before - 0.1 < difference(one) < 0.1


def test_a_clock_that_was_read_from_a_slow_answer_is_put_right(relay: Relay) -> None:
    one = over(relay)
    relay.latency = 0.6
    # It is never ahead: nothing may page before it is due.
    assert difference(one) < -0.5
    relay.latency = 0.0

    def put_right() -> bool:
        one.check()
        return abs(difference(one)) < 0.1

    wait_until(put_right, "it is put right")


# -- steps ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", [-HOUR, -3.0, 3.0, HOUR])
def test_time_goes_on_evenly_in_all_processes(scene: Scene, by: float, log: io.StringIO) -> None:
    one, two, newcomer = scene.process(), scene.process(), scene.process(0)
    scene.ahead = by
    for process in (one, two, newcomer, one, two, newcomer):
        process.check()
        assert near(process)
    assert near(scene.process())
    assert log.getvalue().count("redis_clock_stepped") == 1
    assert abs(one.correction + by) < 1


def test_less_than_two_seconds_are_drift(scene: Scene, redis_url: str) -> None:
    one = scene.process()
    scene.ahead = 1.5
    one.check()
    assert near(one, 1.5)
    assert not redis.Redis.from_url(redis_url).exists(CLOCK)


def test_each_step_is_corrected_once(scene: Scene, log: io.StringIO) -> None:
    one, two = scene.process(), scene.process()
    for by in (HOUR, 0.0, -10.0):
        scene.ahead = by
        for process in (one, two, one, two):
            process.check()
            assert near(process)
    assert log.getvalue().count("redis_clock_stepped") == 3


@pytest.mark.parametrize("again", [10.0, -HOUR])
def test_a_second_step_before_all_have_seen_the_first_moves_nobody(
    scene: Scene, again: float, log: io.StringIO
) -> None:
    one, two = scene.process(), scene.process()
    scene.ahead = -HOUR
    one.check()
    scene.ahead += again
    for process in (two, one, two, one, two, one):
        process.check()
        assert near(process)
    assert near(scene.process())
    assert log.getvalue().count("redis_clock_stepped") == 2


def test_who_started_after_the_step_takes_the_correction_of_others(scene: Scene) -> None:
    one = scene.process()
    scene.ahead = HOUR
    newcomer = scene.process(0)
    assert near(newcomer, HOUR)
    one.check()
    newcomer.check()
    assert near(newcomer)
    one.check()
    assert near(one)


def test_who_has_known_the_clock_only_since_it_stepped_back_contradicts_nobody(
    scene: Scene, log: io.StringIO
) -> None:
    one = scene.process()
    scene.ahead = -HOUR
    # Redis took no writes for so long that nobody could correct it.
    newcomer = scene.process(60)
    assert near(newcomer, -HOUR)
    for process in (one, newcomer, one, newcomer):
        process.check()
        assert near(process)
    assert log.getvalue().count("redis_clock_stepped") == 1


def test_a_correction_that_redis_lost_is_made_again(scene: Scene, redis_url: str) -> None:
    one, two = scene.process(), scene.process()
    scene.ahead = HOUR
    one.check()
    two.check()
    redis.Redis.from_url(redis_url).flushall()
    for process in (two, one, two):
        process.check()
        assert near(process)
    assert near(scene.process())


@pytest.mark.parametrize("by", [HOUR, -HOUR])
def test_the_correction_of_an_old_backup_is_taken_back(scene: Scene, redis_url: str, by: float) -> None:
    server: Any = redis.Redis.from_url(redis_url)
    lives = scene.process()
    scene.ahead = 60.0
    lives.check()
    lives.check()
    backup = server.hgetall(CLOCK)
    scene.ahead += by
    lives.check()
    lately = scene.process(0.0)
    server.delete(CLOCK)
    server.hset(CLOCK, mapping=backup)
    newcomer = scene.process(0.0)
    for process in (lately, lives, newcomer):
        process.check()
        assert near(process)


def test_a_host_that_stood_still_is_contradicted(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    stood, other = scene.process(), scene.process()
    lead, real = 0.0, clock.even_seconds
    monkeypatch.setattr(clock, "even_seconds", lambda: real() + lead)
    # An hour passes, which one host does not count: it looks like a step of Redis's clock.
    scene.ahead = HOUR
    stood.check()
    lead = HOUR
    other.check()
    assert near(other, HOUR)
    lead = 0.0
    stood.check()
    assert near(stood, HOUR)
    lead = HOUR
    other.check()
    assert near(other, HOUR)
    assert near(scene.process(), HOUR)
    assert log.getvalue().count("redis_clock_stepped") == 2


def test_what_was_told_while_a_process_was_stopped_counts_for_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    one = scene.process()
    times, real = iter([0.0]), clock.even_seconds
    monkeypatch.setattr(clock, "even_seconds", lambda: real() + next(times, 20.0))
    # Stopped for 20 s while it asks, so that it can't tell by how much the clock has stepped.
    scene.ahead = HOUR
    one.check()
    assert not redis.Redis.from_url(redis_url).exists(CLOCK)
    scene.ahead = HOUR + 20
    one.check()
    assert near(one, 20)
    assert near(scene.process(), 20)


def test_time_is_read_again_within_seconds(scene: Scene) -> None:
    one = scene.process()
    scene.ahead = 1.5
    one._checked -= 10
    assert near(one, 1.5)


def test_time_goes_on_evenly_though_redis_takes_no_writes(scene: Scene, monkeypatch: Any) -> None:
    one = scene.process()
    scene.ahead = HOUR
    client: Any = redis.Redis.from_url(scene.url)
    client.execute_command("ACL", "SETUSER", "default", "-@write")
    try:
        one.check()
    finally:
        client.execute_command("ACL", "SETUSER", "default", "+@all")
    assert near(one)
    one.check()
    assert near(one)
    assert one.correction == 0.0
    one.check()
    assert abs(one.correction + HOUR) < 0.5
