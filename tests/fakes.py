"""Parts to put into services: a clock to wind by hand and a provider that records."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from app.destinations.base import Message, PagerEvent, RateLimit, Summary
from app.domain.delivery import Destination, Outcome
from app.domain.trace import Trace

EPOCH = datetime(2026, 3, 4, 3, 0, tzinfo=UTC)


API_KEY = "test-api-key-9b1c"
GATEWAY_SECRET = "test-gateway-secret-44d0"


def environment(redis_url: str, **more: str) -> dict[str, str]:
    """The variables with which the shipped configuration is complete."""
    return {
        "REDIS_URL": redis_url,
        "ONCALL_ENABLE": "true",
        "INCIDENTIO_API_KEY": API_KEY,
        "INCIDENTIO_ALERT_SOURCE_CONFIG_ID": "source-default",
        "INCIDENTIO_OTHER_ALERT_SOURCE_CONFIG_ID_INFRA": "source-infra",
        "GATEWAY_SECRET": GATEWAY_SECRET,
        **more,
    }


class Clock:
    """Stands still until wound on."""

    def __init__(self, now: datetime = EPOCH) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def wind(self, **by: float) -> datetime:
        """Go on by so many `seconds`, `minutes`, …; returns the new time."""
        self.now += timedelta(**by)
        return self.now


DELIVERED = Outcome("delivered", "202")


PAGER = Destination("incident_io/default")
INFRA = Destination("incident_io/infra")


class RecordingProvider:
    """Answers what it is told to, and remembers the events."""

    name = "incident_io"

    def __init__(self) -> None:
        self.events: list[PagerEvent] = []
        self.seconds_left: list[float] = []
        """What each event had until its deadline."""
        self.outcomes: list[Outcome] = []
        self.limits: list[RateLimit] = []
        self.traced: list[tuple[str, str]] = []
        """Incidents and addresses of which it was asked what became of the page."""
        self.traces: list[Trace] = []
        self.people: Mapping[str, bool] | None = None
        self.pings = 0
        self.pong: Outcome | None = DELIVERED
        """What a heartbeat is answered; None: none is configured."""
        self.meanwhile: Callable[[PagerEvent], object] = lambda event: None
        """What happens elsewhere while an event is being sent."""

    def send(self, event: PagerEvent, *, deadline: float) -> Outcome:
        self.events.append(event)
        self.seconds_left.append(deadline - time.monotonic())
        self.meanwhile(event)
        return self.outcomes.pop(0) if self.outcomes else DELIVERED

    def ping(self, *, deadline: float) -> Outcome | None:
        self.pings += 1
        return self.pong

    def trace(self, incident_id: str, address: str, *, deadline: float) -> Trace:
        self.traced.append((incident_id, address))
        return self.traces.pop(0) if self.traces else Trace("unknown")

    def on_call(self, *, deadline: float) -> Mapping[str, bool] | None:
        return self.people

    def check(self, address: str, *, deadline: float) -> Outcome | None:
        return None

    def rate_limits(self, address: str) -> list[RateLimit]:
        return self.limits

    def notified(self) -> list[tuple[str, str]]:
        """(kind, incident ID) of every event, in order."""
        return [(event.kind, event.incident.id) for event in self.events]


class RecordingChannel:
    """Answers what it is told to, and remembers what it was to tell."""

    def __init__(self) -> None:
        self.messages: list[tuple[Message, str | None]] = []
        self.summaries: list[Summary] = []
        self.answers: list[Outcome] = []
        self.meanwhile: Callable[[], object] = lambda: None
        """What happens elsewhere while something is being told."""

    def send(self, message: Message | Summary, address: str | None) -> Outcome:
        if isinstance(message, Summary):
            self.summaries.append(message)
        else:
            self.messages.append((message, address))
        self.meanwhile()
        return self.answers.pop(0) if self.answers else DELIVERED

    def rendered(self, message: Message | Summary) -> dict[str, Any]:
        return {"message": message}

    def notified(self) -> list[tuple[str, str]]:
        """(change, incident ID) of every message, in order."""
        return [(message.event, message.incident.id) for message, _ in self.messages]
