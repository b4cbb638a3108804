"""Rules on what is not the same at all providers."""

from __future__ import annotations

from collections.abc import Iterator

from tests.chaos.excuses import Excuses
from tests.chaos.history import Event, Fault
from tests.chaos.known import Known
from tests.chaos.rules import Rule, Violation
from tests.chaos.second_provider import AT_PAGERDUTY


def harms(fault: Fault, source: str) -> bool:
    """Whether a fault can do anything to pages at this alert source: one of another provider's can't."""
    name = fault.kind.partition("_")[0]
    return name not in ("incidentio", "pagerduty") or (name == "pagerduty") == (source in AT_PAGERDUTY)


def pagerduty_hears_of_an_acknowledgement(known: Known) -> Iterator[Violation]:
    """An acknowledgement that comes after PagerDuty has the page arrives there.

    Unless Redis lost it or damaged the record; or another incident continues this one, whose page comes next.
    """
    excuses = Excuses(known)
    for incident, record in known.records.items():
        if record.state != "acknowledged" or excuses.losses or excuses.damaged(incident):
            continue
        for source in AT_PAGERDUTY:
            taken = known.accepted(incident, source=source)
            if taken and taken[-1].kind == "firing" and not known.lines.after(incident):
                yield Violation(
                    "pagerduty_hears_of_an_acknowledgement",
                    "It is acknowledged, and PagerDuty did not hear of that.",
                    incident=incident,
                    curable=True,
                )


def pagerduty_hears_of_nothing_that_nobody_did(known: Known) -> Iterator[Violation]:
    """It is told of an acknowledgement only if somebody may have acknowledged, of a page that was tried."""
    excuses = Excuses(known)
    for key, events in known.events.items():
        if key not in known.answers or excuses.losses or excuses.damaged(key):
            continue
        for told in (event for event in events if event.kind == "acknowledged"):
            deeds = (deed for one in known.lines.of(key) for deed in known.deeds.get(one, ()))
            asked = any(deed.action == "acknowledge" and deed.sent_at <= told.at for deed in deeds)
            if not asked or not _tried_before(events, told):
                yield Violation(
                    "pagerduty_hears_of_nothing_that_nobody_did",
                    "PagerDuty was told of an acknowledgement that there was not, or of no page.",
                    incident=key,
                )


def _tried_before(events: list[Event], told: Event) -> bool:
    return any(e.kind == "firing" and e.source == told.source and e.at <= told.at for e in events)


OF_PROVIDERS: tuple[Rule, ...] = (
    pagerduty_hears_of_an_acknowledgement,
    pagerduty_hears_of_nothing_that_nobody_did,
)
