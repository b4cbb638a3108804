"""What tests share: a real Redis-compatible server, emptied before each test that asks for it."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import settings

from app import telemetry
from app.ack_links import AckLinks
from app.bootstrap import Services
from app.destinations.channels import Channels
from app.store import Store
from app.task_queue import TaskQueue
from config import load_config
from local.embedded import EmbeddedRedis
from tests.fakes import Clock, RecordingProvider, environment
from tests.relay import Relay
from tests.tls import Certificates, certificates

# A busy machine is no failure. Everybody's own runs try new examples each time; a commit is judged by the
# same ones each time, so that it fails by what it changed.
settings.register_profile(
    "versus", deadline=None, derandomize=bool(os.environ.get("VERSUS_REQUIRE_ALL_TESTS"))
)
settings.load_profile("versus")


# Long files begin first, or all others are over long before them. Two that need much of the machine stand
# apart, with some in between that mostly wait.
FIRST = (
    "stories/test_storm.py",
    "stories/test_readiness.py",
    "stories/test_redis_refuses.py",
    "stories/test_redis_lost_data.py",
    "stories/test_redis.py",
    "stories/test_storm_without_limit.py",
    "stories/test_after_the_page.py",
    "stories/test_crashes.py",
    "chaos/test_chaos.py",
    "stories/test_alertmanager.py",
    "stories/test_redis_read_only.py",
    "stories/test_heroku.py",
    "stories/test_large_arrays.py",
    "stories/test_dashboard.py",
    "stories/test_clock_steps.py",
    "stories/test_secret_rotated.py",
    "stories/test_log_unread.py",
    "local/test_demo.py",
    "test_model.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of `FIRST`, the other stories, which mostly wait, and then what mostly computes."""
    places = {Path(__file__).parent / name: place for place, name in enumerate(FIRST)}

    def place(item: pytest.Item) -> int:
        story = item.path.parent.name in ("stories", "local", "deploy")
        return places.get(item.path, len(FIRST) + (not story))

    items.sort(key=place)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """One server for the whole run (of one test process)."""
    directory: Path = tmp_path_factory.mktemp("redis")
    embedded = EmbeddedRedis(directory).start()
    yield embedded
    embedded.stop()


@pytest.fixture
def redis_url(server: EmbeddedRedis) -> str:
    """The address of an empty database."""
    redis.Redis.from_url(server.url).flushall()
    return server.url


@pytest.fixture
def store(redis_url: str) -> Store:
    """A store over an empty database."""
    return Store(redis_url)


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def provider() -> RecordingProvider:
    """A provider that pages nobody."""
    return RecordingProvider()


@pytest.fixture
def services(redis_url: str, clock: Clock, provider: RecordingProvider) -> Services:
    """Services over a real, empty Redis, with a clock to wind and a recording provider."""
    config = load_config(environ=environment(redis_url))
    return Services(
        config=config,
        store=Store(redis_url),
        task_queue=TaskQueue(redis_url),
        providers={provider.name: provider},
        channels=Channels(config.channels, {}),
        links=AckLinks(config.link_key or Store(redis_url).sessions.link_key, config.public_base),
        clock=clock,
    )


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority of our own and what it signed."""
    return certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def secure(server: EmbeddedRedis, tls: Certificates) -> Iterator[Relay]:
    """The server behind TLS."""
    relay = Relay(server.port, tls.server)
    yield relay
    relay.stop()


@pytest.fixture
def log_without() -> Iterator[Callable[..., io.StringIO]]:
    """Sends the log, without these secrets, into a text that grows; afterwards all is as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def configure(*secrets: str) -> io.StringIO:
        stream = io.StringIO()
        telemetry.configure(secrets, stream)
        return stream

    yield configure
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def log(log_without: Callable[..., io.StringIO]) -> io.StringIO:
    """What is logged from here on."""
    return log_without()
