"""What is counted for `/metrics`, in Redis, so that many processes make one truth.

Whatever follows from a change of an incident is counted in the step that writes it: `counts` (hash) holds
every number under `<name>|<label>|…`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.incident import Incident
from app.notice import channel_of
from app.store.connection import PREFIX, Command, Connection

COUNTS = PREFIX + "counts"
LAST_PAGE = PREFIX + "last_page"
SOURCES = COUNTS + ":sources"

MOST_SOURCES = 100
OTHER = "other"
# KEYS: sources; ARGV: how many at the most, then new ones. Which are counted by themselves is decided once,
# for all processes: what is in the set never goes.
LEARN = """
for i = 2, #ARGV do
  if redis.call('SCARD', KEYS[1]) < tonumber(ARGV[1]) then
    redis.call('SADD', KEYS[1], ARGV[i])
  end
end
return redis.call('SMEMBERS', KEYS[1])
"""

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
    """Attempts in vain, by reason and alert source."""
    late: Mapping[float, int]
    """Pages that were late by no more than so many seconds; `inf` counts all."""
    late_sum: float
    """Seconds by which all of them were late together."""
    told: Mapping[tuple[str, ...], int]
    """Notices, by channel and outcome (`told`, `failed`)."""
    last_page: float | None
    """When the last page was delivered, Unix time."""


def index(changes: Sequence[tuple[Incident | None, Incident]], sources: Sources) -> Iterator[Command]:
    """The commands that count these changes; part of the step that writes the incidents."""
    sources.learn(after.source for _, after in changes)
    counts: Counter[str] = Counter()
    late = 0.0
    for before, after in changes:
        for name, labels in _happened(before, after, sources.label(after.source)):
            counts[_field(name, *labels)] += 1
        if before is not None and before.state is not after.state:
            counts[_field("current", sources.label(before.source), before.state)] -= 1
        if _paged(before, after) and after.escalated_at is not None:
            late += max(0.0, (after.escalated_at - (after.due_at or after.escalated_at)).total_seconds())
            yield "SET", LAST_PAGE, after.escalated_at.timestamp()
    yield from (("HINCRBY", COUNTS, field, by) for field, by in counts.items() if by)
    if late:
        yield "HINCRBYFLOAT", COUNTS, "late_sum", late


def told(target: str, outcome: str) -> Command:
    """The command that counts how telling a target ended."""
    return "HINCRBY", COUNTS, _field("told", channel_of(target), outcome), 1


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
    if before is None:
        return
    if after.attempts > before.attempts:
        yield "attempts", (after.alert_source,)
    # Not by `failures`: they begin anew when the last attempt ends in giving up, or in owing an all-clear.
    ended = before.claim is not None and after.claim is None
    if ended and after.last_reason is not None and not _paged(before, after):
        yield "retries", (after.last_reason, after.alert_source)
    if _paged(before, after) and after.escalated_at is not None:
        yield "pages", ("delivered", after.alert_source)
        late = (after.escalated_at - (after.due_at or after.escalated_at)).total_seconds()
        yield from (("late", (str(bound),)) for bound in (*BUCKETS, "inf") if late <= float(bound))
    elif after.failed_at is not None and before.failed_at is None:
        yield "pages", ("gave_up" if after.owes is None else "failed", after.alert_source)


def _paged(before: Incident | None, after: Incident) -> bool:
    return before is not None and before.escalated_at is None and after.escalated_at is not None


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
        told=of("told"),
        last_page=None if last_page is None else float(last_page),
    )


class Sources:
    """Names of sources to count by: the first hundred, since strangers may think of any number."""

    def __init__(self, connection: Connection) -> None:
        self._learn = connection.script(LEARN)
        self._known: set[str] = set()

    def learn(self, sources: Iterable[str]) -> None:
        """Decide which of these are counted by themselves from now on. Raises `Unavailable`."""
        new = set(sources) - self._known
        if new and len(self._known) < MOST_SOURCES:
            self._known = set(self._learn([SOURCES], [MOST_SOURCES, *sorted(new)]))

    def label(self, source: str) -> str:
        """What to count it as."""
        return source if source in self._known else OTHER

    def gone(self, incidents: Sequence[Incident]) -> Iterator[Command]:
        """The commands that stop counting incidents which are removed. Raises `Unavailable`."""
        self.learn(incident.source for incident in incidents)
        gone = Counter(_field("current", self.label(one.source), one.state) for one in incidents)
        yield from (("HINCRBY", COUNTS, field, -count) for field, count in gone.items())
