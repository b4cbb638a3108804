"""What happened to an incident, line by line: why somebody was paged, and what holds now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

# A timeline keeps its beginning (why somebody was paged) and its end (what holds now).
HEAD = 40
TAIL = 160


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of an incident's timeline."""

    at: datetime
    event: str
    detail: str = ""


def continued(timeline: tuple[Entry, ...], entry: Entry) -> tuple[Entry, ...]:
    """The timeline with one more line; of one that has grown too long the middle is left out."""
    longer = (*timeline, entry)
    return longer if len(longer) <= HEAD + TAIL else longer[:HEAD] + longer[-TAIL:]


def rfc3339(moment: datetime) -> str:
    """UTC with `Z`, in milliseconds (RFC 3339)."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
