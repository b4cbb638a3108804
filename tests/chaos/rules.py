"""What a rule is, and what all rules know of faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.chaos.history import Fault
from tests.chaos.known import Known
from tests.chaos.outages import OUTAGES

# Times are shown in milliseconds, cut off.
ROUNDED = 0.0011
# A provider said no, or was slow, or only those were harmed who don't page: no reason to page twice.
HARMLESS = (
    *("flush_queue", "kill_web", "terminate_web", "kill_web_child", "terminate_web_child", "stop_web_child"),
    *("incidentio_answers", "incidentio_refuse", "incidentio_delay", *OUTAGES, "log_unread"),
    *("pagerduty_answers", "pagerduty_refuse", "pagerduty_delay"),
)
# Redis's clock is known as well as its answers are quick: with a plan's latency so many seconds, at most.
CLOCK = 2.5
# What a fault does outlasts it by a moment; a connection that is half open, until somebody uses it.
REACH = 5.0
REACH_OF_FREEZE = 60.0


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that was broken, in one sentence, and the incident or the webhook that it is about."""

    rule: str
    sentence: str
    incident: str | None = None
    marker: str | None = None
    curable: bool = False
    """Time may still cure it."""


Rule = Callable[[Known], Iterator[Violation]]


def meets(fault: Fault, since: float, until: float) -> bool:
    """Whether what a fault does may be felt within this time."""
    reach = REACH_OF_FREEZE if fault.kind.endswith("_freeze") else REACH
    return fault.began_at <= until and fault.ended_at >= since - reach
