"""The Celery message: which waits are worth one, what it holds, and what no broker means."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from app.domain.alert import Alert
from app.domain.incident import Incident
from app.store import Store, Stored
from app.task_queue import (
    DELIVER,
    LONGEST_COUNTDOWN,
    MOST_AT_ONCE,
    MOST_MESSAGES,
    SLACK_SECONDS,
    TaskQueue,
    worth_a_message,
)
from local.embedded import free_port
from tests.fakes import INFRA, PAGER

NOW = datetime(2026, 3, 4, 3, 0, tzinfo=UTC)
QUEUE = "versus:broker:versus"


def stored(wait: timedelta | None, title: str = "Disk full") -> Stored:
    """An incident, and when a message is to wake a worker for it."""
    at = None if wait is None else NOW + wait
    return Stored(Incident.opened("id-1", Alert(title=title, source="test"), NOW, due_at=at, pager=INFRA), at)


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
    ],
)
def test_a_message_is_for_short_waits_and_quiet_times(
    wait: timedelta, at_once: int, pending: int, worth: bool
) -> None:
    assert worth_a_message(NOW + wait, NOW, at_once=at_once, pending=pending) is worth


@pytest.mark.parametrize("due_at", [None, NOW])
@pytest.mark.parametrize("worth", [True, False])
def test_who_is_to_be_woken_for_is_asked_of_each_new_time_and_of_nothing_else(
    store: Store, due_at: datetime | None, worth: bool
) -> None:
    asked: list[tuple[datetime, int]] = []

    def enqueued(at: datetime, at_once: int) -> bool:
        asked.append((at, at_once))
        return worth

    unit = store.incidents.assume_new([])
    incident = Incident.opened("id-1", Alert(title="x", source="test"), NOW, due_at=due_at, pager=INFRA)
    _, [one] = store.incidents.update(unit, lambda unit: unit.save(incident), enqueued)
    assert asked == ([] if due_at is None else [(NOW, 1)])
    assert one.enqueue_at == (due_at if worth else None)


def test_a_message_carries_an_id_and_what_to_say_if_its_record_is_lost(redis_url: str) -> None:
    before = datetime.now(UTC)
    assert TaskQueue(redis_url).enqueue("id-1", 90, [INFRA], "Disk full")
    [message] = messages(redis_url)
    assert message["headers"]["task"] == DELIVER
    assert arguments(message) == ["id-1", ["incident_io/infra"], "Disk full"]
    eta = datetime.fromisoformat(message["headers"]["eta"])
    assert 0 <= (eta - before).total_seconds() - 90 - SLACK_SECONDS < 5


def test_a_message_for_what_is_late_has_no_countdown(redis_url: str) -> None:
    TaskQueue(redis_url).enqueue("id-1", -0.5)
    [message] = messages(redis_url)
    assert message["headers"]["eta"] is None


def test_a_channel_keeps_one_client_to_publish_with(redis_url: str) -> None:
    task_queue = TaskQueue(redis_url)
    task_queue.enqueue("id-0", 0)
    connected = redis.Redis.from_url(redis_url).info("stats")["total_connections_received"]
    assert all(task_queue.enqueue(f"id-{n}", 0) for n in range(20))
    # One for `info` itself.
    assert redis.Redis.from_url(redis_url).info("stats")["total_connections_received"] - connected == 1


def test_only_what_is_to_be_enqueued_is_enqueued(redis_url: str) -> None:
    some = [
        stored(timedelta(minutes=1), "one"),
        replace(stored(timedelta(minutes=1), "two"), enqueue_at=None),
        stored(None, "three"),
    ]
    TaskQueue(redis_url).enqueue_stored(some, NOW)
    [message] = messages(redis_url)
    assert arguments(message) == ["id-1", ["incident_io/infra"], "one"]
    seconds = (datetime.fromisoformat(message["headers"]["eta"]) - datetime.now(UTC)).total_seconds()
    assert 50 < seconds < 60 + SLACK_SECONDS


def test_one_message_is_for_all_pagers_of_an_incident(redis_url: str) -> None:
    one = stored(timedelta(minutes=1))
    again = one.incident.repeated(
        Alert(title="Disk full", source="test"), NOW, due_at=NOW, pager=PAGER, asked=True
    )
    TaskQueue(redis_url).enqueue_stored([replace(one, incident=again)], NOW)
    [message] = messages(redis_url)
    assert arguments(message)[1] == ["incident_io/infra", "incident_io/default"]


def test_a_title_in_any_script_arrives(redis_url: str) -> None:
    title = "\u5ba2\u6237 \U0001f525 \u201cdisk\u201d"
    TaskQueue(redis_url).enqueue("id-1", 0, [INFRA], title)
    [message] = messages(redis_url)
    assert arguments(message)[2] == title


def test_without_a_broker_a_message_fails_quietly_and_soon() -> None:
    assert not TaskQueue(f"redis://127.0.0.1:{free_port()}/0").enqueue("id-1", 0)


def test_enqueueing_without_a_broker_raises_nothing() -> None:
    task_queue = TaskQueue(f"redis://127.0.0.1:{free_port()}/0")
    task_queue.enqueue_stored([stored(timedelta(0))], NOW)
    # It did try: for a moment there is no other try.
    assert not task_queue.enqueue("id-2", 0)


def test_a_broker_that_comes_back_gets_messages_again(redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    task_queue = TaskQueue(redis_url)
    assert task_queue.enqueue("id-1", 0)
    # Every connection that the first message opened is gone.
    client.client_kill_filter(skipme=True, _type="normal")
    assert task_queue.enqueue("id-2", 0)
    assert [arguments(message)[0] for message in messages(redis_url)] == ["id-2", "id-1"]
