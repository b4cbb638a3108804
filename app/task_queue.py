"""The Celery message that wakes a worker when an incident's next attempt has come.

A message carries nothing that matters. It may be lost, late or doubled: the sweep (`tasks/sweep.py`) finds
what it did not wake, and a claim lets one worker through.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError
from kombu.transport import redis

from app.domain.delivery import Destination
from app.store import Stored
from app.telemetry import log
from config.redis_address import RedisAddress, redis_address

DELIVER = "versus.deliver"
"""Name of the task; `tasks/deliver.py` registers itself under it."""

# A message with a countdown lies in the memory of one worker, and is lost with it. Longer waits, and what
# comes on top of many, are left to the sweep, so that a storm costs a worker neither memory nor start-up.
LONGEST_COUNTDOWN = timedelta(minutes=15)
MOST_MESSAGES = 5_000
# Publishing costs ten times what storing does: one request may not make its sender wait for thousands.
MOST_AT_ONCE = 50

# A message that comes early changes nothing and leaves the page to the sweep, so better a moment late.
SLACK_SECONDS = 0.02

# A request that has stored its incidents, or a sweep with hundreds of messages, may not hang on the broker.
PUBLISH_TIMEOUT = 1.0
QUIET_SECONDS = 2.0


def broker_settings(redis_url: str, *, timeout: float = 3.0) -> dict[str, object]:
    """What web and worker must agree on to exchange messages, and how Celery reaches this Redis.

    `timeout`: seconds for each try to connect, and for each answer.
    """
    address = redis_address(redis_url)
    options: dict[str, object] = {
        "global_keyprefix": "versus:broker:",
        # A connection that is half open is found out and replaced after so many seconds.
        "health_check_interval": 5,
        # A publisher that can't connect gives up at once; the consumer tries on, see
        # `tasks/kombu_workarounds.py`.
        "max_retries": 0,
        **_socket_options(timeout),
    }
    if address.master_name is not None:
        options["master_name"] = address.master_name
        options["sentinel_kwargs"] = _sentinel_options(address, timeout / len(address.nodes))
    return {
        "task_default_queue": "versus",
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "broker_url": address.url,
        # Small plans of Redis take 20 connections in all, from every process.
        "broker_pool_limit": 1,
        "broker_pool_acquire_timeout": timeout,
        # Not left to the URL: without options of its own, kombu takes any certificate.
        "broker_use_ssl": dict(address.tls) if address.tls else None,
        "broker_transport_options": options,
    }


def _socket_options(timeout: float) -> dict[str, object]:
    return {"socket_timeout": timeout, "socket_connect_timeout": timeout, "socket_keepalive": True}


def _sentinel_options(address: RedisAddress, timeout: float) -> dict[str, object]:
    tls = {"ssl": True, **address.tls} if address.tls else {}
    password = address.sentinel_password
    return {
        "username": address.sentinel_username,
        "password": password.get_secret_value() if password else None,
        **_socket_options(timeout),
        **tls,
    }


def keep_clients() -> None:
    """Let every channel of this process publish through one client of Redis; those of Sentinel inherit it.

    kombu makes a client for each command, which costs as much as the command itself.
    """
    channel: Any = redis.Channel
    make = channel._create_client
    if make is not _kept_client:
        channel._make_client, channel._create_client = make, _kept_client


def _kept_client(channel: Any, asynchronous: bool = False) -> Any:
    if asynchronous:
        return channel._make_client(asynchronous=True)
    if "_kept" not in vars(channel):
        # From the pool in which the channel has its first connection already.
        channel._kept = channel._make_client(asynchronous=True)
    return channel._kept


def worth_a_message(at: datetime, now: datetime, *, at_once: int, pending: int) -> bool:
    """Whether a message is to be published for an attempt at this time, or the sweep does it when it is near.

    `at_once`: how many incidents are written in the same step; `pending`: how many wait already.
    """
    return at_once <= MOST_AT_ONCE and pending < MOST_MESSAGES and at - now <= LONGEST_COUNTDOWN


class TaskQueue:
    """Publishes messages.

    While Redis is away nobody waits for it long: after a failure there is no other try for two seconds.
    """

    def __init__(self, redis_url: str) -> None:
        keep_clients()
        self._celery = Celery("versus", set_as_current=False)
        self._celery.conf.update(broker_settings(redis_url, timeout=PUBLISH_TIMEOUT))
        # Made before there are threads: those that make it at the same time raise errors at each other.
        _ = self._celery.producer_pool
        self._quiet_until = float("-inf")

    def enqueue_stored(self, stored: Iterable[Stored], now: datetime) -> None:
        """Publish for what was stored and is soon due. What can't be published, the sweep will find."""
        for one in stored:
            if one.enqueue_at is not None:
                wait = (one.enqueue_at - now).total_seconds()
                destinations = [destination for destination, _ in one.incident.steps()]
                self.enqueue(one.incident.id, wait, destinations, one.incident.title)

    def enqueue(
        self, incident_id: str, wait: float, pagers: Sequence[Destination] = (), title: str | None = None
    ) -> bool:
        """Wake a worker for the incident in `wait` seconds; False when the message could not be published.

        Below 0 it is late: then the first free worker takes it, while a message with a countdown lies with
        the one that got it. Pagers and title are for the day when Redis has lost the record by then.
        """
        countdown = None if wait < 0 else wait + SLACK_SECONDS
        return self._publish([incident_id, list(pagers), title], countdown)

    def _publish(self, args: list[Any], countdown: float | None) -> bool:
        if time.monotonic() < self._quiet_until:
            return False
        try:
            self._celery.send_task(
                DELIVER,
                args=args,
                countdown=countdown,
                retry=False,
                # For people who look into the queue; Celery would take its time over it.
                argsrepr=args[0],
                kwargsrepr="",
            )
        except (OperationalError, OSError) as error:
            self._quiet_until = time.monotonic() + QUIET_SECONDS
            log.warning("enqueue_failed", incident=args[0], error=type(error).__name__)
            return False
        return True
