"""What goes to a provider and what comes back, whichever provider it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from app.incident import Incident, Kind

Verdict = Literal["delivered", "try_again", "misconfigured"]


@dataclass(frozen=True, slots=True)
class Event:
    """What the provider shall know of an incident."""

    kind: Kind
    incident: Incident
    """Its ID is the deduplication key."""
    page_url: str | None
    """Where a person reads and acknowledges the incident; None when it could not be stored."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt to send ended; `app/deliver.py` decides what follows from it."""

    verdict: Verdict
    detail: str
    """One sentence for log and timeline, with the provider's request ID; free of secrets."""
    reason: str = "ok"
    """One word of a small vocabulary, for logs and metrics: `ok`, `rate_limited`, `timeout`, …"""
    not_before: float | None = None
    """Seconds from now before which the provider does not want to be asked again."""
    hold_all: bool = False
    """`not_before` is meant for everybody who uses this alert source, not for this event alone."""
    uncertain: bool = False
    """The provider may have taken the event although no answer came."""


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `per_minute` events within any minute, counted over all workers under one name; 0: no limit."""

    name: str
    per_minute: int


class Provider(Protocol):
    """A way to page somebody."""

    def send(self, event: Event, *, deadline: float) -> Outcome:
        """Send one event; never raises for what the network or the provider does.

        `deadline` (of `time.monotonic()`, seconds): nothing is sent after it, and no answer awaited.
        """

    def ping(self, *, deadline: float) -> Outcome | None:
        """Tell the provider's dead man's switch that all is well; None when none is configured.

        Like `send`, it never raises, and is over at `deadline`.
        """

    def budgets(self, alert_source: str) -> list[Budget]:
        """The limits that an event of this alert source counts against, the alert source's own first."""
