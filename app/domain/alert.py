"""What a sender said, in one shape for all senders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

from app.sanitize import cut
from config import values
from config.match import LABEL

LINE_LIMIT = 255
"""Characters of a title, service or source."""

MEMBERS_LIMIT = 5_000
"""Alerts of a group whose fingerprints are kept."""

LATEST = timedelta(minutes=10)
"""A problem may arrive so long after its end, and is taken for what it is."""

MOST_LABELS = 64
LABEL_BYTES = 96 * 1024
"""Of all labels together, so that a record stays below 256 KiB whatever is repeated."""

Severity = values.Severity
SEVERITIES = values.SEVERITIES


VERSUS = "versus"
"""The source of what the service itself reports."""


def own_identity(key: str) -> str:
    """The identity of a problem of our own; those of senders are digests, so it is none of them."""
    return f"{VERSUS} {key}"


class Effect(StrEnum):
    """What a webhook does to the problem that it speaks of."""

    FIRING = "firing"
    RESOLVED = "resolved"
    ACKNOWLEDGED = "acknowledged"
    UNACKNOWLEDGED = "unacknowledged"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class End:
    """A sender said that a problem is over: when that arrived, and when the sender says that it was."""

    at: datetime
    said_at: datetime | None = None


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
    said_at: datetime | None = None
    """When the sender said this, UTC, where that puts its messages in order."""
    once: bool = False
    """The identity names one occurrence of the problem: once that is over, it never fires again."""
    members: dict[str, str] = field(default_factory=dict)
    """Of a group, the alerts that fire: fingerprint and severity ("" for none), `MEMBERS_LIMIT` at most."""
    ended_members: tuple[str, ...] = ()
    """Of a group, the fingerprints of alerts that no longer fire, `MEMBERS_LIMIT` at most."""
    members_complete: bool = True
    """The sender listed all alerts of the group, and all of them are in `members` and `ended_members`."""
    installation: str | None = None
    """Of a group, a digest of where its sender runs: all installations may give it the same key."""
    namespace: str | None = None
    """What its sender calls its installation: `?namespace=`."""

    @property
    def heading(self) -> str:
        """Its title, or else from whom it is: one line that is never empty."""
        return self.title or cut(f"Incident from {self.source}", LINE_LIMIT)

    @property
    def marks(self) -> tuple[str, ...]:
        """How a group differs from others with the same identity: its installation, then its alerts.

        Groups with a mark in common are one problem. Empty where the identity is enough.
        """
        return () if self.installation is None else (self.installation, *self.members, *self.ended_members)

    @property
    def can_be_late(self) -> bool:
        """Whether it can be certain of it that its problem was over before it arrived."""
        return self.identity is not None and (self.once or self.said_at is not None)

    def was_over(self, end: End, now: datetime) -> bool:
        """Whether it is certain that this problem had ended, `LATEST` ago at most, when it arrived."""
        if now - end.at > LATEST:
            return False
        ordered = self.said_at is not None and end.said_at is not None and self.said_at < end.said_at
        return self.once or ordered

    def within(self, namespace: str | None) -> Alert:
        """With its identity kept apart from those of other namespaces."""
        if not namespace:
            return self
        within = replace(self, namespace=namespace)
        if self.identity is None:
            return within
        return replace(within, identity=sha256(f"{namespace}\0{self.identity}".encode()).hexdigest())

    @property
    def facts(self) -> dict[str, str]:
        """What rules and silences match."""
        return facts_of(
            self.labels,
            source=self.source,
            service=self.service,
            severity=self.severity,
            title=self.heading,
            namespace=self.namespace,
        )


def facts_of(labels: Mapping[str, str], **fields: str | None) -> dict[str, str]:
    """What a `Match` is compared with; of labels whose names differ in case alone, the first one counts."""
    named = {LABEL + name.casefold(): value for name, value in reversed(list(labels.items()))}
    return named | {name: value or "" for name, value in fields.items()}


def most_severe(one: Severity | None, other: Severity | None) -> Severity | None:
    """The worse of two severities; an unknown one is no severity."""
    known = [severity for severity in (one, other) if severity is not None]
    return min(known, key=SEVERITIES.index, default=None)


def rank(severity: str | None) -> int:
    """0 is the worst; an unknown severity counts as medium."""
    return SEVERITIES.index(severity or "medium")


def with_labels(labels: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """With newer values; of names that don't fit any more, those that were there first stay."""
    fitting: dict[str, str] = {}
    left = LABEL_BYTES
    for name, value in {**labels, **more}.items():
        left -= len(name.encode()) + len(value.encode())
        if left < 0 or len(fitting) == MOST_LABELS:
            break
        fitting[name] = value
    return fitting
