"""Who is on call at incident.io, by its schedules (`GET /v2/schedules`)."""

from __future__ import annotations

from collections.abc import Mapping

from app.destinations.http import whole_call
from app.destinations.incident_io.account import Account, NotKnown, not_understood, objects, text
from app.sanitize import one_line

NAME = 80
MOST_PAGES = 10


def schedules(account: Account, deadline: float) -> Mapping[str, bool] | None:
    """By the name of each schedule, whether somebody is on call now; None: that is not known."""
    try:
        return _read(account, whole_call(deadline))
    except NotKnown as reason:
        account.note(reason)
        return None


def _read(account: Account, deadline: float) -> dict[str, bool]:
    """A schedule that does not say it is left out. Raises `NotKnown`."""
    people: dict[str, bool] = {}
    query = {"page_size": "25"}
    for _ in range(MOST_PAGES):
        answer = account.get("schedules", deadline, query)
        for schedule in objects(answer, "schedules"):
            if "current_shifts" in schedule:
                shifts = objects(schedule, "current_shifts")
                name = one_line(text(schedule, "name"), NAME)
                people[name] = any(shift.get("user") for shift in shifts) or people.get(name, False)
        meta = answer.get("pagination_meta")
        after = meta.get("after") if isinstance(meta, dict) else None
        if not after:
            return people
        query = {"page_size": "25", "after": str(after)}
    raise not_understood(f"there are more than {MOST_PAGES} pages of schedules")


def nobody(people: Mapping[str, bool]) -> str | None:
    """A sentence if a schedule has nobody on call now."""
    empty = [name for name, somebody in people.items() if not somebody]
    if not empty:
        return None
    if len(empty) == len(people):
        return f"NOBODY is on call now, in any of {len(people)} schedule(s)"
    return f"nobody in {', '.join(empty[:5])}{' and others' if len(empty) > 5 else ''}"
