"""`versus list`, `show`, `explain`, `ack`, `unack`, `resolve`, `escalate`: what the dashboard can do."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from datetime import datetime

from app import actions
from app.bootstrap import Services
from app.cli.output import write_json, write_table
from app.domain.explain import explain
from app.domain.incident import Incident
from app.domain.state import State
from app.domain.timeline import parsed_time, rfc3339
from app.sanitize import lines, one_line
from app.serializers import brief, whole, with_notifications
from app.store import Search

NEWEST = 1_000
HEADINGS = ("id", "state", "severity", "created", "pages", "title")
SHORT_HEADINGS = ("id", "age", "title", "severity", "state")
SHORTEST_PREFIX = 4
SHOWN_OF_ID = 8
NEXT = "Send a test, which pages nobody: versus send-test"
LONGEST_NAME = 100


class AmbiguousId(Exception):
    """The beginning of an ID stands for no incident, or for several."""


def list_incidents(services: Services, arguments: argparse.Namespace) -> int:
    """The newest incidents that are wanted."""
    search = Search(
        states=frozenset(State(one) for one in arguments.state or ()),
        severities=frozenset(arguments.severity or ()),
        service=arguments.service or "",
        source=arguments.source or "",
        words=" ".join(arguments.words),
        since=arguments.since,
        until=arguments.until,
    )
    found: list[Incident] = []
    cursor: str | None = None
    while len(found) < arguments.limit:
        page = services.store.incidents.page(search, arguments.limit - len(found), cursor)
        found += page.incidents
        cursor = page.cursor
        if cursor is None:
            break
    now = services.clock()
    if arguments.json:
        write_json(brief(services, one, now) for one in found)
    elif not found:
        sys.stderr.write("No incidents match.\n" if search != Search() else f"No incidents yet. {NEXT}\n")
    elif sys.stdout.isatty():
        write_table(SHORT_HEADINGS, (_short_row(one, now) for one in found), shrinks="title")
    else:
        write_table(HEADINGS, (_row(one, now) for one in found))
    return 0


def _short_row(incident: Incident, now: datetime) -> tuple[str, ...]:
    """For a terminal of 80 columns; the other commands take the beginning of an ID."""
    left = _left(incident, now)
    state = incident.state if left is None else f"{incident.state}, {_short(left)}"
    age = _short((now - incident.created_at).total_seconds())
    return incident.id[:SHOWN_OF_ID], age, incident.title, incident.severity or "", state


def _row(incident: Incident, now: datetime) -> tuple[str, ...]:
    left = _left(incident, now)
    pages = "" if left is None else f"in {int(left)} s"
    created = rfc3339(incident.created_at)[:19] + "Z"
    return incident.id, incident.state, incident.severity or "", created, pages, incident.title


def _left(incident: Incident, now: datetime) -> float | None:
    """Seconds until it pages; None if it does not wait."""
    if incident.state is not State.PENDING or incident.due_at is None:
        return None
    return max(0.0, (incident.due_at - now).total_seconds())


def _short(seconds: float) -> str:
    """In the largest unit of which there is at least one."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"


def show(services: Services, arguments: argparse.Namespace) -> int:
    """Everything that is known of one incident."""
    shown = whole(services, _find(services, arguments.id))
    if arguments.json:
        write_json([shown])
        return 0
    for name, value in shown.items():
        if name == "timeline":
            for entry in value:
                sys.stdout.write(f"  {entry['at']} {entry['event']} {one_line(entry['detail'], 500)}\n")
        elif value not in (None, {}, ""):
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            sys.stdout.write(f"{name}: {lines(text, 5_000)}\n")
    return 0


def explain_one(services: Services, arguments: argparse.Namespace) -> int:
    """Why it paged or did not, in words."""
    incident = _find(services, arguments.id)
    sentences = list(explain(with_notifications(services, incident), services.clock()))
    if arguments.json:
        write_json([{"id": incident.id, "explanation": sentences}])
    else:
        sys.stdout.write("".join(f"{one_line(sentence, 1_000)}\n" for sentence in sentences))
    return 0


def act(done: str, action: Callable[..., Incident]) -> Callable[[Services, argparse.Namespace], int]:
    """A command that does this to an incident."""

    def command(services: Services, arguments: argparse.Namespace) -> int:
        incident = _find(services, arguments.id)
        by = one_line(arguments.by, LONGEST_NAME) or "versus"
        more = {"minutes": arguments.minutes} if hasattr(arguments, "minutes") else {}
        changed = action(services, incident.id, by, **more)
        if arguments.json:
            write_json([brief(services, changed, services.clock())])
        else:
            sys.stdout.write(f"{done}: {changed.id} {one_line(changed.title, 100)} ({changed.state})\n")
        return 0

    return command


acknowledge = act("acknowledged", actions.acknowledge)
unacknowledge = act("no longer acknowledged", actions.unacknowledge)
resolve = act("resolved", actions.resolve)
escalate = act("page requested", actions.escalate_now)


def _find(services: Services, wanted: str) -> Incident:
    """The incident with this ID, or the one of the newest thousand whose ID begins so."""
    incident = services.store.incidents.get(wanted)
    if incident is not None or len(wanted) < SHORTEST_PREFIX:
        return incident or services.store.incidents.require(wanted)
    page = services.store.incidents.page(Search(), NEWEST, None)
    found = [one for one in page.incidents if one.id.startswith(wanted)]
    if len(found) > 1:
        raise AmbiguousId(f"{len(found)} incidents have an ID that begins with {wanted}: give more of it.")
    return found[0] if found else services.store.incidents.require(wanted)


def moment(text: str) -> datetime:
    """Of an option: a time in RFC 3339; without an offset it is UTC."""
    try:
        return parsed_time(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no time such as 2026-03-04T03:00:00Z") from None
