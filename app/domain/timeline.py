"""What happened to an incident, line by line: why somebody was paged, and what holds now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

# A timeline keeps its beginning (why somebody was paged) and its end (what holds now).
HEAD = 40
TAIL = 160

# What senders, programs and attempts may cause any number of: of a long timeline these lines go first.
OFTEN = frozenset({"repeated", "note", "link_opened", "attempt", "attempt_failed", "sent_unclaimed"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of an incident's timeline."""

    at: datetime
    event: str
    detail: str = ""


def continued(timeline: tuple[Entry, ...], entry: Entry) -> tuple[Entry, ...]:
    """The timeline with one more line; of repeats in a row the last one stands for all.

    Of one that has grown too long, lines in the middle go, those of people last.
    """
    if timeline and entry.event == timeline[-1].event == "repeated":
        return (*timeline[:-1], entry)
    longer = (*timeline, entry)
    if len(longer) <= HEAD + TAIL:
        return longer
    gone = next((n for n in range(HEAD, len(longer) - 1) if longer[n].event in OFTEN), HEAD)
    return longer[:gone] + longer[gone + 1 :]


TIMES = {30: "30 minutes", 120: "2 hours"}
"""Minutes that people are offered to acknowledge for."""


def clock(moment: datetime) -> str:
    """A time to the second, UTC, with its date, for people."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def parsed_time(text: str) -> datetime:
    """A time in RFC 3339 as UTC; without an offset it is UTC. Raises `ValueError`."""
    stated = datetime.fromisoformat(text)
    try:
        return stated.replace(tzinfo=stated.tzinfo or UTC).astimezone(UTC)
    except OverflowError as error:
        raise ValueError(text) from error


def rfc3339(moment: datetime) -> str:
    """UTC with `Z`, in milliseconds (RFC 3339)."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
