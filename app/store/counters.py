"""What is counted for `/metrics`, in Redis, so that many processes make one truth.

Whatever follows from a change of an incident is counted in the step that writes it: `counts` (hash) holds
every number under `<name>|<label>|…`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

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
BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)


@dataclass(frozen=True, slots=True)
class Counters:
    """Every number, by its labels in the order of the name."""

    received: Mapping[tuple[str, ...], int]
    """Webhooks that made or repeated an incident, by source."""
    created: Mapping[tuple[str, ...], int]
    """Incidents, by source."""
    current: Mapping[tuple[str, ...], int]
    """Incidents that are stored now, by source and state."""
    pages: Mapping[tuple[str, ...], int]
    """Pages, by outcome (`delivered`, `failed`, `gave_up`) and alert source."""
    attempts: Mapping[tuple[str, ...], int]
    """Attempts to page, by alert source."""
    retries: Mapping[tuple[str, ...], int]
    """Failed attempts, by reason and alert source."""
    late: Mapping[float, int]
    """Pages that were late by no more than so many seconds; `inf` counts all."""
    late_sum: float
    """Seconds by which all of them were late together."""
    notified: Mapping[tuple[str, ...], int]
    """Attempts to notify, by channel and outcome (`delivered`, `failed`)."""
    last_page: float | None
    """When the last page was delivered, Unix time."""


def index(changes: Sequence[tuple[Incident | None, Incident]], sources: Sources) -> Iterator[Command]:
    """The commands that count these changes; part of the step that writes the incidents."""
    sources.register(after.source for _, after in changes)
    counts: Counter[str] = Counter()
    late = 0.0
    for before, after in changes:
        for name, labels in _happened(before, after, sources.label(after.source)):
            counts[_field(name, *labels)] += 1
        if before is not None and before.state is not after.state:
            counts[_field("current", sources.label(before.source), before.state)] -= 1
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


def _field(name: str, *labels: str) -> str:
    # A source is a stranger's word.
    return "|".join((name, *(label.replace("|", "/") for label in labels)))


def _happened(before: Incident | None, after: Incident, source: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    if before is None:
        yield "created", (source,)
    if before is None or after.occurrences > before.occurrences:
        yield "received", (source,)
    if before is None or after.state is not before.state:
        yield "current", (source, after.state)
    if before is not None:
        for alert_source, had, has in _pagers(before, after):
            yield from _attempted(alert_source, had, has)
        for alert_source, _, delivery in _paged(before, after):
            yield "pages", ("delivered", alert_source)
            late = _lateness(after, delivery)
            yield from (("late", (str(bound),)) for bound in (*BUCKETS, "inf") if late <= float(bound))


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
            yield pager.address or "default", had, has


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
    named: dict[str, Counter[tuple[str, ...]]] = {}
    for field, value in flat.items():
        name, *labels = field.split("|")
        if name != "late_sum":
            named.setdefault(name, Counter())[tuple(labels)] = int(value)

    def of(name: str) -> Mapping[tuple[str, ...], int]:
        return named.get(name, {})

    return Counters(
        received=of("received"),
        created=of("created"),
        current=of("current"),
        pages=of("pages"),
        attempts=of("attempts"),
        retries=of("retries"),
        late={float(labels[0]): count for labels, count in of("late").items()},
        late_sum=float(flat.get("late_sum", 0)),
        notified=of("delivered"),
        last_page=None if last_page is None else float(last_page),
    )


class Sources:
    """Names of sources to count by: the first hundred, since strangers may think of any number."""

    def __init__(self, connection: Connection) -> None:
        self._register = connection.script(lua("register_sources"))
        self._known: set[str] = set()

    def register(self, sources: Iterable[str]) -> None:
        """Decide which of these are counted by themselves from now on. Raises `StoreUnavailable`."""
        new = set(sources) - self._known
        if new and len(self._known) < MOST_SOURCES:
            self._known = set(self._register([SOURCES], [MOST_SOURCES, *sorted(new)]))

    def label(self, source: str) -> str:
        """What to count it as."""
        return source if source in self._known else OTHER

    def gone(self, incidents: Sequence[Incident]) -> Iterator[Command]:
        """The commands that stop counting incidents which are removed. Raises `StoreUnavailable`."""
        self.register(incident.source for incident in incidents)
        gone = Counter(_field("current", self.label(one.source), one.state) for one in incidents)
        yield from (("HINCRBY", COUNTS, field, -count) for field, count in gone.items())
