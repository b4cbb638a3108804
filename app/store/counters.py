"""What is counted for `/metrics`, in Redis, so that many processes make one truth.

Whatever follows from a change of an incident is counted in the step that writes it: `counts` (hash) holds
every number under `<name>|<label>|…`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from app.domain.delivery import Delivery, Destination
from app.domain.incident import Incident
from app.store.connection import PREFIX, Command, Connection
from app.store.lua import lua

COUNTS = PREFIX + "counts"
LAST_PAGE = PREFIX + "last_page"
SOURCES = COUNTS + ":sources"

MOST_SOURCES = 100
OTHER = "other"

# Bounds of the histogram of lateness, seconds.
BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, inf)


Counts = Mapping[str, Mapping[tuple[str, ...], int]]


@dataclass(frozen=True, slots=True)
class Counters:
    """Every number that is counted."""

    counts: Counts
    """By name, then by labels: `received` (webhooks that made or repeated an incident) and `created` by
    source; `current` (incidents that are stored now) by source and state; `pages` by outcome (`delivered`,
    `failed`, `gave_up`) and alert source; `attempts` by alert source; `retries` (failed attempts) by reason
    and alert source; `delivered` (attempts to notify) by channel and outcome (`delivered`, `failed`); `late`
    (pages that were late by no more than so many seconds) by bound."""
    late_sum: float
    """Seconds by which all pages were late together."""
    last_page: float | None
    """When the last page was delivered, Unix time."""
    log_dropped: int
    """Log lines that nobody read in time."""
    webhooks_refused: int
    """Because too many waited."""


class Sources:
    """Names of sources to count by: those that are known, and the first hundred others, since strangers may
    think of any number."""

    def __init__(self, connection: Connection, named: Collection[str] = ()) -> None:
        self._named = frozenset(named)
        self._register = connection.script(lua("register_sources"))
        self._known: set[str] = set()

    def register(self, sources: Iterable[str]) -> None:
        """Decide which of these are counted by themselves from now on. Raises `StoreUnavailable`."""
        new = set(sources) - self._known - self._named
        if new and len(self._known) < MOST_SOURCES:
            self._known = set(self._register([SOURCES], [MOST_SOURCES, *sorted(new)]))

    def label(self, source: str) -> str:
        """What to count it as."""
        return source if source in self._known or source in self._named else OTHER

    def gone(self, incidents: Sequence[Incident]) -> Iterator[Command]:
        """The commands that stop counting incidents which are removed. Raises `StoreUnavailable`."""
        self.register(incident.source for incident in incidents)
        gone = Counter(_field("current", self.label(one.source), one.state) for one in incidents)
        yield from (("HINCRBY", COUNTS, field, -count) for field, count in gone.items())


def index(changes: Sequence[tuple[Incident | None, Incident]], sources: Sources) -> Iterator[Command]:
    """The commands that count these changes; part of the step that writes the incidents."""
    sources.register(after.source for _, after in changes)
    counts: Counter[str] = Counter()
    late = 0.0
    for before, after in changes:
        for name, labels in _happened(before, after, sources.label(after.source)):
            counts[_field(name, *labels)] += 1
        was, state = before.state if before is not None else None, after.state
        if was is not state:
            counts[_field("current", sources.label(after.source), state)] += 1
        if before is not None and was is not None and was is not state:
            counts[_field("current", sources.label(before.source), was)] -= 1
        for _, _, delivery in _paged(before, after):
            late += max(0.0, _lateness(after, delivery))
            if delivery.accepted_at is not None:
                yield "SET", LAST_PAGE, delivery.accepted_at.timestamp()
    yield from (("HINCRBY", COUNTS, field, by) for field, by in counts.items() if by)
    if late:
        yield "HINCRBYFLOAT", COUNTS, "late_sum", late


def notified(channel: Destination, outcome: str) -> Command:
    """The command that counts how an attempt to notify a channel ended."""
    return "HINCRBY", COUNTS, _field("delivered", channel.name, outcome), 1


def lost(lines: int, webhooks: int) -> Iterator[Command]:
    """The commands that count log lines which were dropped, and webhooks which were refused unread."""
    by_name = {"log_dropped": lines, "webhooks_refused": webhooks}
    yield from (("HINCRBY", COUNTS, name, count) for name, count in by_name.items() if count)


def _field(name: str, *labels: str) -> str:
    # A source is a stranger's word.
    return "|".join((name, *(label.replace("|", "/") for label in labels)))


def _happened(before: Incident | None, after: Incident, source: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    if before is None:
        yield "created", (source,)
    if before is None or after.occurrences > before.occurrences:
        yield "received", (source,)
    if before is not None:
        for alert_source, had, has in _pagers(before, after):
            yield from _attempted(alert_source, had, has)
        for alert_source, _, delivery in _paged(before, after):
            yield "pages", ("delivered", alert_source)
            late = _lateness(after, delivery)
            yield "late", (str(next(bound for bound in BUCKETS if late <= bound)),)


def _attempted(alert_source: str, had: Delivery, has: Delivery) -> Iterator[tuple[str, tuple[str, ...]]]:
    if has.attempts > had.attempts:
        yield "attempts", (alert_source,)
    # Not by `failures`: they begin anew when the last attempt ends in giving up, or in a resolve event.
    accepted = has.accepted_at is not None and had.accepted_at is None
    if had.claim is not None and has.claim is None and has.last_reason is not None and not accepted:
        yield "retries", (has.last_reason, alert_source)
    if has.failed_at is not None and had.failed_at is None and not accepted:
        yield "pages", ("gave_up" if has.given_up else "failed", alert_source)


def _pagers(before: Incident, after: Incident) -> Iterator[tuple[str, Delivery, Delivery]]:
    """The name of each alert source, what it had, and what it has."""
    for pager, has in after.pagers.items():
        had = before.pagers.get(pager, Delivery())
        if had is not has:
            yield pager.alert_source, had, has


def _paged(before: Incident | None, after: Incident) -> Iterator[tuple[str, Delivery, Delivery]]:
    """Those that took the page."""
    for one in _pagers(before, after) if before is not None else ():
        if one[1].accepted_at is None and one[2].accepted_at is not None:
            yield one


def _lateness(incident: Incident, delivery: Delivery) -> float:
    """Seconds by which the page was accepted after it was due."""
    if delivery.accepted_at is None or incident.due_at is None:
        return 0.0
    due = max(incident.due_at, delivery.added_at or incident.due_at)
    return (delivery.accepted_at - due).total_seconds()


def counted(flat: Mapping[str, str], last_page: str | None) -> Counters:
    """All that is counted, from what Redis has of it."""
    counts: defaultdict[str, dict[tuple[str, ...], int]] = defaultdict(dict)
    for field, value in flat.items():
        name, *labels = field.split("|")
        if name != "late_sum":
            counts[name][tuple(labels)] = int(value)
    return Counters(
        counts,
        late_sum=float(flat.get("late_sum", 0)),
        last_page=None if last_page is None else float(last_page),
        log_dropped=counts.get("log_dropped", {}).get((), 0),
        webhooks_refused=counts.get("webhooks_refused", {}).get((), 0),
    )
