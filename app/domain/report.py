"""An incident that its sender reports again, and what the rules say of it then; pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from app.domain.acknowledgement import waiting
from app.domain.alert import Alert, most_severe, rank, with_labels
from app.domain.delivery import Delivery, Destination, InvalidTransition
from app.domain.lateness import Lateness
from app.domain.state import Phase
from app.domain.timeline import Entry, rfc3339

MARKS_LIMIT = 2_000
"""Alerts that a group is recognised by, however many it has had."""


@dataclass(frozen=True, slots=True)
class Report(Lateness):
    """An incident whose problem is reported again."""

    def repeated(
        self,
        alert: Alert,
        now: datetime,
        *,
        due_at: datetime | None,
        pager: Destination,
        asked: bool,
        held_until: datetime | None = None,
        rule: str | None = None,
    ) -> Self:
        """The same problem again: newer texts, never a lower severity, never a later due time.

        One that nobody asked to escalate until now, or whose page was given up, starts its wait if this asks.
        One that is held is due sooner if this is. `asked`: the request or the rule names `pager`, which is
        then paged as well. What the acknowledgement does not cover reopens the incident.
        """
        if self.phase is Phase.RESOLVED:
            raise InvalidTransition("The incident is resolved; the alert is a new incident.")
        repeated = self._with_facts_of(alert).noted(now, "repeated", f"occurrence {self.occurrences + 1}")
        if rank(repeated.severity) < rank(self.severity):
            repeated = repeated._changed("severity_raised", now)
        if due_at is not None:
            paging = repeated._asked_to_page(now, due_at, held_until, pager, asked=asked)
            if paging is not repeated:
                repeated = paging._ruled(now, rule, due_at, held_until)
        why = repeated._why_reopened(self, now)
        if why is None:
            return repeated
        if due_at is None:
            # This report asks for no page: what holds the incident holds it still.
            return repeated._reopened(why, now)
        reopened = replace(repeated, held_until=held_until)._reopened(why, now)
        return reopened._ruled(now, rule, due_at, held_until) if held_until else reopened

    def _ruled(self, now: datetime, rule: str | None, due_at: datetime, held_until: datetime | None) -> Self:
        decided = replace(self, rule=rule)
        line = ruled(now, rule, due_at, held_until) if rule else None
        return decided.noted(now, line.event, line.detail) if line else decided

    def _with_facts_of(self, alert: Alert) -> Self:
        acknowledged = self.phase is Phase.ACKNOWLEDGED
        return replace(
            self,
            title=alert.title or self.title,
            description=alert.description or self.description,
            severity=most_severe(self.severity, alert.severity),
            service=alert.service or self.service,
            source_url=alert.source_url or self.source_url,
            started_at=self.started_at or alert.started_at,
            labels=with_labels(self.labels, alert.labels),
            marks=tuple(dict.fromkeys((*alert.marks, *self.marks)))[:MARKS_LIMIT],
            occurrences=self.occurrences + 1,
            members=self.members.reported(alert, self.severity, acknowledged=acknowledged),
        )

    def _asked_to_page(
        self, now: datetime, due_at: datetime, held_until: datetime | None, pager: Destination, *, asked: bool
    ) -> Self:
        """Itself where this changes nothing."""
        if self.phase is Phase.OPEN:
            fresh = replace(self, pagers={pager: Delivery()})
            return fresh._awaiting(now, due_at, held_until)._changed("created", now)
        wanted = self if self.wait is not None else replace(self, wait=due_at - (held_until or now))
        if asked and pager not in self.pagers:
            wanted = wanted._with(pager, Delivery(added_at=now), now, "pager_added", pager)
        # One that is still to be paged must not be put off.
        paging = [one for one in self.pagers.values() if one.accepted is None]
        gave_up = bool(paging) and all(one.given_up == "firing" for one in paging)
        sooner = self._is_held(now) and self.due_at is not None and due_at < self.due_at
        again = self.phase is Phase.PENDING and (gave_up or sooner)
        return wanted._awaiting(now, due_at, held_until) if again else wanted


def beginning(
    alert: Alert, now: datetime, rule: str | None, due_at: datetime | None, held_until: datetime | None
) -> Iterator[Entry]:
    """The first lines of a timeline."""
    yield Entry(now, "received", f"from {alert.source}")
    if rule is not None:
        yield ruled(now, rule, due_at, held_until)
    if due_at is not None:
        yield waiting(now, due_at)


def ruled(now: datetime, rule: str, due_at: datetime | None, held_until: datetime | None) -> Entry:
    """The line on the timeline that names the rule."""
    if due_at is None:
        return Entry(now, "rule", f"{rule!r}, which pages nobody")
    return Entry(now, "rule", f"{rule!r}" + (f", held until {rfc3339(held_until)}" if held_until else ""))
