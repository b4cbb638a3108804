"""What a fault underneath the service excuses, and whom: as little as what is documented of it."""

from __future__ import annotations

from collections.abc import Iterator

from tests.chaos.history import Event, Exchange, Fault
from tests.chaos.known import Known

LOST_DATA = "Redis lost data"
"""Begins the title of the incident that pages for whatever was lost."""
MOMENTS = 90.0
"""Seconds; what a younger backup lacks may count as the last moments, which page nobody: a process remembers
a minute, and as much longer as it was stopped or Redis was away."""
REACH = 5.0
"""Seconds by which a fault outlasts its end; until what was sent is stored."""
BEGUN = 15.0
"""Seconds until a worker that was started knows what Redis knows, and until one that lives has noticed."""
UNEVEN = {"quiet": 0.1, "slow": 1.0}
"""Seconds by which the service's time may be off after a step of Redis's clock, and after one while answers
came slowly."""
SLOW = ("redis_delay", "redis_freeze", "stop_redis", "stop_worker", "stop_web_child", "stop_while_sending")
ENDS = ("kill_worker", "terminate_worker")
AROUND = 20.0
"""Seconds after a slow time in which what was known of the clock may stem from it."""
ROTATED = 5.0
"""Seconds for which a request may be under way, with the secret that was right when it began."""


class Excuses:
    """Of one history."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._faults = known.history.faults
        self.losses = [fault for fault in self._faults if fault.since is not None]

    # -- Redis lost what it knew -------------------------------------------------------------------------

    def forgotten(self, exchange: Exchange) -> bool:
        """Redis lost what this request did, or may have."""
        return self._lost_between(exchange.sent_at, exchange.answered_at or float("inf"))

    def page_forgotten(self, page: Event) -> bool:
        """Redis lost that this page was sent."""
        return self._lost_between(page.at, page.at + REACH)

    def _lost_between(self, began: float, ended: float) -> bool:
        return any(began <= loss.ended_at and ended >= (loss.since or 0.0) for loss in self.losses)

    def gone(self, incident: str, *, asked: bool = False) -> Fault | None:
        """The loss after which nobody has seen the incident, which was stored after the backup.

        `asked`: it may be there, but that somebody asked for its page is not known any more.
        """
        answers = [a for a in self._known.answers.get(incident, ()) if a.status in (200, 201)]
        if asked:
            answers = [a for a in answers if any(one.due_at for one in a.incidents if one.id == incident)]
        deeds = [deed for deed in self._known.deeds.get(incident, ()) if deed.certain]
        first = min((a.answered_at or a.sent_at for a in answers), default=0.0)
        last = max((one.sent_at for one in (*answers, *deeds)), default=0.0)
        return next(
            (one for one in self.losses if first >= (one.since or 0.0) and last <= one.ended_at), None
        )

    def paged_as_lost(self, incident: str) -> bool:
        """It is gone, and people were paged for what is; or the loss is one that pages nobody."""
        loss = self.gone(incident, asked=True)
        return loss is not None and (not self.must_page(loss) or bool(self.pages_of(loss)))

    def must_page(self, loss: Fault) -> bool:
        """It is more than the last moments, and a worker that knew better lived through it."""
        whole = loss.began_at - (loss.since or 0.0) > MOMENTS
        return whole and any(self._lives_through(loss, name) for name in self._workers())

    def pages_of(self, loss: Fault) -> list[Event]:
        """The pages that may be about this loss."""
        events = (event for events in self._known.events.values() for event in events)
        return [e for e in events if self.is_of_loss(e) and e.accepted and e.at >= loss.began_at]

    def is_of_loss(self, event: Event) -> bool:
        """The page says that data was lost, and some was."""
        return event.title.startswith(LOST_DATA) and any(loss.began_at <= event.at for loss in self.losses)

    def untitled(self, event: Event) -> bool:
        """Redis lost the record, and a message alone led to the page."""
        return event.title == f"Incident {event.key}" and any(one.began_at <= event.at for one in self.losses)

    def _workers(self) -> set[str]:
        return {life.name for life in self._known.history.lives if life.name.startswith("worker")}

    def _lives_through(self, loss: Fault, name: str) -> bool:
        since, until = loss.began_at - BEGUN, loss.ended_at + BEGUN
        lives = [life for life in self._known.history.lives if life.name == name]
        before = [life.event for life in lives if life.at < since]
        return before[-1:] == ["started"] and not any(since <= life.at <= until for life in lives)

    def lost_successors(self) -> set[str]:
        """Shown to a person as what continues another incident; Redis has lost them since."""
        shown = {
            seen.id
            for exchange in self._known.history.exchanges
            if exchange.incident is not None
            for seen in exchange.incidents
            if seen.id != exchange.incident
        }
        return shown - set(self._known.records) if self.losses else set()

    def sources(self, incident: str) -> set[str]:
        """Alert sources of which Redis lost that they were asked for."""
        return {a.source for a in self._known.answers.get(incident, ()) if a.adds and self.forgotten(a)}

    def remade(self, incident: str) -> bool:
        """The record is not the one that its webhook made: that is lost, and a message was left."""
        record, answers = self._known.records.get(incident), self._known.answers.get(incident, ())
        made = [a.sent_at for a in answers if a.status in (200, 201)]
        return record is not None and any(
            min(made) <= loss.ended_at and record.created_at >= loss.began_at - UNEVEN["slow"]
            for loss in self.losses
            if made
        )

    # -- a record can't be read --------------------------------------------------------------------------

    def damaged(self, incident: str) -> bool:
        """Its record was; what only the record knew is lost, such as its channels."""
        return any(fault.incident == incident for fault in self._faults)

    def source_forgotten(self, incident: str) -> bool:
        """The record was damaged when nothing may have been due any more, so no index named its sources."""
        events, endings = self._known.events.get(incident, ()), self._known.endings(incident)
        moments = [*(event.at for event in events), *(ending.sent_at for ending in endings)]
        return any(
            moment <= fault.ended_at
            for fault in self._faults
            if fault.incident == incident
            for moment in moments
        )

    # -- Redis's clock steps -----------------------------------------------------------------------------

    def uneven(self, at: float) -> float:
        """Seconds by which the service's time may differ from what it was at the beginning.

        Infinite for a moment, where a process began to read Redis's clock after a step that nobody could
        correct yet, since Redis took no writes.
        """
        steps = [f for f in self._faults if f.kind == "redis_clock_steps" and f.began_at <= at]
        if any(self._is_uncorrected(step.began_at, at) for step in steps):
            return float("inf")
        return sum(UNEVEN["slow" if self._is_slow(step.began_at) else "quiet"] for step in steps)

    def _is_slow(self, at: float) -> bool:
        slow = (fault for fault in self._faults if fault.kind in SLOW)
        return any(fault.began_at - REACH <= at <= fault.ended_at + AROUND for fault in slow)

    def _is_uncorrected(self, step: float, at: float) -> bool:
        until = self._works_again(step)
        starts = [life.at for life in self._known.history.lives if life.event == "started"]
        starts += [f.ended_at for f in self._faults if f.kind in ("kill_web_child", "terminate_web_child")]
        begun = any(step - BEGUN <= start <= at for start in starts)
        return step < until and at <= until + 2 * REACH and begun

    def _works_again(self, since: float) -> float:
        """When the last of the faults of Redis has ended that follow one another since then."""
        until = since
        for fault in sorted(self._faults, key=lambda fault: fault.began_at):
            if "redis" in fault.kind and fault.kind != "redis_clock_steps" and fault.ended_at >= since:
                until = max(until, fault.ended_at) if fault.began_at <= until + REACH else until
        return until

    # -- the secret is rotated ---------------------------------------------------------------------------

    def statuses(self, deed: Exchange) -> Iterator[int]:
        """The answers that a person may get because of a fault."""
        if deed.incident is None:
            return
        stored = [a for a in self._known.answers.get(deed.incident, ()) if a.status in (200, 201)]
        first = min(stored, key=lambda answer: answer.sent_at, default=deed)
        losses = [loss for loss in self.losses if loss.began_at <= (deed.answered_at or deed.sent_at)]
        known_at = first.answered_at or first.sent_at
        if any((one.since or 0.0) <= known_at and first.sent_at <= one.ended_at for one in losses):
            # A message or a repeat may have made it anew since.
            yield 404
        rotations = [fault for fault in self._faults if fault.kind == "secret_rotated"]
        made = min((a.sent_at for a in self._known.answers.get(deed.incident, ())), default=deed.sent_at)
        since = [one for one in rotations if made <= one.ended_at and one.began_at <= deed.sent_at + ROTATED]
        if len(since) > 1 or any(one.ended_at + ROTATED >= deed.sent_at for one in since):
            # By now only the secret before the present one is named, or not every process knows it yet.
            yield 401

    # -- Redis takes no writes ---------------------------------------------------------------------------

    def may_be_read(self, exchange: Exchange) -> bool:
        """Redis refused writes during the request."""
        answered = exchange.answered_at or float("inf")
        refusals = (fault for fault in self._faults if fault.kind == "redis_refuses_writes")
        return any(f.began_at <= answered and f.ended_at + REACH >= exchange.sent_at for f in refusals)

    def sender_killed(self, page: Event) -> bool:
        """It may have been sent without a claim, by a worker that ended before it could store that."""
        refusals = (fault for fault in self._faults if fault.kind == "redis_refuses_writes")
        near = [f for f in refusals if f.began_at - REACH <= page.at <= f.ended_at + REACH]
        return any(
            page.at <= ended and killed <= self._works_again(refusal.began_at) + REACH
            for refusal in near
            for killed, ended in self._ends_of_workers()
        )

    def _ends_of_workers(self) -> Iterator[tuple[float, float]]:
        """When each was told to end or killed, at the earliest, and until when it had ended."""
        for life in self._known.history.lives:
            if life.name.startswith("worker") and life.event == "ended":
                one = f"worker={int(life.name.removeprefix('worker-')) - 1}"
                kills = [
                    fault.began_at
                    for fault in self._faults
                    if fault.kind == "kill_while_sending" or (fault.kind in ENDS and fault.detail == one)
                    if fault.began_at <= life.at <= fault.ended_at
                ]
                yield min(kills, default=life.at), life.at

    def only_refuses(self, exchange: Exchange) -> bool:
        """From before the request until its answer Redis refused writes, and nothing else was broken."""
        sent, answered = exchange.sent_at, exchange.answered_at or float("inf")
        meeting = [f for f in self._faults if f.began_at - REACH <= answered and f.ended_at + AROUND >= sent]
        refusing = [f for f in meeting if f.kind == "redis_refuses_writes" and f.began_at <= sent <= answered]
        return len(meeting) == 1 and bool(refusing) and answered <= refusing[0].ended_at
