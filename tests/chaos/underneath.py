"""What a run does to what stands underneath the service: to Redis's answers, data and clock, and to logs."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from tests.chaos.planned import PlannedFault
from tests.store.damage import DAMAGE
from tests.stories.refusals import READABLE

# How often each happens, in proportion.
UNDERNEATH = {
    "redis_refuses_writes": 10,
    "redis_emptied": 1,
    "redis_old_backup": 2,
    "redis_clock_steps": 5,
    "log_unread": 4,
    "record_damaged": 8,
    "secret_rotated": 1,
}
PACE = 9.0
"""Seconds between two of them, on average."""
STEPS = (-3600, -300, -60, -10, 10, 60, 300, 3600)
"""Seconds by which Redis's clock steps."""
NEWEST = 30
"""One of the newest so many incidents is damaged."""


def underneath(chance: random.Random, begin: float, seconds: float) -> Iterator[PlannedFault]:
    """Faults of these kinds, from `begin` (seconds after the start) until the end of the plan."""
    at = begin
    while (at := at + chance.expovariate(1 / PACE)) < seconds:
        [kind] = chance.choices(list(UNDERNEATH), list(UNDERNEATH.values()))
        yield PlannedFault(round(at, 3), kind, *_particulars(chance, kind))


def _particulars(chance: random.Random, kind: str) -> tuple[float, dict[str, Any]]:
    match kind:
        case "redis_refuses_writes":
            # Sometimes until the second and the third worker have paged as well.
            length = chance.choice((chance.uniform(0.5, 4), chance.uniform(4, 12), chance.uniform(16, 35)))
            return length, {"refusal": chance.choice(READABLE)}
        case "redis_emptied":
            return 0.0, {"by": chance.choice(("FLUSHALL", "another server"))}
        case "redis_old_backup":
            # Of the last moments, or older than what processes remember.
            return chance.choice((chance.uniform(5, 30), chance.uniform(90, 150))), {}
        case "redis_clock_steps":
            return 0.0, {"by": chance.choice(STEPS)}
        case "log_unread":
            return chance.choice((chance.uniform(2, 10), chance.uniform(20, 30))), {
                "process": chance.randrange(5)
            }
        case "record_damaged":
            return 0.0, {"how": chance.choice(list(DAMAGE)), "newest": chance.randrange(NEWEST)}
    return 0.0, {}
