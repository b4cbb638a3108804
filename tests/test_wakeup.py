"""The alarm clock: which waits are worth a message, what a message holds, and what no broker means."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from app.alert import Alert
from app.incident import Incident
from app.store import Stored
from app.wakeup import (
    DELIVER,
    LONGEST_COUNTDOWN,
    MOST_AT_ONCE,
    MOST_MESSAGES,
    SLACK_SECONDS,
    Wakeup,
    worth_announcing,
)
from local.embedded import free_port

NOW = datetime(2026, 3, 4, 3, 0, tzinfo=UTC)
QUEUE = "versus:broker:versus"


def waiting(wait: timedelta | None, title: str = "Disk full") -> Incident:
    due_at = None if wait is None else NOW + wait
    alert = Alert(title=title, source="test")
    return Incident.opened("id-1", alert, NOW, due_at=due_at, alert_source="infra")


def messages(url: str) -> list[dict[str, Any]]:
    rows: Any = redis.Redis.from_url(url).lrange(QUEUE, 0, -1)
    return [json.loads(row) for row in rows]


def arguments(message: dict[str, Any]) -> Any:
    """The task's positional arguments."""
    return json.loads(base64.b64decode(message["body"]))[0]


@pytest.mark.parametrize(
    ("wait", "at_once", "pending", "worth"),
    [
        (timedelta(0), 1, 0, True),
        (timedelta(minutes=3), 1, 0, True),
        (timedelta(seconds=-30), 1, 0, True),
        (LONGEST_COUNTDOWN, 1, 0, True),
        (LONGEST_COUNTDOWN + timedelta(microseconds=1), 1, 0, False),
        (timedelta(minutes=3), MOST_AT_ONCE, 0, True),
        (timedelta(minutes=3), MOST_AT_ONCE + 1, 0, False),
        (timedelta(minutes=3), 1, MOST_MESSAGES - 1, True),
        (timedelta(minutes=3), 1, MOST_MESSAGES, False),
        (None, 1, 0, False),
    ],
)
def test_a_message_is_for_short_waits_and_quiet_times(
    wait: timedelta | None, at_once: int, pending: int, worth: bool
) -> None:
    assert worth_announcing(waiting(wait), NOW, at_once=at_once, pending=pending) is worth


def test_a_knock_carries_an_id_and_what_to_say_if_its_record_is_lost(redis_url: str) -> None:
    before = datetime.now(UTC)
    assert Wakeup(redis_url).knock("id-1", 90, "infra", "Disk full")
    [message] = messages(redis_url)
    assert message["headers"]["task"] == DELIVER
    assert arguments(message) == ["id-1", "infra", "Disk full"]
    eta = datetime.fromisoformat(message["headers"]["eta"])
    assert 0 <= (eta - before).total_seconds() - 90 - SLACK_SECONDS < 5


def test_a_knock_for_what_is_late_has_no_countdown(redis_url: str) -> None:
    Wakeup(redis_url).knock("id-1", -0.5)
    [message] = messages(redis_url)
    assert message["headers"]["eta"] is None


def test_a_channel_keeps_one_client_to_publish_with(redis_url: str) -> None:
    wakeup = Wakeup(redis_url)
    wakeup.knock("id-0", 0)
    connected = redis.Redis.from_url(redis_url).info("stats")["total_connections_received"]
    assert all(wakeup.knock(f"id-{n}", 0) for n in range(20))
    # One for `info` itself.
    assert redis.Redis.from_url(redis_url).info("stats")["total_connections_received"] - connected == 1


def test_only_what_is_to_be_announced_is_announced(redis_url: str) -> None:
    stored = [
        Stored(waiting(timedelta(minutes=1), "one"), True),
        Stored(waiting(timedelta(minutes=1), "two"), False),
        Stored(waiting(None, "three"), True),
    ]
    Wakeup(redis_url).announce(stored, NOW)
    assert [arguments(message) for message in messages(redis_url)] == [["id-1", "infra", "one"]]


def test_a_title_in_any_script_arrives(redis_url: str) -> None:
    title = "\u5ba2\u6237 \U0001f525 \u201cdisk\u201d"
    Wakeup(redis_url).knock("id-1", 0, "infra", title)
    [message] = messages(redis_url)
    assert arguments(message)[2] == title


def test_without_a_broker_a_knock_fails_quietly_and_soon() -> None:
    assert not Wakeup(f"redis://127.0.0.1:{free_port()}/0").knock("id-1", 0)


def test_announcing_without_a_broker_raises_nothing() -> None:
    stored = [Stored(waiting(timedelta(0)), True)]
    wakeup = Wakeup(f"redis://127.0.0.1:{free_port()}/0")
    wakeup.announce(stored, NOW)
    # It did try: for a moment there is no other try.
    assert not wakeup.knock("id-2", 0)


def test_a_broker_that_comes_back_gets_knocks_again(redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    wakeup = Wakeup(redis_url)
    assert wakeup.knock("id-1", 0)
    # Every connection that the first knock opened is gone.
    client.client_kill_filter(skipme=True, _type="normal")
    assert wakeup.knock("id-2", 0)
    assert [arguments(message)[0] for message in messages(redis_url)] == ["id-2", "id-1"]
