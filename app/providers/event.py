"""What goes to a provider and what comes back, whichever provider it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from app.delivery import Event as Kind
from app.delivery import Outcome, Verdict
from app.incident import Incident
from app.timeline import Entry

__all__ = ["Budget", "Event", "Outcome", "Provider", "Verdict"]


@dataclass(frozen=True, slots=True)
class Event:
    """What the provider shall know of an incident."""

    kind: Kind
    incident: Incident
    """Its ID is the deduplication key."""
    page_url: str | None
    """Where a person reads and acknowledges the incident; None when it could not be stored."""
    alert_source: str = "default"
    """The alert source, or what the provider calls it."""
    told: tuple[Entry, ...] = ()
    """What channels were notified of, so that the person who is paged knows who may know already."""
    reference: str | None = None
    """What the provider calls its record of the incident, as far as it said so."""
    uncertain: bool = False
    """An earlier attempt ended without an answer: the provider may have a record."""


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `per_minute` events within any minute, counted over all workers under one name; 0: no limit."""

    name: str
    per_minute: int


class Provider(Protocol):
    """A way to page somebody."""

    name: str
    """As in destinations."""

    def send(self, event: Event, *, deadline: float) -> Outcome:
        """Send one event; never raises for what the network or the provider does.

        `deadline` (of `time.monotonic()`, seconds): nothing is sent after it, and no answer awaited.
        """

    def ping(self, *, deadline: float) -> Outcome | None:
        """Tell the provider's dead man's switch that all is well; None when none is configured.

        Like `send`, it never raises, and is over at `deadline`.
        """

    def budgets(self, address: str) -> list[Budget]:
        """The limits that an event to this address counts against, its own first."""
