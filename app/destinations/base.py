"""What a destination is: a provider that pages, or a channel that is notified, and what each is sent."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from app.destinations.http import whole_call
from app.domain.delivery import EventKind as Kind
from app.domain.delivery import Outcome
from app.domain.incident import Incident
from app.domain.subscription import ChangeEvent
from app.domain.timeline import Entry
from app.domain.trace import Trace

Address = TypeVar("Address")


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
    failures: int = 0
    """Attempts to send it that failed in a row before this one."""


class RateLimit(NamedTuple):
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

    def rate_limits(self, address: str) -> list[RateLimit]:
        """The limits that an event to this address counts against, its own first."""

    def ping(self, *, deadline: float) -> Outcome | None:
        """Report to the provider's dead man's switch that all is well; None when none is configured.

        Like `send`, it never raises, and is over at `deadline`; so are the following.
        """
        return None

    def trace(self, incident_id: str, address: str, *, deadline: float) -> Trace:
        """What became of the page that was sent to this address."""
        return Trace("unknown")

    def on_call(self, *, deadline: float) -> Mapping[str, bool] | None:
        """By the name of each schedule, whether somebody is on call now; None: that is not known."""
        return None

    def check(self, address: str, *, deadline: float) -> Outcome | None:
        """Whether it takes the credentials for this address, asked so that no alert comes of it; None: that
        can't be asked."""
        return None


class AddressedProvider(Provider, Generic[Address], ABC):
    """A provider that is no more than the places that an event can be sent to, by name."""

    addresses: Mapping[str, Address]
    missing: str
    """What is to be set where there is no place at all."""
    max_per_minute: int

    def send(self, event: PagerEvent, *, deadline: float) -> Outcome:
        """See `Provider`; it is over after 10 s. A name that is gone means the default."""
        address = self.addresses.get(event.alert_source) or self.addresses.get("default")
        if address is None:
            return Outcome("misconfigured", f"Nothing was sent: set {self.missing}.", "unauthorized")
        outcome = self._send(event, address, whole_call(deadline))
        if event.alert_source in self.addresses:
            return outcome
        gone = f"{event.alert_source!r} is not configured any more, so 'default' was used. "
        return replace(outcome, detail=gone + outcome.detail)

    @abstractmethod
    def _send(self, event: PagerEvent, address: Address, deadline: float) -> Outcome:
        """Send one event there; the deadline is that of the whole call."""

    def check(self, address: str, *, deadline: float) -> Outcome | None:
        """See `Provider`."""
        return self._check(self.addresses[address], whole_call(deadline))

    def _check(self, address: Address, deadline: float) -> Outcome | None:
        return None

    def rate_limits(self, address: str) -> list[RateLimit]:
        """As it is configured."""
        return [RateLimit(f"{self.name}:{address}", self.max_per_minute)]


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
