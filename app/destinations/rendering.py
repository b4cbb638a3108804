"""What messages say, in each channel's own form: plain text, Markdown or HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from jinja2 import PackageLoader
from jinja2.sandbox import SandboxedEnvironment

from app.destinations.base import Message, Summary
from app.domain.incident import Incident
from app.domain.state import State
from app.domain.subscription import ChangeEvent
from app.domain.timeline import clock
from app.sanitize import lines, one_line
from app.telemetry import log

Form = Literal["text", "markdown", "html"]

TITLE = 200
VALUE = 200
WORDS = 1_000

HEADS: dict[ChangeEvent, str] = {
    "created": "New incident",
    "severity_raised": "More severe",
    "acknowledged": "Acknowledged",
    "reopened": "Open again",
    "escalated": "Paged",
    "late": "NOBODY WAS PAGED YET",
    "failed": "NOBODY WAS PAGED",
    "resolved": "Resolved",
}
COUNTED: dict[ChangeEvent, str] = {
    "created": "new",
    "severity_raised": "more severe",
    "acknowledged": "acknowledged",
    "reopened": "open again",
    "escalated": "paged",
    "late": "not paged in time",
    "failed": "could not be paged",
    "resolved": "resolved",
}

# Whatever the form, these wake everybody in some service.
MENTION = re.compile(r"@(?=everyone|here|channel|(?:all|room)(?![a-z0-9]))|<(?=[!@#])", re.IGNORECASE)
MARKDOWN = re.compile(r"([\\`*_\[\]()<>#~|!])")


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message to send."""

    title: str
    body: str


def harmless(text: str) -> str:
    """A stranger's text that calls nobody."""
    return MENTION.sub(lambda match: match[0] + "\u200b", text)


def markdown(text: object) -> str:
    """A stranger's text as Markdown shows it, letter by letter."""
    return MARKDOWN.sub(r"\\\1", str(text))


def _environment(form: Form) -> SandboxedEnvironment:
    environment = SandboxedEnvironment(
        loader=PackageLoader("app.destinations"),
        autoescape=form == "html",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    environment.filters["markdown"] = markdown
    return environment


SUFFIX: dict[Form, str] = {"text": "txt", "markdown": "md", "html": "html"}
ENVIRONMENTS = {form: _environment(form) for form in SUFFIX}


def headline(message: Message) -> str:
    """The first line: what is new, and about what."""
    return f"{HEADS[message.event]}: {title(message.incident)}"


def title(incident: Incident) -> str:
    """The incident's title, on one line."""
    return harmless(one_line(incident.title, TITLE))


def message(message: Message, form: Form, template: str | None = None) -> Rendered:
    """The words for one incident; `template`: Jinja for the body instead of ours."""
    incident = message.incident
    context = {
        "event": message.event,
        "incident": incident,
        "now": message.now,
        "ack_url": message.ack_url,
        "headline": headline(message),
        "what_now": what_now(message),
        "facts": list(facts(incident)),
        "description": harmless(lines(incident.description, WORDS)),
        "source_url": incident.source_url,
    }
    environment = ENVIRONMENTS[form]
    body = ""
    if template is not None:
        try:
            body = environment.from_string(template).render(context).strip()
        except Exception as error:
            # Whatever somebody's template does with this incident's data, people are notified.
            log.error("template_failed", incident=incident.id, error=one_line(repr(error), VALUE))
    body = body or environment.get_template(f"message.{SUFFIX[form]}").render(context).strip()
    return Rendered(_heading(message.subject or headline(message), form), body)


def summary(summary: Summary, form: Form) -> Rendered:
    """The words for many incidents."""
    named = [
        (COUNTED[event], title(one), one.severity or "unknown severity") for event, one in summary.incidents
    ]
    context = {
        "headline": summary_headline(summary),
        "named": named,
        "more": summary.total - len(named),
        "dashboard_url": summary.dashboard_url,
    }
    body = ENVIRONMENTS[form].get_template(f"summary.{SUFFIX[form]}").render(context).strip()
    return Rendered(_heading(summary_headline(summary), form), body)


def _heading(text: str, form: Form) -> str:
    # Services that take Markdown take it in a title as well.
    return markdown(text) if form == "markdown" else text


def summary_headline(summary: Summary) -> str:
    """The first line of a summary."""
    counts = ", ".join(f"{count} {COUNTED[event]}" for event, count in summary.counts)
    return f"Many incidents at once: {counts}"


def what_now(message: Message) -> str:
    """What follows from it, in one sentence; why it is open again before that."""
    why = next((e.detail for e in reversed(message.incident.timeline) if e.event == "reopened"), "")
    if message.event == "reopened" and why:
        return f"{harmless(one_line(why[0].upper() + why[1:], VALUE))}. {_follows(message)}"
    return _follows(message)


def _follows(message: Message) -> str:
    incident = message.incident
    if message.event in ("failed", "late"):
        why = harmless(one_line(incident.last_error or "no reason is known", VALUE))
        return (
            f"The page could not be delivered, so nobody may know about it: take care of it yourself. ({why})"
        )
    if incident.state is State.RESOLVED:
        when = f" at {clock(incident.resolved_at)}" if incident.resolved_at else ""
        return f"It is over{when}. There is nothing left to do."
    if incident.state is State.ACKNOWLEDGED:
        when = f" at {clock(incident.acknowledged_at)}" if incident.acknowledged_at else ""
        by = harmless(one_line(incident.acknowledged_by or "somebody", VALUE))
        paged = "The page had already gone out." if incident.escalated_at else "Nobody is paged."
        until = f" until {clock(incident.acknowledged_until)}" if incident.acknowledged_until else ""
        return f"Acknowledged by {by}{when}{until}. {paged}"
    if incident.escalated_at is not None:
        return f"The page went out at {clock(incident.escalated_at)}: the person on call is being called."
    if incident.state is State.PENDING and incident.due_at is not None:
        if incident.due_at > message.now:
            return f"Pages at {clock(incident.due_at)} unless somebody acknowledges."
        return "Pages any moment now unless somebody acknowledges."
    if incident.state is State.OPEN:
        return "Nobody will be paged for it."
    return "The page is being sent."


def facts(incident: Incident) -> Iterator[tuple[str, str]]:
    """Names and values of what is known, as far as it is."""
    if incident.severity:
        yield "Severity", incident.severity
    if incident.service:
        yield "Service", harmless(one_line(incident.service, VALUE))
    yield "Source", harmless(one_line(incident.source, VALUE))
    yield "Since", clock(incident.started_at or incident.created_at)
    if incident.occurrences > 1:
        yield "Received", f"{incident.occurrences} times"
