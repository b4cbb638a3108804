"""An incident in words: whether and why it paged, what happened when, and what comes next; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime

from app.domain.incident import Incident
from app.domain.record import ITSELF
from app.domain.state import Phase, State
from app.domain.timeline import Entry, clock

EVENTS = {
    "received": "Alert received",
    "repeated": "Repeated",
    "repaired": "Payload repaired",
    "rule": "Rule",
    "waiting": "Pending",
    "note": "Note from the sender",
    "link_opened": "Acknowledgement link opened, which does not acknowledge anything",
    "reopened": "Reopened",
    "continued": "Continued",
    "notified": "Notified",
    "not_notified": "Could not notify",
    "pager_added": "Alert source added",
    "acknowledged": "Acknowledged",
    "escalate_now": "Page requested",
    "attempt": "Attempt",
    "attempt_failed": "Attempt failed",
    "escalated": "Escalated, the provider accepted the page",
    "delivered_late": "Escalated, the provider accepted the page after its attempt had timed out",
    "gave_up": "Failed, no further attempts",
    "confirmed": "Confirmed, somebody was notified",
    "not_confirmed": "Nobody is known to have been notified yet",
    "late": "Page is late",
    "fallback": "Fallback",
    "resolved": "Resolved",
    "silenced": "Silenced",
    "silence_ended": "Silence ended",
    "acknowledgement_sent": "The provider accepted the acknowledgement",
    "resolve_event_sent": "The provider accepted the resolve event",
    "sent_unclaimed": "Sent",
    "record_lost": "The record was lost",
    "record_unreadable": "The record cannot be read",
}
"""What each event of a timeline means, before its detail."""

STEPS = {
    "firing": "the page",
    "acknowledged": "the acknowledgement",
    "resolved": "the resolve event",
    "late": "all channels are notified that the page is late",
    "acknowledgement_ended": "the acknowledgement ends and the incident is reopened",
    "members_joined": "the incident is reopened because more alerts joined it",
    "previous_over": "the incident that it continues is resolved",
}
SENTENCES = (
    "received",
    "notified",
    "not_notified",
    "attempt",
    "acknowledged",
    "escalate_now",
    "continued",
    "resolved",
    "sent_unclaimed",
    "silenced",
)
"""Their detail continues the sentence."""
OCCURRENCE = re.compile(r"occurrence (\d+)")
"""Detail of a repeat, which counts the alerts of the incident."""


def happened(entry: Entry) -> str:
    """One line of a timeline as a sentence."""
    meaning = EVENTS.get(entry.event, entry.event)
    if not entry.detail:
        return f"{meaning}."
    joint = " " if entry.event in SENTENCES else ": "
    return f"{meaning}{joint}{entry.detail.rstrip('.')}."


def narrated(timeline: Iterable[Entry]) -> Iterator[tuple[Entry, str]]:
    """Each line of a timeline with its sentence; one line stands for repeats in a row and counts them."""
    known = 1
    for entry in timeline:
        found = OCCURRENCE.fullmatch(entry.detail) if entry.event == "repeated" else None
        if found is None:
            yield entry, happened(entry)
            continue
        count, known = int(found[1]) - known, int(found[1])
        yield entry, f"Repeated {count} times, last at {clock(entry.at)}." if count > 1 else "Repeated."


def lateness(incident: Incident) -> float | None:
    """Seconds by which the page was late; None while there was none."""
    if incident.escalated_at is None or incident.due_at is None:
        return None
    return max(0.0, (incident.escalated_at - incident.due_at).total_seconds())


def explain(incident: Incident, now: datetime) -> Iterator[str]:
    """The verdict, the timeline and the next step, a sentence each."""
    yield verdict(incident, now)
    late = lateness(incident)
    if late is not None:
        yield f"The page was accepted {late:.2f} s after it was due."
    for entry, sentence in narrated(incident.timeline):
        yield f"{clock(entry.at)}: {sentence}"
    yield next_step(incident, now)


def verdict(incident: Incident, now: datetime) -> str:
    """Whether it paged, and why."""
    if incident.state is State.FAILED and incident.worst.missing:
        return f"NOBODY IS KNOWN TO HAVE BEEN PAGED: {incident.last_error}"
    if incident.escalated_at is not None:
        asked = any(entry.event == "escalate_now" for entry in incident.timeline)
        why = "somebody requested the page" if asked else "nobody had acknowledged it by then"
        when = clock(incident.escalated_at)
        paged = [pager.alert_source for pager, delivery in incident.pagers.items() if delivery.accepted_at]
        through = " and ".join(repr(name or "default") for name in paged)
        return f"Paged through alert source {through} at {when}, because {why}."
    if held := _held(incident, now):
        return held
    if incident.due_at is None:
        rule = f", by the rule {incident.rule!r}" if incident.rule else ""
        return f"No page: the alert came in without on-call{rule}."
    if incident.state is State.ACKNOWLEDGED:
        by = incident.acknowledged_by or "somebody"
        until = f" until {clock(incident.acknowledged_until)}" if incident.acknowledged_until else ""
        return f"Nobody was paged: acknowledged by {by}{until}."
    if incident.state is State.RESOLVED:
        return "Nobody was paged: resolved before the page was due."
    if incident.state is State.FAILED:
        return f"NOBODY WAS PAGED: {incident.last_error or 'no reason is known'}"
    if incident.held_until is not None and incident.held_until > now:
        held = f"The rule {incident.rule!r} holds it until {clock(incident.held_until)}"
        return f"{held}: then it waits, and pages at {clock(incident.due_at)} unless somebody acknowledges."
    if incident.due_at > now:
        return f"Pages at {clock(incident.due_at)} unless somebody acknowledges."
    return f"The page was due at {clock(incident.due_at)} and has not been accepted yet."


def _held(incident: Incident, now: datetime) -> str | None:
    until = incident.silenced_until
    if until is None or not incident.is_silenced(now) or incident.phase not in (Phase.OPEN, Phase.PENDING):
        return None
    pages = f"; it pages at {clock(incident.due_at)} unless somebody acknowledges" if incident.due_at else ""
    return f"A silence holds it until {clock(until)}: nobody is notified or paged before that{pages}."


def next_step(incident: Incident, now: datetime) -> str:
    """What comes next."""
    steps = sorted(incident.steps(), key=lambda one: one[1].at)
    if not steps:
        if incident.next_id:
            return f"Next: nothing; incident {incident.next_id} continues it."
        if incident.state is State.FAILED:
            return "Next: nothing, until the alert is repeated or somebody requests the page."
        return "Next: nothing; there is nothing to send to the provider."
    destination, step = steps[0]
    what, when = STEPS[step.event], clock(step.at)
    if destination == ITSELF:
        return f"Next: {what}{f' at {when}' if step.at > now else ' now'}."
    if incident.pagers[destination].claim is not None and step.at > now:
        return f"Next: {what} is being sent. Without an answer it is sent again at {when}."
    if step.at <= now:
        return f"Next: {what} is sent as soon as a worker and the rate limit of its alert source allow it."
    return f"Next: {what} is sent at {when}."
