"""A guard for kombu's Redis transport, so that a restart of Redis does not end the worker."""

from __future__ import annotations

from typing import Any

from kombu.transport import redis

from app.telemetry import log


class QoS(redis.QoS):
    """Gives messages back to the broker where it can; where it can't, the sweep finds what they announced."""

    def restore_unacked_once(self, stderr: Any = None) -> None:
        """Like kombu's, which lets an error about the connection that is gone end the whole worker."""
        try:
            super().restore_unacked_once(stderr=stderr)
        except Exception as error:
            log.warning("messages_not_restored", error=repr(error))


def survive_lost_connections() -> None:
    """Put the guard in place, for this process."""
    redis.Channel.QoS = QoS
