"""The alarm clock: one Celery message that knocks when an incident's next attempt has come.

The message carries nothing that matters. It may be lost, late or doubled: the sweep (`tasks/sweep.py`) finds
what it did not wake, and a claim lets one worker through.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from celery import Celery
from kombu.exceptions import OperationalError

from app.incident import Incident
from app.store import Stored
from app.telemetry import log

DELIVER = "versus.deliver"
"""Name of the task that a knock starts; `tasks/deliver.py` registers itself under it."""

# A message with a countdown lies in one worker's memory, and past the broker's visibility timeout (an hour)
# it is delivered again and again. Longer waits, and what comes on top of many, are left to the sweep.
LONGEST_COUNTDOWN = timedelta(minutes=15)
MOST_MESSAGES = 5_000
# Publishing costs ten times what storing does: one request may not make its sender wait for thousands.
MOST_AT_ONCE = 50

# A knock that comes early changes nothing and leaves the page to the sweep, so better a moment late.
SLACK_SECONDS = 0.02


def broker_settings() -> dict[str, object]:
    """What web and worker must agree on to exchange knocks."""
    return {
        "task_default_queue": "versus",
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "broker_transport_options": {
            "visibility_timeout": 3600,
            "global_keyprefix": "versus:broker:",
            "socket_timeout": 3.0,
            "socket_connect_timeout": 3.0,
            "socket_keepalive": True,
        },
    }


def worth_announcing(incident: Incident, now: datetime, *, at_once: int, pending: int) -> bool:
    """Whether a message shall be published for the incident's next attempt, or the sweep announces it.

    `at_once`: how many incidents are written in the same step; `pending`: how many wait already.
    """
    if incident.next_attempt_at is None or at_once > MOST_AT_ONCE or pending >= MOST_MESSAGES:
        return False
    return incident.next_attempt_at - now <= LONGEST_COUNTDOWN


class Wakeup:
    """Publishes knocks."""

    def __init__(self, broker_url: str) -> None:
        self._celery = Celery("versus", broker=broker_url, set_as_current=False)
        self._celery.conf.update(broker_settings())

    def announce(self, stored: Iterable[Stored], now: datetime) -> None:
        """Knock for what was stored and is to be announced. What can't be published, the sweep will find."""
        for one in stored:
            incident = one.incident
            if one.announce and incident.next_attempt_at is not None:
                wait = (incident.next_attempt_at - now).total_seconds()
                self.knock(incident.id, wait, incident.alert_source, incident.title)

    def knock(
        self, incident_id: str, wait: float, alert_source: str | None = None, title: str | None = None
    ) -> bool:
        """Wake a worker for the incident in `wait` seconds; False when the message could not be published.

        The alert source's name and the title are for the day when Redis has lost the record by then.
        """
        countdown = max(0.0, wait) + SLACK_SECONDS
        try:
            self._celery.send_task(
                DELIVER, args=[incident_id, alert_source, title], countdown=countdown, retry=False
            )
        except (OperationalError, OSError) as error:
            log.warning("knock_failed", incident=incident_id, error=type(error).__name__)
            return False
        return True
