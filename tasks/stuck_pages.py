"""While Redis takes no writes: each worker notifies the channels of pages that do not get out."""

from __future__ import annotations

import threading
from collections import defaultdict
from datetime import datetime, timedelta
from functools import partial

from app.bootstrap import Services
from app.delivery.unclaimed import notify_stuck
from app.domain.delivery import Destination
from app.domain.incident import Incident
from app.telemetry import log
from tasks.slots import Slots

NOTIFIED_EVERY = timedelta(minutes=1)
"""From one message to a channel to the next, which is about all that got stuck meanwhile."""
MOST_AT_ONCE = 8


class StuckPages:
    """What the channels have not heard of yet. It is in memory alone, so each worker notifies for itself."""

    def __init__(self, services: Services, slots: Slots | None = None) -> None:
        self._services = services
        self._slots = slots or Slots("stuck_pages", each=1, most=MOST_AT_ONCE)
        self._lock = threading.Lock()
        self.end()

    def end(self) -> None:
        """Redis takes writes: from now on what channels are notified of is stored."""
        self._unheard: defaultdict[Destination, dict[str, Incident]] = defaultdict(dict)
        self._next_at: dict[Destination, datetime] = {}

    def add(self, incident: Incident) -> None:
        """Its page is late or failed: every channel is to be notified."""
        with self._lock:
            for subscription in incident.subscriptions:
                self._unheard[subscription.destination][incident.id] = incident

    def notify(self, now: datetime) -> None:
        """Hand out what can be sent now; to be called again and again."""
        with self._lock:
            waiting = [channel for channel, incidents in self._unheard.items() if incidents]
        for channel in waiting:
            if now >= self._next_at.get(channel, now) and self._slots.acquire(channel):
                self._next_at[channel] = now + NOTIFIED_EVERY
                self._slots.run(channel, partial(self._send, channel), then=lambda: None)

    def _send(self, channel: Destination) -> None:
        with self._lock:
            unheard = self._unheard
            incidents = unheard.pop(channel, {})
        outcome = notify_stuck(self._services, channel, [*incidents.values()])
        write = log.info if outcome.delivered else log.warning
        write("stuck_notified", channel=channel, incidents=len(incidents), detail=outcome.detail or None)
        if outcome.verdict == "try_again":
            with self._lock:
                unheard[channel] = {**incidents, **unheard[channel]}
