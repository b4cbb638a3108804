"""Which open incidents have an identity, and which problems ended before they arrived.

`open_identities` is a sorted set of a name for each incident that is not resolved and has an identity, which
several may share (docs/decisions/0011). `end:<identity>` is a hash; its `at` is the `End` of a problem that
may arrive yet; Redis removes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import TypeAdapter

from app.domain.alert import End
from app.domain.incident import Incident
from app.domain.state import Phase
from app.store.connection import PREFIX, Command
from app.store.transaction import Check

IDENTITIES = PREFIX + "open_identities"
ENDS = PREFIX + "end:"
ENDS_SECONDS = 3_600
END = TypeAdapter(End)

_AFTER_IDS = "\x7f"
"""Sorts behind every ID."""


def names_of(identities: Sequence[str]) -> list[Command]:
    """What asks for the names of the incidents with each identity."""
    begins = ["[" + _name(identity) for identity in identities]
    return [("ZRANGEBYLEX", IDENTITIES, begin, begin + _AFTER_IDS) for begin in begins]


def id_of(name: str) -> str:
    """The incident that a name stands for."""
    return name.rpartition(" ")[2]


def ids_of(identity: str, names: Sequence[str]) -> list[str]:
    """The incidents with exactly this identity, of the names that begin with it."""
    pairs = (name.rpartition(" ") for name in names)
    return [incident_id for one, _, incident_id in pairs if one == identity]


def unchanged(identity: str, names: Sequence[str]) -> Check:
    """The incidents with this identity are still those."""
    return IDENTITIES, "[" + _name(identity), " ".join(names)


def index(before: Incident | None, after: Incident) -> Iterator[Command]:
    """The command that puts an incident into the index, or takes it out; part of the step that writes it."""
    was, now = _indexed(before), _indexed(after)
    if was != now:
        yield ("ZADD", IDENTITIES, 0, now) if now else ("ZREM", IDENTITIES, was or "")


def ended(identity: str, end: End) -> Iterator[Command]:
    """The commands that remember an end."""
    yield "HSET", ENDS + identity, "at", END.dump_json(end).decode()
    yield "EXPIRE", ENDS + identity, ENDS_SECONDS


def _indexed(incident: Incident | None) -> str | None:
    if incident is None or incident.identity is None or incident.phase is Phase.RESOLVED:
        return None
    return _name(incident.identity, incident.id)


def _name(identity: str, incident_id: str = "") -> str:
    return f"{identity} {incident_id}"
