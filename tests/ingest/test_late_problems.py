"""A problem that arrives after its end is over, where that is certain, and wakes nobody."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from app.bootstrap import Services
from app.domain.alert import Alert, Effect, End
from app.domain.state import State
from app.ingest.service import Options, Received, ReceivedAlert, receive
from app.ingest.webhooks import read
from tests.fakes import Clock
from tests.ingest.webhooks.samples import SAMPLES

T0 = datetime(2026, 3, 4, 3, 0, tzinfo=UTC)
MINUTES = timedelta(minutes=1)


def problem(key: str = "k", **given: Any) -> ReceivedAlert:
    return ReceivedAlert(Alert("Disk full", "zabbix", identity=key, **{"once": True, **given}), "{}")


def over(message: ReceivedAlert, said_at: datetime | None = None) -> ReceivedAlert:
    return replace(message, alert=replace(message.alert, effect=Effect.RESOLVED, said_at=said_at))


def take(services: Services, *messages: ReceivedAlert) -> list[Received]:
    return [one for message in messages for one in receive(services, [message], Options(wait_minutes=0))]


@pytest.mark.parametrize(
    ("alert", "end", "is_over"),
    [
        ({"once": True}, End(T0), True),
        ({"once": True}, End(T0 - 10 * MINUTES), True),
        ({"once": True}, End(T0 - 10.1 * MINUTES), False),
        ({"said_at": T0}, End(T0, T0 + MINUTES), True),
        ({"said_at": T0}, End(T0, T0), False),
        ({"said_at": T0}, End(T0), False),
        ({}, End(T0, T0 + MINUTES), False),
    ],
)
def test_when_it_is_certain(alert: dict[str, Any], end: End, is_over: bool) -> None:
    assert Alert("x", "sns", identity="k", **alert).was_over(end, T0) is is_over


def test_it_is_recorded_as_resolved(services: Services, clock: Clock) -> None:
    first, late = take(services, over(problem()), problem())
    assert (first.became, first.incident) == ("recorded", None)
    assert (late.became, late.incident and late.incident.state) == ("resolved", State.RESOLVED)
    assert late.incident is not None
    incident = services.store.incidents.require(late.incident.id)
    assert (incident.due_at, incident.subscriptions, list(incident.steps())) == (None, (), [])
    clock.now += 11 * MINUTES
    assert [one.became for one in take(services, problem())] == ["created"]


def test_another_problem_and_one_that_is_not_certain_page(services: Services) -> None:
    plain = problem(once=False)
    messages = [over(problem("other")), problem(), over(plain), plain]
    assert [one.became for one in take(services, *messages)] == ["recorded", "created", "resolved", "created"]


def test_the_sender_says_which_was_first(services: Services) -> None:
    before, after = (problem(once=False, said_at=T0 + n * MINUTES) for n in (-1, 1))
    became = [one.became for one in take(services, over(before, T0), before, after)]
    assert became == ["recorded", "resolved", "created"]


def test_in_one_array_too(services: Services) -> None:
    both = receive(services, [over(problem()), problem()], Options())
    assert [one.became for one in both] == ["recorded", "resolved"]


def test_at_the_same_instant_neither_is_overlooked(services: Services) -> None:
    for n in range(20):
        gate = threading.Barrier(2)

        def send(message: ReceivedAlert, gate: threading.Barrier) -> Received:
            gate.wait()
            return take(services, message)[0]

        both = (problem(f"k{n}"), over(problem(f"k{n}")))
        with ThreadPoolExecutor(2) as pool:
            opened, ended = [f.result() for f in [pool.submit(send, one, gate) for one in both]]
        assert (opened.became, ended.became) in (("created", "resolved"), ("resolved", "recorded"))
        assert opened.incident is not None
        assert services.store.incidents.require(opened.incident.id).state is State.RESOLVED


def test_what_is_remembered_is_forgotten(services: Services, redis_url: str) -> None:
    take(services, over(problem()))
    client = redis.Redis.from_url(redis_url)
    assert 600 < client.ttl("versus:end:k") <= 3_600


def body(name: str, **changed: Any) -> dict[str, Any]:
    found: dict[str, Any] = {**SAMPLES[name]["body"], **changed}
    return found


def test_of_which_senders_it_can_be_certain() -> None:
    assert read(body("zabbix_01_problem")).once
    assert not read(body("zabbix_01_problem", deduplication_key="disk of db-1")).once
    assert read(body("cloudwatch_01_alarm")).said_at is not None
    assert read(body("alertmanager_01_firing")).can_be_late is False
    envelope = {
        "Type": "Notification",
        "MessageId": "1",
        "TopicArn": "t",
        "Timestamp": "2026-03-04T03:00:00Z",
    }
    own = read({**envelope, "Message": '{"title": "Disk full", "dedup_key": "k", "status": "firing"}'})
    assert (own.said_at, own.can_be_late) == (T0, True)
    group = '{"receiver": "r", "groupKey": "k", "deduplication_key": "k", "status": "firing", "alerts": []}'
    assert read({**envelope, "Message": group}).can_be_late is False
