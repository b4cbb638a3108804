"""Mends to kombu, so that neither a restart of Redis nor a long absence costs us the worker."""

from __future__ import annotations

from typing import Any

import kombu
from celery.app.amqp import AMQP
from kombu.transport import redis

from app.telemetry import log

# Seconds between two tries of the consumer to connect grow by the first to the second; kombu's to 30.
RECONNECT_STEP = 1.0
RECONNECT_AT_MOST = 5.0


class QoS(redis.QoS):
    """Gives messages back to the broker where it can; where it can't, the sweep finds what they announced."""

    def restore_unacked_once(self, stderr: Any = None) -> None:
        """Like kombu's, which lets an error about the connection that is gone end the whole worker."""
        try:
            super().restore_unacked_once(stderr=stderr)
        except Exception as error:
            log.warning("messages_not_restored", error=repr(error))


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


def survive_lost_connections() -> None:
    """Put the guard in place, for this process; that of Sentinel inherits it."""
    redis.Channel.QoS = QoS
