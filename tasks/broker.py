"""Mends to kombu: a message costs little, and no restart or long absence of Redis costs us the worker."""

from __future__ import annotations

from typing import Any

import kombu
from celery.app.amqp import AMQP
from kombu.transport import redis, virtual

# Seconds between two tries of the consumer to connect grow by the first to the second; kombu's to 30.
RECONNECT_STEP = 1.0
RECONNECT_AT_MOST = 5.0


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


class Broker(AMQP):
    """Celery's way to the broker, with our connection."""

    Connection = Connection


def hold_messages_in_memory() -> None:
    """Let every channel of this process have our `QoS`; those of Sentinel inherit it."""
    channel: Any = redis.Channel
    channel.QoS = QoS
