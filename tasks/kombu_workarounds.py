"""Workarounds for kombu: a message costs little, and nothing that Redis does or says ends the worker."""

from __future__ import annotations

from typing import Any

import kombu
from celery.app.amqp import AMQP
from kombu.transport import redis, virtual
from redis import RedisError

# Seconds between two tries of the consumer to connect grow by the first to the second; kombu's to 30.
RECONNECT_STEP = 1.0
RECONNECT_AT_MOST = 2.0

# A key that is written to learn whether Redis takes writes, and the seconds that it stays.
PROBE = "takes-writes"
PROBE_STAYS = 10


class QoS(virtual.QoS):
    """Remembers in memory alone which messages a worker holds.

    kombu's own writes each into Redis when it is taken, and away again when it is done: more work than
    the message itself. It gives back what a worker held when that ends, or an hour after it died; the sweep
    finds what a message stood for within seconds. And where the connection is gone, giving back raises an
    error that ends the whole worker.
    """

    restore_at_shutdown = False


class Connection(kombu.Connection):
    """Is back soon after Redis is."""

    def ensure_connection(self, *args: Any, **kwargs: Any) -> kombu.Connection:  # type: ignore[override]
        """Like kombu's, which pauses longer and longer."""
        pauses = {
            "interval_start": RECONNECT_STEP,
            "interval_step": RECONNECT_STEP,
            "interval_max": RECONNECT_AT_MOST,
        }
        return super().ensure_connection(*args, **{**pauses, **kwargs})

    def _establish_connection(self) -> Any:
        """A connection to a Redis that takes writes: with any other the consumer would fail at once, and
        would connect again without a pause."""
        made: Any = super()._establish_connection()
        try:
            made._avail_channels[-1].client.set(PROBE, 1, ex=PROBE_STAYS)
        except RedisError:
            self.transport.close_connection(made)
            raise
        return made


class Broker(AMQP):
    """Celery's way to the broker, with our connection."""

    Connection = Connection


def outlive_refusals() -> None:
    """Let every error of Redis count as a lost connection; the transport for Sentinel inherits it.

    For kombu, what Redis answers (READONLY, NOREPLICAS, MISCONF, NOPERM) is an error of the channel, and
    those end a Celery worker. A lost connection is only made again.
    """
    transport: Any = redis.Transport
    transport.connection_errors = (*redis.get_redis_error_classes().connection_errors, RedisError)


def hold_messages_in_memory() -> None:
    """Let every channel of this process have our `QoS`; those of Sentinel inherit it."""
    channel: Any = redis.Channel
    channel.QoS = QoS
