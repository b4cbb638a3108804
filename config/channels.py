"""Channels in which people are told."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import SecretStr

SEVERITIES = ("critical", "high", "medium", "low", "info")
EVENTS = ("created", "acknowledged", "escalated", "failed", "resolved")


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """One channel: where it is, and what it is told."""

    name: str
    url: SecretStr
    """As Apprise understands it."""
    events: tuple[str, ...] = EVENTS
    template: str | None = None
    min_severity: str | None = None
    default: bool = True
    """Told when a request names no channels."""

    def wants(self, news: str, severity: str | None) -> bool:
        """Whether this piece of news is for it."""
        event = "created" if news == "severity_raised" else news
        least = self.min_severity or SEVERITIES[-1]
        return event in self.events and SEVERITIES.index(severity or "medium") <= SEVERITIES.index(least)
