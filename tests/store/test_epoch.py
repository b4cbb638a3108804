"""What a process notices of what Redis lost: over a real server, with processes of its own."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from app.store import Store
from app.store.epoch import Epoch, Loss
from app.store.keys import VERSION


@pytest.fixture
def client(redis_url: str) -> Any:
    return redis.Redis.from_url(redis_url, decode_responses=True)


@pytest.fixture
def one(redis_url: str, client: Any) -> Epoch:
    """A process that knows Redis, with a hundred writes."""
    client.set(VERSION, 100)
    return knowing(redis_url)


def knowing(redis_url: str) -> Epoch:
    epoch = Store(redis_url).epoch
    for _ in range(3):
        assert epoch.check() is None
    return epoch


def found(loss: Loss | None) -> Loss:
    assert loss is not None
    return loss


def test_a_first_start_is_silent(redis_url: str) -> None:
    assert knowing(redis_url).loss() is None
    assert knowing(redis_url).loss() is None


def test_an_emptied_server_is_noticed_with_what_was_pending(one: Epoch, client: Any) -> None:
    client.zadd("versus:state:pending", {"a": 1, "b": 2})
    assert one.check() is None
    client.flushall()
    loss = found(one.check())
    assert (loss.whole, loss.pending) == (True, 2)
    assert one.check() is None
    assert one.loss() == loss


def test_another_server_is_noticed_though_somebody_knows_it_already(
    one: Epoch, client: Any, redis_url: str
) -> None:
    client.flushall()
    newcomer = knowing(redis_url)
    assert found(one.check()).whole
    # It never knew what was lost, and goes on.
    assert newcomer.check() is None


def test_of_several_processes_one_reports(one: Epoch, client: Any, redis_url: str) -> None:
    two = knowing(redis_url)
    client.flushall()
    assert found(one.check()).whole
    assert two.check() is None
    assert two.loss() == one.loss()
    assert two.check() is None


def test_an_old_backup_is_noticed_by_its_fewer_writes(one: Epoch, client: Any) -> None:
    client.set(VERSION, 50)
    assert found(one.check()).whole


def test_fewer_writes_than_a_moment_ago_are_the_last_moments_alone(one: Epoch, client: Any) -> None:
    client.set(VERSION, 150)
    assert one.check() is None
    client.set(VERSION, 120)
    assert not found(one.check()).whole


def test_another_epoch_is_no_last_moment(one: Epoch, client: Any) -> None:
    client.hset("versus:epoch", "id", "another")
    client.set(VERSION, 500)
    assert found(one.check()).whole


def test_a_loss_that_nobody_reported_is_reported_by_the_next(one: Epoch, client: Any, redis_url: str) -> None:
    client.flushall()
    found(one.check())
    at = float(client.hget("versus:epoch", "at"))
    next_one = knowing(redis_url)
    client.hset("versus:epoch", "at", at - 10)
    loss = found(next_one.check())
    next_one.reported(loss, "an-incident")
    assert next_one.check() is None
    assert found(one.loss()).incident_id == "an-incident"
