"""What a destination is: a provider that pages, or a channel that is notified, and what each is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from app.domain.delivery import EventKind as Kind
from app.domain.delivery import Outcome
from app.domain.incident import Incident
from app.domain.subscription import ChangeEvent
from app.domain.timeline import Entry


@dataclass(frozen=True, slots=True)
class PagerEvent:
    """What the provider must know of an incident."""

    kind: Kind
    incident: Incident
    """Its ID is the deduplication key."""
    page_url: str | None
    """Where a person reads and acknowledges the incident; None when it could not be stored."""
    alert_source: str = "default"
    """The alert source, or what the provider calls it."""
    notified: tuple[Entry, ...] = ()
    """What channels were notified of, so that the person who is paged knows who may know already."""
    reference: str | None = None
    """What the provider calls its record of the incident, as far as it said so."""
    uncertain: bool = False
    """An earlier attempt ended without an answer: the provider may have a record."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `per_minute` events within any minute, counted over all workers under one name; 0: no limit."""

    name: str
    per_minute: int


class Provider(Protocol):
    """A way to page somebody."""

    name: str
    """As in destinations."""

    def send(self, event: PagerEvent, *, deadline: float) -> Outcome:
        """Send one event; never raises for what the network or the provider does.

        `deadline` (of `time.monotonic()`, seconds): nothing is sent after it, and no answer awaited.
        """

    def ping(self, *, deadline: float) -> Outcome | None:
        """Report to the provider's dead man's switch that all is well; None when none is configured.

        Like `send`, it never raises, and is over at `deadline`.
        """

    def rate_limits(self, address: str) -> list[RateLimit]:
        """The limits that an event to this address counts against, its own first."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a channel is notified of about one incident."""

    event: ChangeEvent
    incident: Incident
    """As it is when the message is sent, which may be later than the change."""
    now: datetime
    """UTC."""
    ack_url: str | None
    """The signed link; None when there is nothing to acknowledge."""
    subject: str | None = None
    """Asked for by the request, where the channel has such a thing."""
    reference: str | None = None
    """What the channel called the first message about this incident, if it said so."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Many incidents in a storm, as one message."""

    incidents: Sequence[tuple[ChangeEvent, Incident]]
    """Some of them, the most severe first."""
    total: int
    counts: Sequence[tuple[ChangeEvent, int]]
    now: datetime
    dashboard_url: str


class Channel(Protocol):
    """A way to notify people. Sending never raises for what the network or the service does, and takes 15 s
    at the most; `address` stands in for the channel's own (a Slack channel's ID, a mail address, …)."""

    def send(self, message: Message | Summary, address: str | None) -> Outcome:
        """Notify of one incident, or of many in one message."""

    def rendered(self, message: Message | Summary) -> dict[str, Any]:
        """What it would send, for people to look at."""
