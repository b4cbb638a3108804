"""What goes to a channel and what comes back, whichever channel it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from app.incident import Incident
from app.notice import News


@dataclass(frozen=True, slots=True)
class Message:
    """A piece of news about an incident."""

    news: News
    incident: Incident
    """As it is when the message is sent, which may be later than the news."""
    now: datetime
    """UTC."""
    ack_url: str | None
    """The signed link; None when there is nothing to acknowledge."""
    subject: str | None = None
    """Asked for by the request, where the channel has such a thing."""
    reference: str | None = None
    """What the channel called the first message about this incident, if it told."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Many notices in a storm, as one message."""

    incidents: Sequence[tuple[News, Incident]]
    """Some of them, the most severe first."""
    total: int
    counts: Sequence[tuple[News, int]]
    now: datetime
    dashboard_url: str


@dataclass(frozen=True, slots=True)
class Told:
    """How telling ended; `app/tell.py` decides what follows from it."""

    ok: bool
    detail: str = ""
    """When it failed: why, in a few words without secrets, such as `connection refused`."""
    again: bool = True
    """When it failed: whether another try may help."""
    not_before: float | None = None
    """Seconds from now before which the channel does not want to be asked again."""
    reference: str | None = None
    """What the channel calls the message, by which it can be changed later."""


class Channel(Protocol):
    """A way to tell people. Sending never raises for what the network or the service does, and takes 15 s at
    the most; `address` stands in for the channel's own (a Slack channel's ID, a mail address, …)."""

    def send(self, message: Message, address: str | None) -> Told:
        """Tell of one incident."""

    def summarise(self, summary: Summary, address: str | None) -> Told:
        """Tell of many in one message."""

    def shown(self, message: Message | Summary) -> dict[str, Any]:
        """What it would send, for people to look at."""
