"""`versus silence`: make a silence, list them, or end one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from app import silences
from app.bootstrap import Services
from app.cli.output import write_json, write_table
from app.domain.timeline import rfc3339
from app.serializers import silence_out, silences_out


def silence(services: Services, arguments: argparse.Namespace) -> int:
    """With conditions make one, with `--end` end one, else list them."""
    if arguments.end is not None:
        done, one = "ended", silences.end(services, _whole_id(services, arguments.end), arguments.by)
    elif arguments.match:
        done = "silenced"
        one = silences.make(
            services,
            _match(arguments.match),
            minutes=arguments.minutes,
            until=arguments.until,
            comment=arguments.comment,
            by=arguments.by,
        )
    else:
        return _list(services, arguments)
    if arguments.json:
        write_json([silence_out(services, one)])
    else:
        sys.stdout.write(f"{done}: {one.id} {one.match}, until {rfc3339(one.over_at)}\n")
    return 0


def _list(services: Services, arguments: argparse.Namespace) -> int:
    listed = [one for one in silences_out(services) if one["active"] or arguments.all]
    if arguments.json:
        write_json(listed)
        return 0
    by_id = {one.id: one for one in services.store.silences.known.all}
    rows = [
        (
            one["id"],
            one["ended_at"] or one["until"],
            str(one["held"]) if one["active"] else "ended",
            one["by"],
            str(by_id[one["id"]].match),
            one["comment"],
        )
        for one in listed
    ]
    write_table(("id", "until", "held", "by", "matches", "comment"), rows)
    return 0


def _match(conditions: Sequence[str]) -> dict[str, list[str]]:
    match: dict[str, list[str]] = {}
    for condition in conditions:
        field, equals, pattern = condition.partition("=")
        if not equals:
            raise silences.InvalidSilence(f"{condition!r} is no condition such as service=checkout*.")
        match.setdefault(field, []).append(pattern)
    return match


def _whole_id(services: Services, wanted: str) -> str:
    """That of the silence, of which the beginning is enough if it is the only one that begins so."""
    known = services.store.silences.read().all
    found = [one.id for one in known if one.id.startswith(wanted)]
    return found[0] if len(found) == 1 else wanted
