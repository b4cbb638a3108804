"""What became of a page at incident.io, and acknowledgements that come after it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from app.destinations.http import whole_call
from app.destinations.incident_io.account import Account, NotKnown, not_understood, objects, text
from app.domain.delivery import Outcome
from app.domain.trace import Trace
from app.sanitize import one_line
from config import AlertSource

NAME = 80
MOST_NAMES = 5
# An acknowledgement has a slot that pages may need.
ACKNOWLEDGE_SECONDS = 6.0
# Attempts until an alert is believed to have no escalation: incident.io may still be at work on it.
TOO_EARLY = 5
WAIT_SECONDS = 5.0

OPEN = ("triggered", "pending", "delayed", "pending_repeat")
"""The states of an escalation by which somebody may yet be notified; the surest first."""


def trace(account: Account, incident_id: str, source: AlertSource, deadline: float) -> Trace:
    """What became of the page; never raises."""
    deadline = whole_call(deadline)
    try:
        alert = _alert(account, incident_id, source, deadline)
        if alert is None:
            return _no_alert(account, source, deadline)
        names = list(dict.fromkeys(_notified(_escalations(account, alert, deadline))))
    except NotKnown as reason:
        account.note(reason)
        return Trace("unknown", str(reason))
    if names:
        return Trace("notified", f"incident.io notified {_listed(names)}")
    return Trace("nobody_yet", "incident.io has the alert, and has notified nobody yet")


def acknowledge(
    account: Account, incident_id: str, source: AlertSource, failures: int, deadline: float
) -> Outcome:
    """Acknowledge every open escalation of the alert; `failures`: attempts that failed in a row before."""
    deadline = min(deadline, time.monotonic() + ACKNOWLEDGE_SECONDS)
    try:
        alert = _alert(account, incident_id, source, deadline)
        found = [] if alert is None else _escalations(account, alert, deadline)
        wanted = [text(one, "id") for status in OPEN for one in found if one.get("status") == status]
        for escalation_id in wanted:
            path = f"escalations/{quote(escalation_id, safe='')}/actions/respond"
            account.post(path, b'{"response": "ack"}', deadline)
    except NotKnown as reason:
        account.note(reason)
        return reason.outcome
    if not found and failures < TOO_EARLY:
        detail = "incident.io has no escalation to acknowledge yet."
        return Outcome("try_again", detail, "not_found", not_before=WAIT_SECONDS)
    if not wanted:
        return Outcome("delivered", "incident.io has no open escalation, so none was acknowledged.")
    return Outcome("delivered", f"incident.io acknowledged {len(wanted)} escalation(s).")


def _alert(account: Account, incident_id: str, source: AlertSource, deadline: float) -> str | None:
    """The ID of the alert; None if there is none with that key."""
    query = {"deduplication_key[is]": incident_id, "page_size": "25"}
    answer = account.get("alerts", deadline, query)
    alerts = objects(answer, "alerts")
    if not isinstance(answer.get("pagination_meta"), dict):
        raise not_understood("it has no pagination_meta")
    for alert in alerts:
        # With a fallback, another source has an alert with the same key.
        if (text(alert, "deduplication_key"), text(alert, "alert_source_id")) == (incident_id, source.id):
            return text(alert, "id")
    if alerts:
        raise not_understood("it has other alerts than this one")
    return None


def _escalations(account: Account, alert_id: str, deadline: float) -> list[dict[str, Any]]:
    """Those that this alert created: nobody else's may be acknowledged."""
    query = {"alert[one_of]": alert_id, "page_size": "25"}
    found = objects(account.get("escalations", deadline, query), "escalations")
    for escalation in found:
        creator = escalation.get("creator")
        alert = creator.get("alert") if isinstance(creator, dict) else None
        if not isinstance(alert, dict) or alert.get("id") != alert_id:
            raise not_understood("it has an escalation of something else")
    return found


def _no_alert(account: Account, source: AlertSource, deadline: float) -> Trace:
    """That counts only if this key sees the source, and the source keeps the keys that it is sent."""
    shown = account.get(f"alert_sources/{quote(source.id, safe='')}", deadline).get("alert_source")
    if not isinstance(shown, dict) or (shown.get("id"), shown.get("source_type")) != (source.id, "http"):
        raise not_understood("the alert source is no plain HTTP source that this key sees")
    why = "; the alert source has filters" if shown.get("filter_condition_groups") else ""
    return Trace("no_alert", f"incident.io accepted the page, but has no such alert{why}")


def _notified(escalations: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The names of people, and that channels were notified."""
    for event in (event for escalation in escalations for event in objects(escalation, "events")):
        if event.get("event") in ("notified_users", "acked"):
            yield from (one_line(text(user, "name"), NAME) for user in objects(event, "users"))
        elif event.get("event") == "notified_channels":
            yield "a channel"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more
