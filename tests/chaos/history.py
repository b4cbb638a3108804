"""What happened in a run, as data: one clock (`time.time()`, Redis's too), and one list for each kind."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Action = Literal[
    "firing",
    "resolved",
    "refused",
    "acknowledge",
    "unacknowledge",
    "resolve",
    "escalate_now",
    "silence",
    "end_silence",
]
"""What a request asks for: three are webhooks, the last of which can't be read, the others a person's."""


MARKER = re.compile(r"chaos-\d+(-\d+)?")


def marker_in(title: str) -> str:
    """The marker of the webhook that an incident with this title is about; nothing for one of our own."""
    found = MARKER.search(title)
    return found.group() if found else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """An incident as an answer showed it; `due_at` in seconds, None when nothing is scheduled."""

    id: str
    state: str
    due_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request to a web process, and its answer if there was one."""

    action: Action
    sent_at: float
    answered_at: float | None
    """None: no answer came, so nobody knows what was done, nor when it will be."""
    marker: str
    """Of the webhook, or of the one that made the incident that a person acts on; in every title."""
    attempt: int = 1
    web: int = 0
    problem: str | None = None
    """The sender's own key, which ties webhooks to one incident."""
    source: str = "source-default"
    """The alert source that pages for a new incident."""
    adds: bool = False
    """The webhook names its alert source, and asks for on-call: a known incident is paged there as well."""
    channel: str = ""
    """The channel that a new incident is notified to."""
    wait: float = 0.0
    """Seconds that the webhook asks to wait for an acknowledgement."""
    grows: bool = False
    """The webhook says that an alert has joined, more severe than all before."""
    worse: bool = False
    """The webhook says that its problem is more severe than a rule holds."""
    silence: str | None = None
    """The silence that was made or ended."""
    until: float | None = None
    """When it ends by itself; of one without an answer, at the latest."""
    incident: str | None = None
    """What a person acts on."""
    minutes: float | None = None
    """For so long a person acknowledges; None: until it is resolved."""
    status: int | None = None
    retry_after: bool = False
    incidents: tuple[Seen, ...] = ()
    note: str = ""
    """The error of the answer, or why none came."""

    @property
    def certain(self) -> bool:
        """Whether its sender knows that it was done."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One request as it reached a provider."""

    at: float
    key: str
    kind: str
    """`firing` or `resolved`; for PagerDuty also `acknowledged`."""
    source: str
    accepted: bool
    status: int
    """Of the answer, even of one that never came."""
    marker: str
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """A message as it reached a channel: about one incident, or a summary of so many."""

    at: float
    channel: str
    incident: str | None = None
    """None: a summary."""
    event: str = "created"
    """The newest change that it is about."""
    through: float = 0.0
    """When the newest of all changes that it knew of happened."""
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that the harness broke, from when to when."""

    kind: str
    began_at: float
    ended_at: float
    detail: str = ""
    since: float | None = None
    """What Redis took between then and the end of the fault may be lost; None: it lost nothing."""
    incident: str | None = None
    """Whose record was damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """A process of the Procfile was started, or ended."""

    at: float
    name: str
    event: Literal["started", "ended", "died"]
    """`died`: though nobody had asked it to end."""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An incident as the admin API shows it after everything was healed."""

    id: str
    state: str
    title: str
    due_at: float | None
    acknowledged_at: float | None
    escalated_at: float | None
    resolved_at: float | None
    attempts: int
    created_at: float = 0.0
    timeline: tuple[str, ...] | None = None
    """The events on its timeline; None when it was not looked up."""
    late: tuple[float, ...] = ()
    """When its timeline says that its page did not get out."""
    previous_id: str | None = None
    """The incident that it continues."""


@dataclass(slots=True)
class History:
    """All of it. `ended_at`: when the records were read, in seconds; what was due by then had to be paged."""

    exchanges: list[Exchange] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    notifications: list[Notification] = field(default_factory=list)
    channels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The events that each channel wants to hear of."""
    last_resorts: list[Notification] = field(default_factory=list)
    """What came to the channel that is tried when no pager takes a page."""
    spare_alone_until: float | None = None
    """From when all was healed until then, incident.io took nothing, and the fallback did."""
    not_ready: str | None = None
    """What `/readyz` complained of at the end."""
    ended_at: float = float("inf")

    def lines(self) -> Iterator[dict[str, Any]]:
        """Everything, in the order in which it began."""
        everything: list[tuple[float, dict[str, Any]]] = []
        for kind in ("exchanges", "events", "faults", "lives", "notifications", "last_resorts"):
            for one in getattr(self, kind):
                row = asdict(one)
                everything.append((moment_of(one), {"what": kind[:-1], **row}))
        yield from (row for _, row in sorted(everything, key=lambda pair: pair[0]))
        yield from ({"what": "record", **asdict(record)} for record in self.records)
        end = {name: getattr(self, name) for name in ("ended_at", "not_ready", "spare_alone_until")}
        yield {"what": "end", **end}

    def write(self, path: Path) -> None:
        """As JSON lines."""
        path.write_text("".join(json.dumps(line) + "\n" for line in self.lines()))


def moment_of(one: Exchange | Event | Fault | Life | Notification) -> float:
    """When it happened, or began."""
    if isinstance(one, Exchange):
        return one.sent_at
    return one.began_at if isinstance(one, Fault) else one.at
