"""Plans when a provider is out for so long that pages are late, and the fallback is tried."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.chaos.planned import PlannedFault

OUTAGE = "incidentio_outage"
OUTAGES = (OUTAGE, "pagerduty_outage")
ASKED_FOR = ("source-default", "source-infra")
SPARE = "source-spare"
"""The routing key of PagerDuty that is the fallback, for which nobody asks."""
LATE_AFTER = 9.0
"""Seconds after its due time until a page is late."""
PACE = 60.0
"""Seconds between two outages, on average."""
LENGTH = (12.0, 40.0)


def outages(chance: random.Random, begin: float, seconds: float) -> Iterator[PlannedFault]:
    """From `begin` (seconds after the start) on, of what was asked for alone, or of everything."""
    at = begin
    while (at := at + chance.expovariate(1 / PACE)) < seconds:
        # Most often the spare one works: that is what it is for.
        out = chance.choice((ASKED_FOR, ASKED_FOR, (*ASKED_FOR, SPARE)))
        length = chance.uniform(*LENGTH)
        yield PlannedFault(round(at, 3), OUTAGE, length, {"sources": out})
        at += length
