"""What people are told in their channels: which changes of an incident are news, and for whom; pure.

A notice is owed by the change that is news, and stored in the same step. How it is delivered, and what
happens to it in a storm, is for `app/tell.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from app.alert import SEVERITIES
from app.incident import Incident, State

News = Literal["created", "severity_raised", "acknowledged", "escalated", "failed", "resolved"]

SUMMARY = "summary"
"""Stands in a notice's place for many of them."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One piece of news for one target: a channel's name, or `name>address` for another address of it."""

    target: str
    news: str
    """`News`, or `SUMMARY`; then there is no incident."""
    incident_id: str = ""

    @property
    def member(self) -> str:
        """What it is called among the notices of its target."""
        return f"{self.news}:{self.incident_id}"

    @staticmethod
    def of(target: str, member: str) -> Notice:
        """The notice that is called so."""
        news, _, incident_id = member.partition(":")
        return Notice(target, news, incident_id)


def channel_of(target: str) -> str:
    """The name of the channel whose target it is; after `>` stands an address of it that a request named."""
    return target.partition(">")[0]


def news(before: Incident | None, after: Incident) -> Iterator[News]:
    """What people want to know of this change; a repeat alone is no news."""
    if before is None or (before.state is State.OPEN and after.state is State.PENDING):
        yield "created"
    elif _rank(after) < _rank(before) and after.state is not State.RESOLVED:
        yield "severity_raised"
    if after.acknowledged_at is not None and (
        before is None or before.acknowledged_at != after.acknowledged_at
    ):
        yield "acknowledged"
    if after.escalated_at is not None and (before is None or before.escalated_at is None):
        yield "escalated"
    if after.failed_at is not None and (before is None or before.failed_at is None):
        yield "failed"
    if after.state is State.RESOLVED and before is not None and before.state is not State.RESOLVED:
        yield "resolved"


def _rank(incident: Incident) -> int:
    return SEVERITIES.index(incident.severity or "medium")
