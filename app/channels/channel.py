"""What goes to a channel and what comes back, whichever channel it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from app.delivery import Outcome
from app.incident import Incident
from app.subscription import ChangeEvent


@dataclass(frozen=True, slots=True)
class Message:
    """What a channel is notified of about one incident."""

    news: ChangeEvent
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

    def shown(self, message: Message | Summary) -> dict[str, Any]:
        """What it would send, for people to look at."""
