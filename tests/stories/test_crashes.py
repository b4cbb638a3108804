"""Processes die by SIGKILL, the queue is flushed, Redis restarts: no page is lost, none is doubled."""

from __future__ import annotations

import signal
from collections.abc import Callable

import redis
import requests

from tests.stories.stack import Stack, on_disk, wait_until

Own = Callable[..., Stack]


def test_a_worker_killed_while_it_waits_is_replaced_by_the_next(own: Own) -> None:
    stack = own()
    incident = stack.report(3)
    # The message lies in the worker's memory now.
    client = redis.Redis.from_url(stack.redis.url)
    wait_until(lambda: client.llen("versus:broker:versus") == 0, "the worker took the message")
    stack.workers[0].kill()
    stack.workers.append(stack.start("worker"))
    shown = stack.wait_for_state(incident, "escalated")
    assert shown["attempts"] == 1
    assert len(stack.simulator.events(incident["id"])) == 1


def test_a_page_that_was_due_while_no_worker_lived_leaves_when_one_starts(own: Own) -> None:
    stack = own()
    stack.workers[0].kill()
    incident = stack.report(0.2)
    stack.start("web")  # a second web process changes nothing
    stack.workers.append(stack.start("worker"))
    stack.wait_for_state(incident, "escalated")
    assert len(stack.simulator.events(incident["id"])) == 1


def test_a_worker_killed_while_it_sends_sends_again_under_the_same_key(own: Own) -> None:
    stack = own()
    stack.simulator.answer_next(mode="hang", taken=True)
    incident = stack.report(0)
    wait_until(lambda: stack.simulator.events(incident["id"]), "the first attempt arrived")
    stack.workers[0].kill()
    stack.workers.append(stack.start("worker"))
    shown = stack.wait_for_state(incident, "escalated")
    assert shown["attempts"] == 2
    keys = {event.body["deduplication_key"] for event in stack.simulator.events(incident["id"])}
    assert keys == {incident["id"]}
    assert len(stack.simulator.alerts) == 1


def test_a_flushed_queue_delays_a_page_but_loses_none(own: Own) -> None:
    stack = own()
    client = redis.Redis.from_url(stack.redis.url, decode_responses=True)
    stack.workers[0].signal(signal.SIGSTOP)
    # What the worker asked for before it was stopped, it would still get.
    wait_until(lambda: client.info("clients")["blocked_clients"] == 0, "its last BRPOP is over")
    incident = stack.report(1)
    assert client.delete("versus:broker:versus") == 1
    stack.workers[0].signal(signal.SIGCONT)
    stack.wait_for_state(incident, "escalated")
    assert len(stack.simulator.events(incident["id"])) == 1


def test_doubled_messages_send_one_page(own: Own) -> None:
    stack = own(workers=2)
    incident = stack.report(1)
    client = redis.Redis.from_url(stack.redis.url)
    from app.task_queue import TaskQueue

    task_queue = TaskQueue(stack.redis.url)
    for _ in range(20):
        task_queue.enqueue(incident["id"], 0)
        task_queue.enqueue(incident["id"], 1)
    stack.wait_for_state(incident, "escalated")
    wait_until(lambda: client.llen("versus:broker:versus") == 0, "all messages were taken")
    assert len(stack.simulator.events(incident["id"])) == 1


def test_a_restart_of_redis_under_a_worker_that_holds_a_countdown_loses_nothing(own: Own) -> None:
    stack = own()
    client = redis.Redis.from_url(stack.redis.url)
    incident = stack.report(4)
    long_after = stack.report(600)
    wait_until(lambda: client.llen("versus:broker:versus") == 0, "the worker took both messages")
    worker = stack.workers[0].pid
    # That a second may be lost is not this story.
    on_disk(client)
    stack.redis.kill()
    stack.redis.start()
    shown = stack.wait_for_state(incident, "escalated")
    assert shown["attempts"] == 1
    assert stack.workers[0].lives()
    assert stack.workers[0].pid == worker
    assert stack.show(long_after)["state"] == "pending"
    # And it goes on working as before.
    stack.wait_for_state(stack.report(0), "escalated")


def test_a_webhook_during_a_short_absence_of_redis_is_answered_in_the_end(own: Own) -> None:
    stack = own()
    stack.redis.kill()
    stack.redis.start()
    assert stack.report(600)["state"] == "pending"


def test_with_redis_away_an_alert_is_paged_directly(own: Own) -> None:
    stack = own()
    stack.redis.kill()
    answers = [stack.post({"title": "Disk full", "deduplication_key": "k"}) for _ in range(2)]
    assert [(a.status_code, a.json()["status"]) for a in answers] == [(202, "Escalated directly")] * 2
    keys = {event.body["deduplication_key"] for event in stack.simulator.events()}
    assert len(keys) == 1
    resolved = stack.post({"title": "x", "deduplication_key": "k", "status": "resolved"})
    assert (resolved.status_code, "Retry-After" in resolved.headers) == (503, True)
    not_ready = requests.get(f"{stack.base}/readyz", timeout=60)
    assert not_ready.status_code == 503
    assert "reached" in not_ready.json()["checks"]["redis"]
    assert requests.get(f"{stack.base}/healthz", timeout=60).status_code == 200
    stack.redis.start()
    wait_until(stack.is_ready, "well again without a restart of anything")
    assert stack.report(600)["state"] == "pending"


def test_lost_data_pages_in_doubt(own: Own) -> None:
    stack = own()
    client = redis.Redis.from_url(stack.redis.url)
    incident = stack.report(2, incidentio_other_alert_source="infra")
    wait_until(lambda: client.llen("versus:broker:versus") == 0, "the worker took the message")
    client.flushall()
    wait_until(lambda: stack.simulator.events(incident["id"]), "paged all the same")
    [event] = stack.simulator.events(incident["id"])
    assert event.path.endswith("source-infra")
    assert event.body["metadata"]["alert_title"] == "Disk full"
