"""Rules on pages that do not get out: who is notified, and what is tried in their place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from tests.chaos.excuses import Excuses
from tests.chaos.history import Event, Fault
from tests.chaos.known import Known
from tests.chaos.outages import LATE_AFTER, OUTAGES, SPARE
from tests.chaos.rules import HARMLESS, ROUNDED, Rule, Violation, meets

LEASE = 15.0
"""Seconds for which an attempt may be under way that began before another one ended."""
SLACK = 20.0
"""Seconds that the service gets for what it does by itself."""
# Providers say what they have, or have not; only their own words are known better than ours.
CLEAR = (*(kind for kind in HARMLESS if not kind.startswith(("incidentio_", "pagerduty_"))), *OUTAGES)


def a_late_page_is_told_to_every_channel(known: Known) -> Iterator[Violation]:
    """Whatever a channel wants to hear of: that nobody was paged is for all, alone or in a summary."""
    excuses, through = Excuses(known), _through(known)
    late = {
        incident: max(record.late)
        for incident, record in known.records.items()
        if record.late and not excuses.damaged(incident) and not excuses.remade(incident)
    }
    for channel in known.history.channels:
        summaries = [n for n in known.history.notifications if n.channel == channel and n.incident is None]
        missing = [(at, i) for i, at in late.items() if at > through[channel, i] + ROUNDED]
        for count, (at, incident) in enumerate(sorted(missing, reverse=True), start=1):
            since = at - ROUNDED - excuses.uneven(at)
            if count > sum(summary.count for summary in summaries if summary.at >= since):
                yield Violation(
                    "a_late_page_is_told_to_every_channel",
                    f"{channel} did not hear that {count} pages did not get out.",
                    incident=incident,
                    curable=True,
                )


def what_does_not_get_out_is_late(known: Known) -> Iterator[Violation]:
    """A page that was refused until long after it was due is late, and so is one that the fallback has.

    While Redis refuses writes, the fallback is tried all the same, and nothing can be recorded as late.
    """
    excuses = Excuses(known)
    for incident in known.stored:
        record, due_at = known.records.get(incident), known.due_at(incident)
        if record is None or record.timeline is None or record.late or _in_doubt(known, incident):
            continue
        fallback = [e for e in known.events[incident] if e.source == SPARE and e.kind == "firing"]
        if any(_can_be_recorded(known, event) for event in fallback):
            yield Violation(
                "what_does_not_get_out_is_late", "The fallback was tried, and nobody notified.", incident
            )
        elif (
            not fallback
            and due_at is not None
            and not known.reopenings(incident)
            and not known.pages_now(incident)
        ):
            late_at = due_at + LATE_AFTER + excuses.uneven(due_at)
            if _refused_until(known, incident, due_at, late_at) and _calm(known, due_at, late_at + SLACK):
                yield Violation(
                    "what_does_not_get_out_is_late", "It did not get out, and nobody was notified.", incident
                )


def nothing_else_is_late(known: Known) -> Iterator[Violation]:
    """Nothing is late before its time, without a failed attempt, or once its alert sources have the page."""
    excuses = Excuses(known)
    for incident, record in known.records.items():
        if not record.late or _in_doubt(known, incident):
            continue
        due_at, late_at = _first_due(known, incident), min(record.late)
        failed = any(e.at <= late_at and not _is_clear(known, e) for e in known.events.get(incident, ()))
        if late_at < due_at + LATE_AFTER - ROUNDED - excuses.uneven(late_at):
            yield Violation("nothing_else_is_late", "It was called late before it was.", incident)
        elif not failed and _calm(known, due_at, late_at):
            yield Violation("nothing_else_is_late", "It was called late, and nothing had failed.", incident)
        elif _taken_before(known, incident, max(record.late)):
            yield Violation("nothing_else_is_late", "It was called late after its page was taken.", incident)


def a_fallback_is_tried_only_when_late(known: Known) -> Iterator[Violation]:
    """The next link is tried only of a late page, after an attempt that ended without acceptance."""
    excuses = Excuses(known)
    for incident, page, before in _fallbacks(known):
        due_at = _first_due(known, incident)
        if page.at < due_at + LATE_AFTER - ROUNDED - excuses.uneven(page.at):
            sentence = "The fallback was tried before the page was late."
        elif not before and _calm(known, due_at, page.at):
            sentence = "The fallback was tried, and nothing before it."
        elif _taken_before(known, incident, page.at):
            sentence = "The fallback was tried, though its alert sources had the page."
        else:
            continue
        yield Violation("a_fallback_is_tried_only_when_late", sentence, incident)


def a_late_page_goes_to_the_fallback(known: Known) -> Iterator[Violation]:
    """Of a page that is late, and that nobody takes or ends, the next link is tried."""
    for incident, record in known.records.items():
        if not record.late or _in_doubt(known, incident) or not known.answers_of_line(incident):
            continue
        late_at = min(record.late)
        until = late_at + SLACK
        events = known.events.get(incident, ())
        tried = any(event.source == SPARE for event in events)
        taken = any(event.accepted and event.at <= until for event in events)
        over = any(e.answered_at is None or e.sent_at <= until for e in known.endings(incident))
        if not tried and not taken and not over and _calm(known, late_at, until):
            yield Violation(
                "a_late_page_goes_to_the_fallback", "It was late, and no fallback was tried.", incident
            )


def acceptance_ends_the_chain(known: Known) -> Iterator[Violation]:
    """When the fallback has the page, what was tried before it is not tried any more."""
    for incident, page, _ in _fallbacks(known):
        taken = [e for e in known.accepted(incident, "firing", SPARE) if _is_clear(known, e)]
        slept = "delivered_late" in (known.records[incident].timeline or ())
        again = [
            event
            for event in known.events[incident]
            if taken and event.kind == "firing" and event.at > taken[0].at + LEASE
        ]
        if again and not slept:
            yield Violation(
                "acceptance_ends_the_chain",
                f"The fallback had the page, and {again[0].source} was sent it as well.",
                page.key,
            )


# -- parts of the rules ----------------------------------------------------------------------------------


def _through(known: Known) -> dict[tuple[str, str], float]:
    """What a channel knows of an incident, by both."""
    through: dict[tuple[str, str], float] = defaultdict(float)
    for one in known.history.notifications:
        if one.incident is not None:
            place = one.channel, one.incident
            through[place] = max(through[place], one.through)
    return through


def _in_doubt(known: Known, incident: str) -> bool:
    """Redis lost or damaged something, or a webhook may have paged directly, which tries the fallback too."""
    excuses = Excuses(known)
    if excuses.losses or excuses.damaged(incident) or incident not in known.records:
        return True
    problems = {(answer.problem, answer.marker) for answer in known.answers_of_line(incident)}
    names = {name for pair in problems for name in pair if name}
    perhaps = (e for e in known.history.exchanges if e.action == "firing" and e.status in (None, 202, 503))
    return any(exchange.problem in names or exchange.marker in names for exchange in perhaps)


def _fallbacks(known: Known) -> Iterator[tuple[str, Event, bool]]:
    """Incidents whose fallback was tried, the first such attempt, and whether another one came before."""
    for incident, events in known.events.items():
        pages = [event for event in events if event.kind == "firing"]
        first = next((event for event in pages if event.source == SPARE), None)
        if first is not None and known.answers_of_line(incident) and not _in_doubt(known, incident):
            yield incident, first, pages[0].source != SPARE


def _first_due(known: Known, incident: str) -> float:
    """The earliest time at which it may have been due."""
    answers = known.answers.get(incident, ())
    moments = [seen.due_at for answer in answers for seen in answer.incidents if seen.id == incident]
    moments += [known.records[incident].due_at, *(deed.sent_at for deed in known.pages_now(incident))]
    return min((moment for moment in moments if moment is not None), default=float("-inf"))


def _calm(known: Known, since: float, until: float) -> bool:
    """Nothing was broken that could hide an attempt or delay the service; an outage hides nothing."""
    return not any(_hides(fault, since, until) for fault in known.history.faults)


def _hides(fault: Fault, since: float, until: float) -> bool:
    return fault.kind not in CLEAR and meets(fault, since, until)


def _is_clear(known: Known, event: Event) -> bool:
    """It was taken, and the service knows that for certain."""
    return event.accepted and event.status == 202 and _calm(known, event.at, event.at + LEASE)


def _can_be_recorded(known: Known, event: Event) -> bool:
    """Redis took writes when it was sent."""
    refusals = (fault for fault in known.history.faults if fault.kind == "redis_refuses_writes")
    return not any(meets(refusal, event.at, event.at) for refusal in refusals)


def _taken_before(known: Known, incident: str, at: float) -> bool:
    """Each alert source that may have been asked for had the page, well before."""
    sources = known.wanted_sources(incident) - {SPARE}
    return bool(sources) and all(
        any(_is_clear(known, e) and e.at + LEASE < at for e in known.accepted(incident, "firing", source))
        for source in sources
    )


def _refused_until(known: Known, incident: str, due_at: float, late_at: float) -> bool:
    """An attempt was refused before it was late, and nobody took or ended it until well afterwards."""
    pages = [event for event in known.events.get(incident, ()) if event.kind == "firing"]
    refused = any(not event.accepted and due_at <= event.at <= late_at for event in pages)
    over = any(e.answered_at is None or e.sent_at <= late_at + SLACK for e in known.endings(incident))
    taken = any(event.accepted and event.at <= late_at + SLACK for event in pages)
    return refused and not over and not taken and known.history.ended_at > late_at + SLACK


OF_CHAINS: tuple[Rule, ...] = (
    a_late_page_is_told_to_every_channel,
    what_does_not_get_out_is_late,
    nothing_else_is_late,
    a_fallback_is_tried_only_when_late,
    a_late_page_goes_to_the_fallback,
    acceptance_ends_the_chain,
)
