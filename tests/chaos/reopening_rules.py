"""Rules on acknowledgements that end: what is reopened waits in full and is paged, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from tests.chaos.excuses import Excuses
from tests.chaos.history import Exchange
from tests.chaos.known import Known
from tests.chaos.rules import CLOCK, Rule, Violation


def what_is_reopened_is_paged(known: Known) -> Iterator[Violation]:
    """An acknowledgement that ended for certain, and that nobody followed by another one, is paged.

    By the incident or by one that continues it, after its wait.
    """
    for line in _reopened_lines(known):
        ended_at = _ended_for_certain(known, line)
        if ended_at is None:
            continue
        due_at = ended_at + _wait(known, line) + Excuses(known).uneven(ended_at)
        pages = [page for one in line for page in known.accepted(one, "firing")]
        if due_at <= known.history.ended_at and not any(page.at >= ended_at - CLOCK for page in pages):
            yield Violation(
                "what_is_reopened_is_paged",
                "Its acknowledgement ended, and nobody was paged afterwards.",
                incident=line[-1],
                curable=True,
            )


def what_is_acknowledged_waits_in_full(known: Known) -> Iterator[Violation]:
    """After an acknowledgement no page before something may have ended it and the whole wait has passed."""
    excuses = Excuses(known)
    for line in _reopened_lines(known):
        for one, acknowledged in _acknowledgements(known, line):
            since = acknowledged.answered_at or acknowledged.sent_at
            earliest = _earliest_end(known, acknowledged) + _wait(known, line)
            # What is under way to page an incident may still arrive; one that continues it begins anew.
            keys = line if _is_in_time(known, one, since) else known.lines.after(one)
            pages = (page for key in keys for page in known.events.get(key, ()) if page.kind == "firing")
            early = [page for page in pages if since < page.at < earliest - CLOCK - excuses.uneven(page.at)]
            if early:
                yield Violation(
                    "what_is_acknowledged_waits_in_full",
                    f"It was acknowledged, and paged {earliest - early[0].at:.1f} s too early.",
                    incident=early[0].key,
                )


def what_was_continued_ends_with_its_successor(known: Known) -> Iterator[Violation]:
    """The alert of an incident that another one continues is resolved when that one is."""
    excuses = Excuses(known)
    for incident in known.events:
        after = known.lines.after(incident)
        if not after or known.records[after[-1]].state != "resolved" or _is_in_doubt(known, [incident]):
            continue
        last = [known.accepted(incident, source=source)[-1] for source in known.sources(incident)]
        if any(event.kind != "resolved" and not excuses.page_forgotten(event) for event in last):
            yield Violation(
                "what_was_continued_ends_with_its_successor",
                "What continues it is resolved, and incident.io still shows its alert as firing.",
                incident=incident,
                curable=True,
            )


def two_installations_are_two_problems(known: Known) -> Iterator[Violation]:
    """The same key from two installations is never one incident."""
    for incident, answers in known.answers.items():
        places = {answer.problem for answer in answers if answer.problem and "@" in answer.problem}
        if len(places) > 1:
            yield Violation(
                "two_installations_are_two_problems",
                f"One incident is about {' and '.join(sorted(places))}.",
                incident=incident,
            )


def _reopened_lines(known: Known) -> Iterator[list[str]]:
    """Incidents that continue one another, of which it is known what may have ended an acknowledgement."""
    for incident in known.stored:
        line = known.lines.of(incident)
        # An incident that continues another one may not have been seen in an answer.
        if line[0] != incident or not known.reopenings(incident):
            continue
        if not _is_in_doubt(known, line) and not _perhaps_direct(known, incident):
            yield line


def _is_in_doubt(known: Known, line: Iterable[str]) -> bool:
    """Somebody asked for the page, or its record was lost or damaged."""
    excuses = Excuses(known)
    return bool(excuses.losses) or any(known.pages_now(one) or excuses.damaged(one) for one in line)


def _perhaps_direct(known: Known, incident: str) -> bool:
    """A webhook of its problem may have paged without being stored: nobody knew of an acknowledgement."""
    problems = {answer.problem for answer in known.answers_of_line(incident)}
    firing = (e for e in known.history.exchanges if e.action == "firing" and e.problem in problems)
    return any(exchange.status in (None, 202, 503) for exchange in firing)


def _wait(known: Known, line: list[str]) -> float:
    return min(answer.wait for answer in known.answers_of_line(line[0]))


def _acknowledgements(known: Known, line: list[str]) -> Iterator[tuple[str, Exchange]]:
    """Those that are certain, each with the incident that was acknowledged."""
    for one in line:
        for deed in known.deeds.get(one, ()):
            if deed.action == "acknowledge" and deed.certain:
                yield one, deed


def _is_in_time(known: Known, incident: str, at: float) -> bool:
    due_at, pages = known.due_at(incident), known.events.get(incident, [])
    return due_at is not None and at < due_at and not any(page.at <= at for page in pages)


def _earliest_end(known: Known, acknowledged: Exchange) -> float:
    """When something may have ended an acknowledgement at the earliest; infinite if nothing was asked to."""
    moments = []
    for one in known.reopenings(acknowledged.incidents[0].id):
        at = one.sent_at + 60 * (one.minutes or 0)
        if at >= acknowledged.sent_at:
            moments.append(at)
        elif one.status is None:
            # It may have been done at any time.
            moments.append(acknowledged.sent_at)
    return min(moments, default=float("inf"))


def _ended_for_certain(known: Known, line: list[str]) -> float | None:
    """When the last acknowledgement had ended; None if it stands, or if something else may have ended it."""
    acknowledged = max(
        (deed for _, deed in _acknowledgements(known, line)), key=lambda deed: deed.sent_at, default=None
    )
    if acknowledged is None or acknowledged.answered_at is None:
        return None
    since = acknowledged.answered_at
    endings = chain.from_iterable(known.endings(one) for one in line)
    others = [ending for ending in endings if ending != acknowledged]
    if any(one.answered_at is None or one.answered_at >= acknowledged.sent_at for one in others):
        return None
    moments = [since + 60 * acknowledged.minutes] if acknowledged.minutes else []
    for one in known.reopenings(line[0]):
        # One that is repeated may have been heard before it was acknowledged.
        first = one.action == "unacknowledge" or (one.grows and one.attempt == 1)
        if first and one.status == 200 and one.sent_at > since and one.answered_at is not None:
            moments.append(one.answered_at)
    return min(moments, default=None)


OF_REOPENING: tuple[Rule, ...] = (
    what_is_reopened_is_paged,
    what_is_acknowledged_waits_in_full,
    what_was_continued_ends_with_its_successor,
    two_installations_are_two_problems,
)
