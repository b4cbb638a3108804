"""The way to the broker: which servers, users and certificates, and how long anybody waits for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from celery import Celery
from kombu import Queue
from kombu.exceptions import OperationalError
from kombu.transport.redis import SentinelChannel
from kombu.utils import functional

from app.store import Stored
from app.task_queue import PUBLISH_TIMEOUT, TaskQueue, broker_settings
from local.embedded import EmbeddedRedis, free_port
from tasks import kombu_workarounds
from tests.factories import opened
from tests.relay import Relay
from tests.stories.stack import wait_until
from tests.tls import Certificates

NOW = datetime(2026, 3, 4, 3, 0, tzinfo=UTC)
QUEUE_PREFIX = "versus:broker:"
QUEUE = QUEUE_PREFIX + "versus"


def connection(url: str) -> Any:
    """What Celery makes of our settings; not connected."""
    celery = Celery("test", amqp=kombu_workarounds.Broker, set_as_current=False)
    celery.conf.update(broker_settings(url))
    return celery.connection_for_read()


# -- TLS, users, sentinels ----------------------------------------------------------------------------


def test_a_message_goes_through_tls_with_a_private_certificate_authority(
    secure: Relay, tls: Certificates, redis_url: str
) -> None:
    assert TaskQueue(f"rediss://localhost:{secure.port}/0?ssl_ca_certs={tls.ca}").enqueue("id-1", 0)
    assert redis.Redis.from_url(redis_url).llen(QUEUE) == 1


@pytest.mark.parametrize(("host", "query"), [("localhost", ""), ("127.0.0.1", "?ssl_ca_certs={}")])
def test_no_message_goes_to_a_server_that_proves_nothing(
    host: str, query: str, secure: Relay, tls: Certificates, redis_url: str
) -> None:
    # Left alone, kombu takes any certificate for a rediss:// URL without parameters.
    assert not TaskQueue(f"rediss://{host}:{secure.port}/0{query.format(tls.ca)}").enqueue("id-1", 0)
    assert redis.Redis.from_url(redis_url).llen(QUEUE) == 0


def test_kombu_gets_user_password_and_database_as_they_are() -> None:
    made = connection("redis://us%40er:p%2Fw%3B%23@[::1]:6380/2")
    assert (made.userid, made.password, made.virtual_host) == ("us@er", "p/w;#", "2")
    assert (made.hostname, made.port) == ("::1", 6380)
    assert not made.ssl


def test_kombu_gets_every_sentinel_each_with_the_credentials_of_redis() -> None:
    made = connection("sentinel://:p%3Bw@one,two:5000/3?master_name=pager&sentinel_password=s%3Fw")
    assert made.alt == ["sentinel://:p%3Bw@one:26379/3", "sentinel://:p%3Bw@two:5000/3"]
    assert made.password == "p;w"
    assert made.transport_options["master_name"] == "pager"
    sentinel = made.transport_options["sentinel_kwargs"]
    assert (sentinel["username"], sentinel["password"], sentinel.get("ssl")) == (None, "s?w", None)


def test_with_sentinels_tls_is_for_them_and_for_redis() -> None:
    made = connection("sentinel://one/0?ssl=true")
    assert made.ssl == {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
    assert made.transport_options["sentinel_kwargs"]["ssl"] is True
    assert made.transport_options["sentinel_kwargs"]["ssl_cert_reqs"] == "required"


# -- nobody waits long --------------------------------------------------------------------------------


def stored(count: int) -> list[Stored]:
    due_at = NOW + timedelta(minutes=3)
    return [Stored(opened(f"id-{n}", due_at=due_at), due_at) for n in range(count)]


@pytest.fixture
def silent(server: EmbeddedRedis) -> Iterator[Relay]:
    """A server that has gone silent on every connection."""
    relay = Relay(server.port)
    yield relay
    relay.stop()


def test_a_broker_that_is_away_costs_a_request_one_try_however_many_messages_it_has() -> None:
    task_queue = TaskQueue(f"redis://127.0.0.1:{free_port()}/0")
    began = time.monotonic()
    task_queue.enqueue_stored(stored(50), NOW)
    assert time.monotonic() - began < 10 * PUBLISH_TIMEOUT


def test_a_broker_that_hangs_costs_a_request_one_try_however_many_messages_it_has(silent: Relay) -> None:
    task_queue = TaskQueue(f"redis://127.0.0.1:{silent.port}/0")
    assert task_queue.enqueue("id-1", 0)
    silent.freeze()
    began = time.monotonic()
    task_queue.enqueue_stored(stored(50), NOW)
    # A try for each message would need fifty times as long.
    assert time.monotonic() - began < 10 * PUBLISH_TIMEOUT


def test_messages_are_published_again_soon_after_a_failure(silent: Relay) -> None:
    task_queue = TaskQueue(f"redis://127.0.0.1:{silent.port}/0")
    assert task_queue.enqueue("id-1", 0)
    silent.freeze()
    assert not task_queue.enqueue("id-2", 0)
    wait_until(lambda: task_queue.enqueue("id-3", 0), "a message is published")


@pytest.mark.parametrize(
    ("name", "value", "usual"), [("maxmemory", "1", "0"), ("min-replicas-to-write", "1", "0")]
)
def test_a_broker_that_refuses_costs_a_message_and_no_error(
    name: str, value: str, usual: str, redis_url: str
) -> None:
    admin: Any = redis.Redis.from_url(redis_url)
    known, new = TaskQueue(redis_url), TaskQueue(redis_url)
    assert known.enqueue("id-1", 0)
    admin.config_set(name, value)
    try:
        assert not known.enqueue("id-2", 0)
        assert not new.enqueue("id-3", 0)
    finally:
        admin.config_set(name, usual)


def test_the_consumer_connects_to_a_redis_that_takes_writes(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kombu_workarounds.outlive_refusals()
    admin: Any = redis.Redis.from_url(redis_url)
    said: list[str] = []

    def heal(error: Exception, pause: float) -> None:
        said.append(str(error))
        if len(said) == 2:
            admin.config_set("min-replicas-to-write", "0")

    admin.config_set("min-replicas-to-write", "1")
    monkeypatch.setattr(functional, "sleep", lambda _: None)
    with connection(redis_url) as made:
        before = len(admin.client_list())
        assert made.ensure_connection(heal, 5).connected
        assert ["Not enough good replicas" in one for one in said] == [True, True]
        # What a refused try opened is closed again.
        assert len(admin.client_list()) - before <= 1


def test_the_consumer_is_back_soon_however_long_redis_was_away(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(functional, "sleep", slept.append)
    pauses: list[float] = []
    made = connection(f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(OperationalError):
        made.ensure_connection(lambda _, pause: pauses.append(pause), 8)
    assert pauses == [1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]
    assert sum(slept) == sum(pauses)


# -- what a worker holds -------------------------------------------------------------------------------


def test_what_a_worker_holds_is_in_its_memory_alone(redis_url: str) -> None:
    kombu_workarounds.hold_messages_in_memory()
    assert TaskQueue(redis_url).enqueue("id-1", 600)
    held: list[Any] = []
    with connection(redis_url) as made, made.Consumer(Queue("versus"), on_message=held.append):
        made.drain_events(timeout=5)
        assert redis.Redis.from_url(redis_url).keys(f"{QUEUE_PREFIX}unacked*") == []
        [message] = held
        message.ack()
    assert redis.Redis.from_url(redis_url).llen(QUEUE) == 0


def test_so_it_is_with_sentinels_too() -> None:
    kombu_workarounds.hold_messages_in_memory()
    qos: type = SentinelChannel.QoS
    assert qos is kombu_workarounds.QoS
