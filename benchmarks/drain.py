"""How a storm drained, from the requests that incident.io saw: attempts, rate, order of severity."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from app.domain.alert import SEVERITIES, Severity
from local.incident_io_rules import Request

WINDOW_SECONDS = 60


def accepted(requests: Sequence[Request], source: str) -> list[Request]:
    """The events of this alert source that incident.io took, in order."""
    return [request for request in requests if request.source == source and request.accepted]


def attempts_per_incident(requests: Sequence[Request], source: str) -> float:
    """Requests for this alert source, whatever was answered, for each incident that got through."""
    tried = sum(request.source == source for request in requests)
    keys = {event.body["deduplication_key"] for event in accepted(requests, source)}
    return tried / len(keys)


def least_seconds(count: int, per_minute: int) -> float:
    """From the first to the last of so many events when any 60 s may see `per_minute` of them.

    The best that anybody can do is a whole minute's worth at once, again after 60 s, and so on: of 3,000 with
    1,200 a minute the last 600 leave after 120 s.
    """
    return float(WINDOW_SECONDS * (math.ceil(count / per_minute) - 1))


def share_of_allowed(events: Sequence[Request], per_minute: int) -> float:
    """The least time in which these events could have left, divided by the time that they took.

    To the least time that the limit allows comes what the machine needs to send the last minute's events once
    they may leave; it is the most that the same number of events took at the beginning of another minute.
    """
    first = events[0].monotonic
    last_minutes = (len(events) - 1) % per_minute + 1
    begins = range(0, max(1, len(events) - per_minute), per_minute)
    burst = max(events[n + last_minutes - 1].monotonic - events[n].monotonic for n in begins)
    return (least_seconds(len(events), per_minute) + burst) / (events[-1].monotonic - first)


def ranks(events: Sequence[Request], severities: Mapping[str, Severity]) -> list[int]:
    """How severe the incident of each event is, 0 for the worst; `severities` by incident ID."""
    return [SEVERITIES.index(severities[event.body["deduplication_key"]]) for event in events]


def overtaken(ranks: Sequence[int]) -> list[int]:
    """Of each event, how many that are less severe left before it."""
    left: Counter[int] = Counter()
    places = []
    for rank in ranks:
        places.append(sum(count for other, count in left.items() if other > rank))
        left[rank] += 1
    return places
