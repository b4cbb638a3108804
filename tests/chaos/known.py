"""A history from the side of its incidents: what was answered about each, done about it, and sent for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property

from tests.chaos.history import Event, Exchange, Fault, History, Record
from tests.chaos.lines import Lines
from tests.chaos.outages import SPARE
from tests.chaos.quiet import NIGHT, SILENCED

TO_END = 30.0
"""Seconds that a web process has to end in."""


class Known:
    """A history from the side of its incidents."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.answers: dict[str, list[Exchange]] = defaultdict(list)
        """Webhooks whose answer showed the incident."""
        self.deeds: dict[str, list[Exchange]] = defaultdict(list)
        """What people did about it."""
        self.events: dict[str, list[Event]] = defaultdict(list)
        """By deduplication key, in order."""
        self.resolves: dict[str, list[Exchange]] = defaultdict(list)
        """Webhooks that say that a problem is over, by problem."""
        self.records: dict[str, Record] = {record.id: record for record in history.records}
        self.lines = Lines(history)
        for exchange in history.exchanges:
            if exchange.incident is not None:
                self.deeds[_done_to(exchange)].append(exchange)
                continue
            for seen in exchange.incidents:
                self.answers[seen.id].append(exchange)
            if exchange.action == "resolved" and exchange.problem is not None:
                self.resolves[exchange.problem].append(exchange)
        for event in sorted(history.events, key=lambda event: event.at):
            self.events[event.key].append(event)

    @cached_property
    def stored(self) -> list[str]:
        """The IDs of incidents that are stored for certain: a webhook was answered 201 or 200 about them."""
        return [
            i for i, answers in self.answers.items() if any(answer.status in (200, 201) for answer in answers)
        ]

    def due_at(self, incident: str) -> float | None:
        """When it pages unless somebody acknowledges; None for never, and where `silence_rules` judge."""
        if self.is_held(incident):
            return None
        shown = (
            seen for answer in self.answers[incident] for seen in answer.incidents if seen.id == incident
        )
        return next((seen.due_at for seen in shown if seen.due_at is not None), None)

    def accepted(self, incident: str, kind: str | None = None, source: str | None = None) -> list[Event]:
        """The events that incident.io took; `source`: of this alert source alone."""
        return [
            event
            for event in self.events.get(incident, ())
            if event.accepted and kind in (None, event.kind) and source in (None, event.source)
        ]

    def sources(self, incident: str) -> set[str]:
        """The alert sources that incident.io has heard from about it."""
        return {event.source for event in self.events.get(incident, ()) if event.accepted}

    def pagers(self, incident: str) -> set[str]:
        """The alert sources that page for it, for certain."""
        asked = [
            answer
            for answer in self.answers.get(incident, ())
            if any(seen.id == incident and seen.due_at is not None for seen in answer.incidents)
        ]
        first = {answer.source for answer in asked if answer.status == 201}
        # Or it was paged directly before it was stored.
        first = first or {answer.source for answer in asked if answer.status == 202}
        # One that nobody asked to page for before is paged where it was asked for first.
        also = {answer.source for answer in asked if answer.status == 200 and (answer.adds or not first)}
        return first | also if first or len(also) == 1 else set()

    def wanted_sources(self, incident: str) -> set[str]:
        """The alert sources that may page for it: also those of webhooks whose effect is not known, or that
        paged directly, which may be stored as a repeat of it."""
        sources = {answer.source for answer in self.answers_of_line(incident)}
        others = [e for e in self._of_its_problem(incident) if not e.certain or e.status == 202]
        return {SPARE, *sources, *(exchange.source for exchange in others)}

    def problem_paged_directly(self, incident: str) -> bool:
        """A webhook about the same problem was, so that somebody had asked for a page."""
        return any(exchange.status == 202 for exchange in self._of_its_problem(incident))

    def _of_its_problem(self, incident: str) -> list[Exchange]:
        problems = {answer.problem for answer in self.answers_of_line(incident)} - {None}
        return [exchange for exchange in self.history.exchanges if exchange.problem in problems]

    def changes(self, incident: str) -> dict[str, float]:
        """When what channels are notified of happened last, by event."""
        record = self.records.get(incident)
        # What is over before its silence is heard of by nobody.
        if record is None or (self.is_held(incident) and record.resolved_at is not None):
            return {}
        moments = {
            "created": record.created_at,
            "acknowledged": record.acknowledged_at,
            "escalated": record.escalated_at,
            "resolved": record.resolved_at,
        }
        return {event: at for event, at in moments.items() if at is not None}

    def channel(self, incident: str) -> str:
        """The channel that it is notified to: all webhooks of one problem ask for the same."""
        return next((answer.channel for answer in self.answers_of_line(incident)), "")

    def pages_now(self, incident: str) -> list[Exchange]:
        """Requests to page without waiting, whatever became of them."""
        return [deed for deed in self._deeds_of(incident) if deed.action == "escalate_now"]

    def paged_directly(self, incident: str, since: float = float("-inf")) -> bool:
        """It was paged without being stored: its key is the problem's, so the next time has the same.

        `since`: by a webhook that was answered later, seconds.
        """
        answers = (answer for answer in self.answers.get(incident, ()) if answer.status == 202)
        return any(answer.answered_at is None or answer.answered_at >= since for answer in answers)

    def forgotten(self, page: Event) -> bool:
        """It was sent directly by a web process that then ended without being able to store it.

        Because it was killed, or because Redis was slow or away while it was told to end.
        """
        return any(
            exchange.marker == page.marker
            and exchange.status in (202, None)
            and any(f"web={exchange.web} " in f.detail and f.ended_at >= page.at for f in self._sudden_ends)
            for exchange in self.answers.get(page.key, ())
        )

    @cached_property
    def _sudden_ends(self) -> list[Fault]:
        faults = self.history.faults
        of_redis = [fault for fault in faults if fault.kind.startswith("redis_")]

        def sudden(end: Fault) -> bool:
            if end.kind in ("kill_web", "kill_web_child"):
                return True
            return end.kind in ("terminate_web", "terminate_web_child") and (
                "busy=True" in end.detail
                or any(f.began_at <= end.ended_at and f.ended_at >= end.began_at - TO_END for f in of_redis)
            )

        return [fault for fault in faults if sudden(fault)]

    def endings(self, incident: str) -> list[Exchange]:
        """Requests that ended the wait, or may have; a webhook may end any incident of its problem."""
        deeds = [d for d in self._deeds_of(incident) if d.action in ("acknowledge", "resolve")]
        problems = {answer.problem for answer in self.answers_of_line(incident)} - {None}
        over = [
            exchange
            for problem in problems
            for exchange in self.resolves.get(problem or "", ())
            # One that was answered says what it resolved.
            if not exchange.certain or any(seen.id == incident for seen in exchange.incidents)
        ]
        return [*deeds, *over]

    # -- what is held ----------------------------------------------------------------------------------------

    def is_held(self, incident: str) -> bool:
        """A silence or a rule may move its due time."""
        problems = (answer.problem or "" for answer in self.answers.get(incident, ()))
        return any(problem.startswith((SILENCED, NIGHT)) for problem in problems)

    def ends_of(self, silence: Exchange) -> list[Exchange]:
        """Requests to end the silence."""
        exchanges = (one for one in self.history.exchanges if one.action == "end_silence")
        return [one for one in exchanges if one.silence is not None and one.silence == silence.silence]

    # -- incidents that continue others --------------------------------------------------------------------

    def answers_of_line(self, incident: str) -> list[Exchange]:
        """Webhooks whose answer showed it, one that it continues, or one that continues it."""
        return [answer for one in self.lines.of(incident) for answer in self.answers.get(one, ())]

    def endings_of_line(self, incident: str) -> list[Exchange]:
        """What ended it, or an incident that continues it: its alert is resolved with that one's."""
        return [ending for one in self.lines.of(incident) for ending in self.endings(one)]

    def reopenings(self, incident: str) -> list[Exchange]:
        """Requests that may end an acknowledgement of its problem."""
        problems = {answer.problem for answer in self.answers_of_line(incident)} - {None}
        return [one for problem in problems for one in self._reopenings.get(problem or "", ())]

    @cached_property
    def _reopenings(self) -> dict[str, list[Exchange]]:
        found: dict[str, list[Exchange]] = defaultdict(list)
        for one in self.history.exchanges:
            if one.problem and (one.grows or one.minutes or one.action == "unacknowledge"):
                found[one.problem].append(one)
        return found

    def _deeds_of(self, incident: str) -> list[Exchange]:
        """Without an answer, what was done to an incident may have been done to one that continues it."""
        earlier = self.lines.before(incident)
        perhaps = [deed for one in earlier for deed in self.deeds.get(one, ()) if not deed.certain]
        return [*self.deeds.get(incident, ()), *perhaps]


def _done_to(deed: Exchange) -> str:
    """The incident that a person acted on: the one that was meant, or one that continues it."""
    shown = next((seen.id for seen in deed.incidents), None) if deed.certain else None
    return shown or deed.incident or ""


def webhook_of(marker: str) -> str:
    """The marker of the webhook that holds the element with this one."""
    return "-".join(marker.split("-")[:2])


def lateness(history: History, calm: float | None = None) -> list[float]:
    """Seconds from when an incident was due until incident.io took its first page, sorted.

    With `calm`: only of incidents that were due so many seconds away from any fault.
    """
    known = Known(history)
    late = []
    for incident in known.stored:
        due_at, pages = known.due_at(incident), known.accepted(incident, "firing")
        if due_at is None or not pages or known.pages_now(incident) or known.reopenings(incident):
            continue
        if calm is not None and _near(history.faults, due_at, calm):
            continue
        late.append(pages[0].at - due_at)
    return sorted(late)


def _near(faults: Iterable[Fault], at: float, calm: float) -> bool:
    return any(fault.began_at - 1 <= at <= fault.ended_at + calm for fault in faults)
