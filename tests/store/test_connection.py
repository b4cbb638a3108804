"""The connection: TLS, users, servers that are away, hang or cut it off, and no wait beyond its patience."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import redis

from app.store import Store, StoreRefusesWrites, StoreUnavailable
from app.store.connection import Connection
from local.embedded import EmbeddedRedis, free_port
from tests.relay import Relay
from tests.tls import Certificates

PASSWORD = "p/w#7?f@2:e"
QUOTED = "p%2Fw%237%3Ff%402%3Ae"


@pytest.fixture
def relay(server: EmbeddedRedis) -> Iterator[Relay]:
    relay = Relay(server.port)
    yield relay
    relay.stop()


@pytest.fixture
def user(redis_url: str) -> Iterator[str]:
    """A user whose password has every character that a URL must quote."""
    admin = redis.Redis.from_url(redis_url)
    admin.acl_setuser(
        "pager", enabled=True, passwords=f"+{PASSWORD}", keys=["versus:*"], categories=["+@all"]
    )
    yield "pager"
    admin.acl_deluser("pager")


def connection(url: str, *, retry_seconds: float = 1.0, timeout: float = 0.3) -> Connection:
    return Connection(url, retry_seconds=retry_seconds, timeout=timeout)


# -- TLS and users ------------------------------------------------------------------------------------


def test_it_speaks_tls_with_a_private_certificate_authority(secure: Relay, tls: Certificates) -> None:
    url = f"rediss://localhost:{secure.port}/0?ssl_ca_certs={tls.ca}"
    assert connection(url).call("PING") is True


@pytest.mark.parametrize(
    ("host", "trusted", "why"),
    [
        ("localhost", False, "unable to get local issuer certificate"),
        ("127.0.0.1", True, "IP address mismatch"),
    ],
)
def test_it_refuses_a_certificate_that_proves_nothing(
    host: str, trusted: bool, why: str, secure: Relay, tls: Certificates
) -> None:
    url = f"rediss://{host}:{secure.port}/0" + (f"?ssl_ca_certs={tls.ca}" if trusted else "")
    with pytest.raises(StoreUnavailable, match=f"its certificate was not accepted: .*{why}"):
        connection(url).call("PING")


def test_only_an_explicit_word_switches_verification_off(secure: Relay) -> None:
    assert connection(f"rediss://localhost:{secure.port}/0?ssl_cert_reqs=none").call("PING") is True


def test_it_says_so_when_a_plain_server_is_asked_for_tls(redis_url: str) -> None:
    with pytest.raises(StoreUnavailable, match="can't be reached"):
        connection(redis_url.replace("redis://", "rediss://")).call("PING")


def test_it_logs_in_as_a_user(redis_url: str, user: str) -> None:
    url = redis_url.replace("://", f"://{user}:{QUOTED}@")
    assert connection(url).call("ACL", "WHOAMI") == user


@pytest.mark.parametrize("credentials", ["pager:wrong-pw-11", "nobody:wrong-pw-11", ":wrong-pw-11"])
def test_wrong_credentials_are_named_as_such_and_not_shown(
    credentials: str, redis_url: str, user: str
) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        connection(redis_url.replace("://", f"://{credentials}@")).call("PING")
    assert "it refuses the user name or the password" in str(caught.value)
    assert "wrong-pw-11" not in str(caught.value)


def test_a_missing_right_is_named(redis_url: str, user: str) -> None:
    url = redis_url.replace("://", f"://{user}:{QUOTED}@")
    with pytest.raises(StoreUnavailable, match=r"(?i)refuses to work: .*no permissions to access"):
        connection(url).call("GET", "another:key")


@pytest.mark.parametrize(
    ("name", "value", "usual"), [("maxmemory", "1", "0"), ("min-replicas-to-write", "1", "0")]
)
def test_a_server_that_may_not_write_is_tried_for_two_seconds_at_most(
    name: str, value: str, usual: str, redis_url: str
) -> None:
    admin = redis.Redis.from_url(redis_url)
    client = connection(redis_url, retry_seconds=30)
    admin.config_set(name, value)
    began = time.monotonic()
    try:
        with pytest.raises(StoreRefusesWrites, match="refuses to work"):
            client.call("SET", "versus:x", "1")
    finally:
        admin.config_set(name, usual)
    assert 1.5 < time.monotonic() - began < 15
    client.call("SET", "versus:x", "1")


def test_it_waits_for_the_first_write_that_works(redis_url: str) -> None:
    admin: Any = redis.Redis.from_url(redis_url, decode_responses=True)
    client = connection(redis_url, retry_seconds=60)
    admin.config_resetstat()
    admin.config_set("min-replicas-to-write", "1")
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(client.call, "SET", "versus:x", "1")
        while "errorstat_NOREPLICAS" not in admin.info("errorstats"):
            assert not answer.done()
        admin.config_set("min-replicas-to-write", "0")
        assert answer.result(60) is True


def test_the_database_of_the_url_is_used(redis_url: str) -> None:
    connection(redis_url[:-1] + "3").call("SET", "versus:x", "1")
    assert redis.Redis.from_url(redis_url[:-1] + "3").exists("versus:x") == 1
    assert redis.Redis.from_url(redis_url).exists("versus:x") == 0


def failed_after(ask: Callable[[], object], words: str, limit: float) -> float:
    """Seconds until it failed with these words: fewer than `limit` once of three times.

    What waits too long does so each time, a busy machine does not.
    """
    took = []
    for _ in range(3):
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match=words):
            ask()
        took.append(time.monotonic() - began)
        if took[-1] < limit:
            return took[-1]
    pytest.fail(f"it failed after {took} s")


# -- away, hanging, cut off ---------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["redis", "rediss", "sentinel"])
def test_a_server_that_is_away_costs_no_more_than_its_patience(scheme: str) -> None:
    client = connection(f"{scheme}://127.0.0.1:{free_port()}/0", retry_seconds=0.5)
    assert failed_after(lambda: client.call("PING"), "can't be reached", 1.5) > 0.2


class Silent(Relay):
    """A server that takes connections and reads, and never answers."""

    def __init__(self) -> None:
        super().__init__(free_port())

    def _serve(self, client: socket.socket) -> None:
        with client:
            while client.recv(1024):
                pass


@pytest.fixture
def silent() -> Iterator[Silent]:
    silent = Silent()
    yield silent
    silent.stop()


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:{0}/0", "sentinel://127.0.0.1:{0},127.0.0.1:{0},127.0.0.1:{0}/0"]
)
def test_a_server_that_never_answers_costs_no_more_than_its_patience(url: str, silent: Silent) -> None:
    store = Store(url.format(silent.port), retry_seconds=0.9, timeout=0.3)
    failed_after(store.delivery_queue.oldest_due, "can't be reached", 1.3)


def test_it_waits_until_the_server_is_back(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path).start()
    client = connection(server.url, retry_seconds=60)
    client.call("SET", "versus:x", "1")
    server.kill()
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(client.call, "GET", "versus:x")
        server.start()
        assert answer.result(60) == "1"
    server.kill()


def test_a_connection_that_was_cut_is_replaced_unseen(relay: Relay) -> None:
    client = connection(f"redis://127.0.0.1:{relay.port}/0")
    client.call("PING")
    relay.cut()
    assert client.call("PING") is True


def test_a_half_open_connection_is_replaced_within_its_patience(relay: Relay) -> None:
    client = connection(f"redis://127.0.0.1:{relay.port}/0", retry_seconds=1.8, timeout=0.4)

    all_are_connected = Barrier(5)
    with ThreadPoolExecutor(5) as pool:
        ping_together = lambda ask: (ask([("PING",)]), all_are_connected.wait())  # noqa: E731
        list(pool.map(lambda _: client.run(ping_together), range(5)))
    relay.freeze()
    # More connections are half open than tries fit into its patience.
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda _: client.call("PING"), range(5)))
    assert answers == [True] * 5


def test_a_late_answer_is_not_taken_for_that_of_another_command(relay: Relay) -> None:
    client = connection(f"redis://127.0.0.1:{relay.port}/0", retry_seconds=0.1, timeout=0.3)
    client.call("SET", "versus:x", "late")
    relay.latency = 0.5
    with pytest.raises(StoreUnavailable):
        client.call("GET", "versus:x")
    relay.latency = 0.0
    assert connection(f"redis://127.0.0.1:{relay.port}/0").call("GET", "versus:x") == "late"
    assert client.call("ECHO", "now") == "now"


def test_threads_wait_for_a_connection_no_longer_than_their_patience(redis_url: str) -> None:
    client = Connection(redis_url, retry_seconds=0.5, timeout=3, connections=1)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.call, "BLPOP", "versus:nothing", 1)
        while not redis.Redis.from_url(redis_url).info("clients")["blocked_clients"]:
            assert not waiting.done()
        with pytest.raises(StoreUnavailable, match="all connections to it are waiting"):
            client.call("PING")
        assert waiting.result() is None
    assert client.call("PING") is True


def test_a_server_that_forgot_a_script_is_sent_it_again(redis_url: str) -> None:
    client = connection(redis_url)
    add = client.script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    assert add(["versus:sum"], [1]) == 1
    redis.Redis.from_url(redis_url).script_flush()
    assert add.each([(["versus:sum"], [2]), (["versus:sum"], [3])]) == [3, 6]


def test_all_that_a_request_asks_shares_one_deadline() -> None:
    client = connection(f"redis://127.0.0.1:{free_port()}/0", retry_seconds=10)
    began = time.monotonic()
    with client.deadline(0.5):
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                client.call("PING")
    # Each by itself would have 10 s.
    assert time.monotonic() - began < 9
