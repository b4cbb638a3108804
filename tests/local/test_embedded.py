"""The embedded server keeps what it was told, whatever happens to it."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from local.embedded import EmbeddedRedis, free_port
from tests.stories.stack import on_disk


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., EmbeddedRedis]]:
    """Starts servers over the same directory, ended when the test is over."""
    servers: list[EmbeddedRedis] = []

    def make(port: int = 0) -> EmbeddedRedis:
        servers.append(EmbeddedRedis(tmp_path / "data", port))
        return servers[-1].start()

    yield make
    for server in servers:
        server.kill()


Start = Callable[..., EmbeddedRedis]


def client_of(server: EmbeddedRedis) -> redis.Redis:
    return redis.Redis.from_url(server.url, decode_responses=True)


def test_data_survive_a_kill_and_a_restart(start: Start) -> None:
    server = start()
    client = client_of(server)
    client.set("incident", "pending")
    on_disk(client)
    server.kill()
    server.start()
    assert client.get("incident") == "pending"


def test_what_was_written_last_survives_an_orderly_end(start: Start) -> None:
    server = start()
    client_of(server).set("incident", "pending")
    server.stop()
    server.start()
    assert client_of(server).get("incident") == "pending"


def test_another_process_over_the_same_directory_finds_the_data(start: Start) -> None:
    first = start()
    client_of(first).set("incident", "pending")
    first.stop()
    second = start()
    assert client_of(second).get("incident") == "pending"


def test_it_answers_as_soon_as_it_has_started(start: Start) -> None:
    assert client_of(start()).ping()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("appendonly", "yes"),
        ("appendfsync", "everysec"),
        ("maxmemory-policy", "noeviction"),
        ("bind", "127.0.0.1"),
    ],
)
def test_it_forgets_nothing_and_listens_to_this_machine_alone(start: Start, setting: str, value: str) -> None:
    assert client_of(start()).config_get(setting) == {setting: value}


def test_it_ends_for_good(start: Start) -> None:
    server = start()
    server.stop()
    assert isinstance(server.process, subprocess.Popen)
    assert server.process.poll() is not None
    with pytest.raises(redis.ConnectionError):
        client_of(server).ping()


def test_ending_it_twice_is_no_error(start: Start) -> None:
    server = start()
    server.kill()
    server.kill()
    server.stop()
    assert server.process is not None
    assert server.process.poll() == -signal.SIGKILL


def test_a_port_that_is_taken_is_told_with_where_to_look(start: Start, tmp_path: Path) -> None:
    taken = start()
    with pytest.raises(RuntimeError, match=r"did not start; see .*server\.log"):
        EmbeddedRedis(tmp_path / "other", taken.port).start()


def test_a_free_port_is_free() -> None:
    assert 1024 <= free_port() <= 65535
