"""Story: Redis restarts, hangs, is away at the start, moves to another machine, asks for TLS and a user."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
import redis
import requests

from local.embedded import EmbeddedRedis
from local.processes import ROOT, procfile, with_our_programs
from tests.relay import Relay
from tests.stories.sentinels import Sentinels
from tests.stories.stack import Stack, answered_within, wait_until
from tests.tls import certificates

QUEUE = "versus:broker:versus"

# What the worker held is not lost, anyone who finds it.
SOON = 30.0

# A request waits 2 s for Redis, and a try that began before may end after.
ANSWERED_WITHIN = 5.0

GRANT = (
    "on resetkeys ~versus:* resetchannels -@all +@connection +@read +@write +@transaction +@scripting +time"
)
"""What docs/redis.md grants; it takes away `@dangerous` again, but for INFO."""

S = TypeVar("S", bound=Stack)


@contextmanager
def running(stack: S) -> Iterator[S]:
    """A stack that is stopped at the end."""
    try:
        yield stack
    finally:
        stack.stop()


def late_by(shown: dict[str, Any]) -> float:
    """Seconds from when the page was due until it was out."""
    due_at, escalated_at = (datetime.fromisoformat(shown[name]) for name in ("due_at", "escalated_at"))
    return (escalated_at - due_at).total_seconds()


def pages_again(stack: Stack) -> None:
    """A new incident is paged, and not only because the sweep takes over what is late."""
    stack.ready()

    def by_a_message() -> bool:
        incident = stack.wait_for_state(stack.report(1), "escalated")
        return not any("delivered_by_sweeper" in line and incident["id"] in line for line in lines(stack))

    wait_until(by_a_message, "a worker takes a message")


def lines(stack: Stack) -> list[str]:
    return stack.log.read_text().splitlines()


def hold(stack: Stack, *waits: float) -> list[dict[str, Any]]:
    """Incidents whose messages a worker holds in its memory until they are due."""
    held = [stack.report(wait) for wait in waits]
    client = redis.Redis.from_url(stack.redis.url)
    wait_until(lambda: client.llen(QUEUE) == 0, "a worker holds the messages")
    # In its memory alone: what kombu keeps of them in Redis costs much, and has ended workers.
    assert client.keys("versus:broker:unacked*") == []
    return held


def said(stack: Stack, words: str) -> int:
    """How often the log says so."""
    return stack.log.read_text().count(words)


# -- a restart ----------------------------------------------------------------------------------------


def kill(stack: Stack) -> None:
    stack.redis.kill()
    wait_until(lambda: said(stack, "Cannot connect to redis") >= 2, "the worker has failed more than once")
    stack.redis.start()


def stop(stack: Stack) -> None:
    stack.redis.stop()
    stack.redis.start()


def cut(stack: Stack) -> None:
    redis.Redis.from_url(stack.redis.url).client_kill_filter(skipme=True, _type="normal")


@pytest.mark.parametrize("happens", [kill, stop, cut])
def test_a_worker_that_holds_messages_goes_on_after_redis(
    happens: Callable[[Stack], None], own: Callable[..., Stack]
) -> None:
    stack = own()
    soon, _ = hold(stack, 6, 600)
    happens(stack)
    pages_again(stack)
    assert late_by(stack.wait_for_state(soon, "escalated")) < SOON
    assert stack.workers[0].lives()
    assert len(stack.simulator.events()) == 2


class WithoutFlags(Stack):
    """Its worker was started by hand, without what the Procfile switches off."""

    def start_worker(self) -> subprocess.Popen[bytes]:
        command = procfile()["worker"].partition(" --without")[0]
        with self.log.open("ab") as log:
            worker = subprocess.Popen(
                command.split(), cwd=ROOT, env=with_our_programs(self._environ), stdout=log, stderr=log
            )
        self._parts.callback(worker.wait)
        self._parts.callback(worker.kill)
        return worker


def test_a_worker_that_gossips_goes_on_too(tmp_path: Path) -> None:
    with running(WithoutFlags(tmp_path, workers=0)) as stack:
        worker = stack.start_worker()
        hold(stack.ready(), 600)
        kill(stack)
        pages_again(stack)
        # Where kombu keeps its own books of messages, giving them back here has ended a worker.
        assert worker.poll() is None


# -- away, or silent ----------------------------------------------------------------------------------


def test_web_and_worker_start_while_redis_is_away_and_work_once_it_is_there(tmp_path: Path) -> None:
    with running(Stack(tmp_path, workers=0)) as stack:
        stack.web.stop()
        stack.redis.kill()
        stack.web, worker = stack.start("web"), stack.start("worker")
        wait_until(lambda: said(stack, "Cannot connect to redis") >= 2, "the worker says what it waits for")
        wait_until(lambda: answers(f"{stack.base}/healthz"), "web is up")
        wait_until(lambda: said(stack, "redis_away"), "web says what it waits for")
        assert stack.post({"title": "Disk full"}).status_code == 202
        assert not stack.is_ready()
        stack.redis.start()
        pages_again(stack)
        assert worker.lives()
        # Once, by one of the web processes, not at every look.
        wait_until(lambda: said(stack, "redis_there"), "web says that it is there")
        assert (said(stack, "redis_away"), said(stack, "redis_there")) == (1, 1)


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=60).ok
    except requests.ConnectionError:
        return False


def test_a_redis_that_hangs_costs_web_little_and_the_worker_nothing_for_good(
    own: Callable[..., Stack],
) -> None:
    stack = own()
    [soon] = hold(stack, 6)
    assert stack.redis.process is not None
    stack.redis.process.send_signal(signal.SIGSTOP)
    paged = answered_within(ANSWERED_WITHIN, lambda: stack.post({"title": "Disk full"}))
    refused = answered_within(
        ANSWERED_WITHIN, lambda: stack.post({"title": "Disk full"}, oncall_enable="false")
    )
    ready = answered_within(ANSWERED_WITHIN, lambda: requests.get(f"{stack.base}/readyz", timeout=60))
    assert (paged.status_code, refused.status_code, ready.status_code) == (202, 503, 503)
    stack.redis.process.send_signal(signal.SIGCONT)
    pages_again(stack)
    assert late_by(stack.wait_for_state(soon, "escalated")) < SOON


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A Redis that is reached through a relay."""
    server = EmbeddedRedis(tmp_path / "behind").start()
    yield server
    server.kill()


def test_connections_that_are_half_open_are_found_out(
    behind: EmbeddedRedis, own: Callable[..., Stack]
) -> None:
    relay = Relay(behind.port)
    stack = own(config={"redis": {"host": "127.0.0.1", "port": relay.port}})
    relay.freeze()
    answer = answered_within(
        ANSWERED_WITHIN, lambda: stack.post({"title": "Disk full"}, oncall_wait_minutes=0)
    )
    assert answer.status_code == 201
    stack.wait_for_state(answer.json()["incident"], "escalated")
    # The consumer notices on its own, and consumes again.
    wait_until(lambda: said(stack, "dropping stale connection"), "the consumer notices")
    pages_again(stack)
    relay.stop()


# -- somewhere else, and guarded ----------------------------------------------------------------------


def test_it_works_through_tls_as_a_user_with_few_rights(
    behind: EmbeddedRedis, own: Callable[..., Stack], tmp_path: Path
) -> None:
    tls = certificates(tmp_path)
    relay = Relay(behind.port, tls.server)
    admin: Any = redis.Redis.from_url(behind.url, decode_responses=True)
    admin.execute_command("ACL", "SETUSER", "pager", ">p/w:7", *GRANT.split(), "-@dangerous", "+info")
    url = f"rediss://pager:p%2Fw%3A7@localhost:{relay.port}/0?ssl_ca_certs={tls.ca}"
    stack = own(config={"redis": {"url": url}})
    stack.acknowledge(stack.report(600))
    pages_again(stack)
    stack.post([])
    relay.cut()
    pages_again(stack)
    assert stack.workers[0].stop() == 0
    assert admin.acl_log() == []
    assert all(key.startswith("versus:") for key in admin.scan_iter())
    assert "p/w:7" not in stack.log.read_text()
    assert "p%2Fw%3A7" not in stack.log.read_text()
    relay.stop()


def test_after_a_failover_web_stores_and_the_worker_pages_without_a_restart(tmp_path: Path) -> None:
    sentinels = Sentinels(tmp_path / "sentinels")
    try:
        sentinels.start()
        with running(Stack(tmp_path, config={"redis": {"url": sentinels.url}})) as stack:
            statuses: list[int] = []

            def stored() -> bool:
                statuses.append(stack.post({"title": "Disk full"}).status_code)
                return statuses[-1] == 201

            soon = stack.ready().report(6)
            master = sentinels.master_port()
            sentinels.kill_master()
            # Nothing is lost in between: what can't be stored is paged at once.
            wait_until(stored, "web stores again")
            assert set(statuses) <= {201, 202}
            pages_again(stack)
            assert late_by(stack.wait_for_state(soon, "escalated")) < SOON
            assert sentinels.master_port() == sentinels.replica_port != master
            assert stack.workers[0].lives()
    finally:
        sentinels.stop()
