"""Incidents in every state, silences, a summary and messages, as this version stores them."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import redis

from app import actions, bootstrap, silences
from app.bootstrap import Services
from app.delivery.notifications import notify
from app.delivery.pages import deliver
from app.destinations.channels import Channels
from app.domain.delivery import Delivery, Outcome
from app.ingest.service import Options, ReceivedAlert, receive
from config import load_config
from tests.delivery.notifying import OPS, settings
from tests.factories import an_alert
from tests.fakes import DELIVERED, Clock, RecordingChannel, RecordingProvider, environment

QUEUE = "versus:broker:versus"
WRONG = Outcome("misconfigured", "401", "unauthorized")
NO_ANSWER = Outcome("try_again", "no answer", "timeout", uncertain=True)


class Died(BaseException):
    """A worker's end in the middle of its work."""


class Cast:
    """This version of the service over a Redis, with a clock to wind, and with a provider and a channel that
    record."""

    def __init__(self, redis_url: str) -> None:
        self.clock, self.provider, self.channel = Clock(), RecordingProvider(), RecordingChannel()
        made = bootstrap.build_services(load_config(environ=environment(redis_url)))
        self.services: Services = dataclasses.replace(
            made,
            clock=self.clock,
            providers={self.provider.name: self.provider},
            channels=Channels([settings("ops")], {"ops": self.channel}),
        )

    def report(self, wait: float | None = 3, **about: Any) -> str:
        """The ID of the incident that such an alert opens; None: it never pages."""
        options = Options(wait_minutes=wait, oncall_enable=wait is not None)
        [received] = receive(self.services, [ReceivedAlert(an_alert(**about), '{"title": "é"}')], options)
        assert received.incident is not None
        return received.incident.id

    def page(self, incident_id: str, outcome: Outcome = DELIVERED) -> str:
        """Send what is due for it, which ends so."""
        self.provider.outcomes.append(outcome)
        deliver(self.services, incident_id)
        self.provider.outcomes.clear()
        return incident_id


def play(cast: Cast) -> dict[str, str]:
    """Store them; of each, by a word for it, the ID."""
    services = cast.services
    silences.make(services, {"service": "lab"}, minutes=60, until=None, comment="moving", by="Dana")
    group: dict[str, Any] = {"identity": "group", "members": {"a": "high", "b": ""}, "installation": "one"}
    played = {
        "open": cast.report(None),
        "pending": cast.report(severity="high", labels={"env": "prod", "où": "là"}, **group),
        "acknowledged": cast.report(),
        "escalated": cast.page(cast.report(0, source_url="https://example.com/1")),
        "failed": cast.page(cast.report(0), WRONG),
        "in doubt": cast.page(cast.report(0, severity="critical"), NO_ANSWER),
        "being sent": cast.report(0),
        "resolving": cast.page(cast.report(0)),
        "resolved": cast.report(),
        "silenced": cast.report(service="lab"),
        "continued": cast.page(cast.report(0)),
    }
    notify(services, OPS, played["escalated"])
    cast.channel.answers.append(NO_ANSWER)
    notify(services, OPS, played["pending"])
    actions.acknowledge(services, played["acknowledged"], "Dana", 30)
    actions.resolve(services, played["resolved"], "Dana")
    actions.resolve(services, played["resolving"], "Dana")
    actions.acknowledge(services, played["continued"], "Dana")
    played["successor"] = actions.unacknowledge(services, played["continued"], "Dana").id
    cast.provider.meanwhile = _dies
    try:
        cast.page(played["being sent"])
    except Died:
        cast.provider.meanwhile = lambda _: None
    services.store.notifications.save_summary(
        OPS, Delivery(), Delivery(failures=1, last_error="no answer"), cast.clock.now + timedelta(minutes=1)
    )
    return played


def _dies(_: object) -> None:
    raise Died


def states(cast: Cast, played: dict[str, str]) -> dict[str, str]:
    """By their words."""
    return {word: cast.services.store.incidents.require(one).state.value for word, one in played.items()}


# -- what is in Redis -------------------------------------------------------------------------------------

READ: dict[str, Callable[[Any, str], Any]] = {
    "string": lambda client, key: client.get(key),
    "hash": lambda client, key: client.hgetall(key),
    "list": lambda client, key: client.lrange(key, 0, -1),
    "set": lambda client, key: sorted(client.smembers(key)),
    "zset": lambda client, key: client.zrange(key, 0, -1, withscores=True),
}
WRITE: dict[str, Callable[[Any, str, Any], object]] = {
    "string": lambda client, key, value: client.set(key, value),
    "hash": lambda client, key, value: client.hset(key, mapping=value),
    "list": lambda client, key, value: client.rpush(key, *value),
    "set": lambda client, key, value: client.sadd(key, *value),
    "zset": lambda client, key, value: client.zadd(key, dict(value)),
}


def client(redis_url: str) -> redis.Redis:
    """Whose answers are texts."""
    return redis.Redis.from_url(redis_url, decode_responses=True)


def dumped(redis_url: str) -> dict[str, Any]:
    """Every key that stays, with its type and what is in it."""
    one: Any = client(redis_url)
    kinds = {key: one.type(key) for key in sorted(one.keys("versus:*")) if one.ttl(key) < 0}
    return {key: [kind, READ[kind](one, key)] for key, kind in kinds.items()}


def restored(redis_url: str, keys: dict[str, Any]) -> None:
    """Put them into an empty Redis."""
    for key, (kind, value) in keys.items():
        WRITE[kind](client(redis_url), key, value)


def messages(redis_url: str) -> Iterator[tuple[list[Any], dict[str, Any]]]:
    """The arguments of the messages in the queue, which stay there."""
    one: Any = client(redis_url)
    for message in one.lrange(QUEUE, 0, -1):
        args, kwargs, _ = json.loads(base64.b64decode(json.loads(message)["body"]))
        yield args, kwargs
