"""Rules on what a silence or a rule holds: it pages afterwards, after the whole wait, and not before."""

from __future__ import annotations

from collections.abc import Iterator

from tests.chaos.chain_rules import LEASE
from tests.chaos.excuses import Excuses
from tests.chaos.history import Event, Exchange
from tests.chaos.known import Known
from tests.chaos.quiet import NIGHT
from tests.chaos.rules import CLOCK, Rule, Violation, meets

FOREVER = float("inf")
LATE_REQUESTS = ("stop_worker", "stop_while_sending", "incidentio_freeze")
"""Faults by which a request may arrive long after its worker began it."""


def what_was_held_is_paged(known: Known) -> Iterator[Violation]:
    """Once nothing holds it any more, and the wait is over, it is paged unless somebody ended it."""
    excuses = Excuses(known)
    for incident in _held(known, excuses):
        over_at = _over_at(known, incident)
        due_at = over_at + _wait(known, incident) + excuses.uneven(over_at)
        paged = any(known.accepted(one, "firing") for one in known.lines.of(incident))
        record = known.records.get(incident)
        ended = record is not None and record.state in ("acknowledged", "resolved")
        if due_at <= known.history.ended_at and not paged and not (ended and known.endings(incident)):
            yield Violation(
                "what_was_held_is_paged",
                "What held it is over, and incident.io never took its page.",
                incident=incident,
                curable=True,
            )


def what_is_held_does_not_page(known: Known) -> Iterator[Violation]:
    """No page while it is held for certain, nor within the wait that follows.

    Where Redis takes no writes, a webhook may page directly, and then nothing is certain.
    """
    excuses = Excuses(known)
    for incident in _held(known, excuses):
        if _perhaps_direct(known, incident):
            continue
        for since, until in _certain(known, incident):
            pages = [page for page in known.events.get(incident, ()) if page.kind == "firing"]
            early = [page for page in pages if since < page.at < until - CLOCK - excuses.uneven(page.at)]
            if early and not _may_be_old(known, incident, early[0]):
                yield Violation(
                    "what_is_held_does_not_page",
                    f"It was held, and paged {until - early[0].at:.1f} s too early.",
                    incident=incident,
                )


# -- parts of the rules ----------------------------------------------------------------------------------


def _held(known: Known, excuses: Excuses) -> Iterator[str]:
    """Incidents that a silence or a rule holds, or held; of those of which only Redis knew, none."""
    for incident in known.stored:
        doubtful = excuses.losses or excuses.damaged(incident) or known.pages_now(incident)
        asked = any(s.due_at is not None for a in known.answers[incident] for s in a.incidents)
        if known.is_held(incident) and asked and not doubtful:
            yield incident


def _over_at(known: Known, incident: str) -> float:
    """When nothing held it any more, at the latest."""
    if _by_night(known, incident):
        worse = [e.answered_at or FOREVER for e in known.answers[incident] if e.worse and e.certain]
        return min(worse, default=FOREVER)
    return max((_end(known, one) for one in _silences(known, incident)), default=_made(known, incident))


def _end(known: Known, silence: Exchange) -> float:
    """Of one without an answer: when it ends by itself, at the latest."""
    ended = [one.answered_at or FOREVER for one in known.ends_of(silence) if one.certain]
    return min([silence.until or 0.0, *ended])


def _certain(known: Known, incident: str) -> Iterator[tuple[float, float]]:
    """From when to when no page may come."""
    made, wait = _made(known, incident), _wait(known, incident)
    if _by_night(known, incident):
        first = known.answers[incident][0]
        if not first.worse:
            # An attempt without an answer may have been heard.
            yield first.sent_at, min(map(_worse_at, _of_problem(known, incident)), default=FOREVER) + wait
        return
    for silence in _silences(known, incident):
        begin = silence.answered_at or FOREVER
        end = min([silence.until or 0.0, *(one.sent_at for one in known.ends_of(silence))])
        # What was on its way when the silence began arrives within the lease of its worker.
        since = begin if known.answers[incident][0].sent_at > begin else begin + LEASE
        if silence.certain and made < end:
            yield since, FOREVER if _ended_within(known, incident, end + wait) else end + wait


def _worse_at(exchange: Exchange) -> float:
    return exchange.sent_at if exchange.worse else FOREVER


def _ended_within(known: Known, incident: str, until: float) -> bool:
    """Somebody acknowledged or resolved it before it was due, for certain."""
    return any(e.certain and (e.answered_at or until) < until - CLOCK for e in known.endings(incident))


def _may_be_old(known: Known, incident: str, page: Event) -> bool:
    """A worker may have begun with it before a silence."""
    certain = [one for one in _silences(known, incident) if one.certain]
    first = known.answers[incident][0].sent_at
    older = any(first <= (one.answered_at or FOREVER) <= page.at for one in certain)
    slow = (fault for fault in known.history.faults if fault.kind in LATE_REQUESTS)
    return older and any(meets(fault, first, page.at) for fault in slow)


def _perhaps_direct(known: Known, incident: str) -> bool:
    firing = (one for one in _of_problem(known, incident) if one.action == "firing")
    return any(one.status not in (200, 201) for one in firing)


def _of_problem(known: Known, incident: str) -> list[Exchange]:
    problem = known.answers[incident][0].problem
    return [one for one in known.history.exchanges if one.problem == problem]


def _silences(known: Known, incident: str) -> list[Exchange]:
    """Those that were made, or may have been."""
    asked = (one for one in _of_problem(known, incident) if one.action == "silence")
    return [one for one in asked if one.status in (201, 503, None)]


def _by_night(known: Known, incident: str) -> bool:
    return (known.answers[incident][0].problem or "").startswith(NIGHT)


def _made(known: Known, incident: str) -> float:
    """When it was stored, at the latest."""
    return min(a.answered_at or FOREVER for a in known.answers[incident] if a.status in (200, 201))


def _wait(known: Known, incident: str) -> float:
    return max(answer.wait for answer in known.answers[incident])


OF_SILENCES: tuple[Rule, ...] = (what_was_held_is_paged, what_is_held_does_not_page)
