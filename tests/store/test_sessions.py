"""Logins: which live, and how often an address may try."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import redis

from app.store import Store
from app.store.sessions import ATTEMPTS, IDLE_SECONDS, LOGINS, SESSION

NOW = datetime(2026, 3, 4, 3, 0, tzinfo=UTC)


def test_a_login_lives_until_it_is_ended(store: Store) -> None:
    assert not store.sessions.lives("one")
    store.sessions.begin("one")
    assert store.sessions.lives("one")
    assert not store.sessions.lives("another")
    store.sessions.end("one")
    assert not store.sessions.lives("one")


def test_a_login_ends_when_it_is_not_used_and_each_use_prolongs_it(store: Store, redis_url: str) -> None:
    client: Any = redis.Redis.from_url(redis_url)
    store.sessions.begin("one")
    began, now = float(client.get(SESSION + "one")), store.now().timestamp()
    assert abs(now - began) < 5
    client.set(SESSION + "one", now - IDLE_SECONDS + 60)
    assert store.sessions.lives("one")
    assert float(client.get(SESSION + "one")) >= began
    client.set(SESSION + "one", now - IDLE_SECONDS - 1)
    assert not store.sessions.lives("one")


def test_an_address_has_so_many_attempts_a_minute(store: Store, redis_url: str) -> None:
    store.clock.now = lambda: NOW  # type: ignore[method-assign]
    assert [store.sessions.may_try("1.2.3.4") for _ in range(ATTEMPTS + 2)] == [True] * ATTEMPTS + [False] * 2
    assert store.sessions.may_try("1.2.3.5")
    client = redis.Redis.from_url(redis_url)
    # As it is after that minute.
    client.delete(*client.keys(LOGINS + "1.2.3.4:*"))
    assert store.sessions.may_try("1.2.3.4")


def test_without_a_secret_all_processes_sign_links_with_one_random_key(redis_url: str) -> None:
    keys = {Store(redis_url).sessions.link_key() for _ in range(3)}
    [key] = keys
    assert len(key) == 64
    redis.Redis.from_url(redis_url).flushdb()
    assert Store(redis_url).sessions.link_key() != key


def test_a_key_that_redis_lost_is_read_again(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = Store(redis_url).sessions, Store(redis_url).sessions
    before = one.link_key()
    redis.Redis.from_url(redis_url).flushdb()
    after = other.link_key()
    assert after != before
    monkeypatch.setattr("app.store.sessions.LINK_KEY_SECONDS", -1.0)
    assert one.link_key() == after
