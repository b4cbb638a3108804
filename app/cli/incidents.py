"""`versus list`, `show`, `explain`, `ack`, `unack`, `resolve`, `escalate`: what the dashboard can do."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime

from app import actions
from app.bootstrap import Services
from app.cli.output import write_json, write_table
from app.domain.explain import explain
from app.domain.incident import Incident
from app.domain.state import State
from app.domain.timeline import rfc3339
from app.sanitize import lines, one_line
from app.serializers import brief, whole, with_notifications
from app.store import Search

NEWEST = 1_000
SHORTEST_PREFIX = 4
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
    else:
        headings = ("id", "state", "severity", "created", "pages", "title")
        write_table(headings, (_row(one, now) for one in found))
    return 0


def _row(incident: Incident, now: datetime) -> tuple[str, ...]:
    waits = incident.state is State.PENDING and incident.due_at is not None
    left = f"in {max(0, int((incident.due_at - now).total_seconds()))} s" if waits and incident.due_at else ""
    created = rfc3339(incident.created_at)[:19] + "Z"
    return incident.id, incident.state, incident.severity or "", created, left, incident.title


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
unacknowledge = act("open again", actions.unacknowledge)
resolve = act("resolved", actions.resolve)
escalate = act("paging", actions.escalate_now)


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
        stated = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no time such as 2026-03-04T03:00:00Z") from None
    return stated.replace(tzinfo=stated.tzinfo or UTC).astimezone(UTC)
