"""An incident in words: why it paged or did not, what happened when, and what comes next; pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from app.domain.incident import Incident
from app.domain.record import ITSELF
from app.domain.state import Phase, State
from app.domain.timeline import Entry, clock

EVENTS = {
    "received": "The alert came in",
    "repeated": "The alert came again",
    "repaired": "Its body was repaired",
    "rule": "A rule decided",
    "waiting": "The wait began",
    "note": "The sender added",
    "link_opened": "The acknowledgement link was opened, which acknowledges nothing",
    "reopened": "Opened again",
    "continued": "Continued",
    "notified": "Notified",
    "not_notified": "Could not notify",
    "pager_added": "To be paged as well",
    "acknowledged": "Acknowledged",
    "escalate_now": "Somebody asked for the page at once",
    "attempt": "Attempt",
    "attempt_failed": "The attempt failed",
    "escalated": "The provider took the page",
    "delivered_late": "The provider took the page, after the lease of the attempt had ended",
    "gave_up": "Gave up",
    "confirmed": "Somebody was notified",
    "not_confirmed": "Nobody is known to have been notified yet",
    "late": "The page is late",
    "fallback": "To be paged in its place",
    "resolved": "Resolved",
    "silenced": "A silence holds it",
    "silence_ended": "The silence ended",
    "acknowledgement_sent": "The provider took the acknowledgement",
    "resolve_event_sent": "The provider took the resolve event",
    "sent_unclaimed": "Sent while Redis did not take writes",
    "record_lost": "The record was lost",
    "record_unreadable": "The record can't be read",
}
"""What each event of a timeline means, before its detail."""

STEPS = {
    "firing": "the page",
    "acknowledged": "the acknowledgement",
    "resolved": "the resolve event",
    "late": "everybody is notified that the page does not get out",
    "acknowledgement_ended": "the acknowledgement ends, and it is open again",
    "members_joined": "it is open again, because of alerts that joined it",
    "previous_over": "the incident that it continues is resolved",
}
SENTENCES = ("notified", "not_notified", "attempt", "acknowledged", "continued", "resolved", "silenced")
"""Their detail goes on with the sentence."""


def happened(entry: Entry) -> str:
    """One line of a timeline as a sentence."""
    meaning = EVENTS.get(entry.event, entry.event)
    if not entry.detail:
        return f"{meaning}."
    joint = " " if entry.event in SENTENCES else ": "
    return f"{meaning}{joint}{entry.detail.rstrip('.')}."


def lateness(incident: Incident) -> float | None:
    """Seconds by which the page was late; None while there was none."""
    if incident.escalated_at is None or incident.due_at is None:
        return None
    return max(0.0, (incident.escalated_at - incident.due_at).total_seconds())


def explain(incident: Incident, now: datetime) -> Iterator[str]:
    """The chain of decisions, a sentence each: the verdict, how it came to that, and what comes next."""
    yield verdict(incident, now)
    late = lateness(incident)
    if late is not None:
        yield f"The page was accepted {late:.2f} s after it was due."
    for entry in incident.timeline:
        yield f"{clock(entry.at)}: {happened(entry)}"
    yield next_step(incident, now)


def verdict(incident: Incident, now: datetime) -> str:
    """Whether it paged, and why."""
    if incident.state is State.FAILED and incident.worst.missing:
        return f"NOBODY IS KNOWN TO HAVE BEEN PAGED: {incident.last_error}"
    if incident.escalated_at is not None:
        asked = any(entry.event == "escalate_now" for entry in incident.timeline)
        why = "somebody asked for it" if asked else "nobody had acknowledged when it was due"
        when = clock(incident.escalated_at)
        paged = [pager.alert_source for pager, delivery in incident.pagers.items() if delivery.accepted_at]
        through = " and ".join(repr(name or "default") for name in paged)
        return f"It paged through alert source {through} at {when}, because {why}."
    if held := _held(incident, now):
        return held
    if incident.due_at is None:
        rule = f", by the rule {incident.rule!r}" if incident.rule else ""
        return f"It pages nobody: on-call was not asked for when it came in{rule}."
    if incident.state is State.ACKNOWLEDGED:
        by = incident.acknowledged_by or "somebody"
        until = f" until {clock(incident.acknowledged_until)}" if incident.acknowledged_until else ""
        return f"It paged nobody, because it was acknowledged by {by}{until}."
    if incident.state is State.RESOLVED:
        return "It paged nobody, because it was resolved first."
    if incident.state is State.FAILED:
        return f"NOBODY WAS PAGED: {incident.last_error or 'no reason is known'}"
    if incident.held_until is not None and incident.held_until > now:
        held = f"The rule {incident.rule!r} holds it until {clock(incident.held_until)}"
        return f"{held}: then it waits, and pages at {clock(incident.due_at)} unless somebody acknowledges."
    if incident.due_at > now:
        return f"It pages at {clock(incident.due_at)} unless somebody acknowledges."
    return f"It is due since {clock(incident.due_at)}, and its page has not been accepted yet."


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
            return f"Next: nothing here; it is continued by incident {incident.next_id}."
        if incident.state is State.FAILED:
            return "Next: nothing, until its sender reports it again or somebody asks for the page."
        return "Next: nothing; the provider is not to be sent anything."
    destination, step = steps[0]
    what, when = STEPS[step.event], clock(step.at)
    if destination == ITSELF:
        return f"Next: {what}{f' at {when}' if step.at > now else ' at once'}."
    if incident.pagers[destination].claim is not None and step.at > now:
        return f"Next: {what} is being sent; if no outcome comes, it is sent again at {when}."
    if step.at <= now:
        return f"Next: {what} goes out as soon as a worker and the rate budget of its alert source allow."
    return f"Next: {what} is tried at {when}."
