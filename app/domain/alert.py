"""What a sender said, in one shape for all senders."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from app.sanitize import cut

LINE_LIMIT = 255
"""Characters of a title, service or source."""

Severity = Literal["critical", "high", "medium", "low", "info"]

SEVERITIES: tuple[Severity, ...] = ("critical", "high", "medium", "low", "info")


class Effect(StrEnum):
    """What a webhook does to the problem that it speaks of."""

    FIRING = "firing"
    RESOLVED = "resolved"
    ACKNOWLEDGED = "acknowledged"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Alert:
    """What a sender said, in one shape for all senders."""

    title: str | None
    """One line, 1 to 255 characters; None when the sender gave none."""
    source: str
    """The sender, for example `alertmanager`."""
    effect: Effect = Effect.FIRING
    description: str = ""
    """The sender's words, Markdown."""
    severity: Severity | None = None
    service: str | None = None
    source_url: str | None = None
    """The alert in the sender's system; http or https."""
    started_at: datetime | None = None
    """UTC."""
    labels: dict[str, str] = field(default_factory=dict)
    identity: str | None = None
    """A digest of the sender's own key for the problem; None when it gave none."""

    @property
    def heading(self) -> str:
        """Its title, or else from whom it is: one line that is never empty."""
        return self.title or cut(f"Incident from {self.source}", LINE_LIMIT)


def most_severe(one: Severity | None, other: Severity | None) -> Severity | None:
    """The worse of two severities; an unknown one is no severity."""
    known = [severity for severity in (one, other) if severity is not None]
    return min(known, key=SEVERITIES.index, default=None)
