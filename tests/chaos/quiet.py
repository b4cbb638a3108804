"""Plans problems that silences hold for a while, and some that a rule holds until they become worse.

They have services of their own, which no other problem has: what holds them holds nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from tests.chaos.planned import PlannedDeed, PlannedSilence, PlannedWebhook

FIRST = 3_000_000
"""The number in the first marker."""
PACE = 2.5
"""Seconds between two problems, on average."""
TAIL = 30.0
"""Seconds before the end in which none begins."""
LONGEST_WAIT = 6.0
TRIES = 4

SILENCED, NIGHT = "quiet", "night"
"""Begin the names of the problems that a silence holds, and of those that a rule does."""
RULES: list[dict[str, Any]] = [
    {
        "name": "not at night",
        "match": {"service": f"{NIGHT}*", "severity": "low"},
        # But for a minute, it is always night.
        "hours": {"from": "00:00", "to": "23:59", "time_zone": "UTC"},
        "enable": False,
    },
    {"name": "of infra", "match": {"service": f"{SILENCED}-infra*"}, "alert_source": "infra"},
]

Planned = PlannedWebhook | PlannedSilence


def quiet(chance: random.Random, seconds: float, webs: int) -> Iterator[Planned]:
    """One kind after the other, in an order that the seed says."""
    at, count, until = 0.0, FIRST, max(seconds - TAIL, seconds / 2)
    while (at := at + chance.expovariate(1 / PACE)) < until:
        one = _Quiet(chance, at, count, webs)
        for planned in one.silenced() if chance.random() < 0.75 else one.at_night():
            count += 1
            yield planned


class _Quiet:
    """One problem, from `at` seconds after the start on."""

    def __init__(self, chance: random.Random, at: float, number: int, webs: int) -> None:
        self._chance = chance
        self._at = at
        self._number = number
        self._webs = webs
        self._wait = chance.uniform(1.0, LONGEST_WAIT)

    def silenced(self) -> Iterator[Planned]:
        """It comes before the silence or after it began; which ends by itself, or by a person before."""
        team = self._chance.choice(("infra", "web"))
        problem = f"{SILENCED}-{team}-{self._number}"
        length, source = self._span(4, 16), f"source-{'infra' if team == 'infra' else 'default'}"
        ends_after = self._span(1, length) if self._chance.random() < 0.6 else None
        yield PlannedSilence(
            at=round(self._at + 3, 3),
            marker=self._marker(),
            problem=problem,
            minutes=round(length / 60, 4),
            ends_after=ends_after,
            web=self._chance.randrange(self._webs),
            tries=TRIES,
        )
        comes = self._span(0, 3 + (ends_after or length))
        deeds = (self._acknowledge(),) if self._chance.random() < 0.15 else ()
        yield self._webhook(problem, after=comes, source=source, deeds=deeds)
        if self._chance.random() < 0.3:
            yield self._webhook(problem, after=comes + self._span(0.5, 15), source=source)
        if self._chance.random() < 0.2:
            yield self._webhook(problem, after=comes + self._span(2, 25), source=source, effect="resolved")

    def at_night(self) -> Iterator[Planned]:
        """It is held for the night, and most often becomes critical."""
        problem = f"{NIGHT}-{self._number}"
        yield self._webhook(problem, severity="low")
        if self._chance.random() < 0.8:
            yield self._webhook(problem, after=self._span(2, 12), worse=True, severity="critical")

    def _acknowledge(self) -> PlannedDeed:
        return PlannedDeed(
            deed="acknowledge",
            after="answer",
            offset=self._span(0.3, 15),
            element=0,
            by_link=self._chance.random() < 0.5,
            web=self._chance.randrange(self._webs),
        )

    def _marker(self) -> str:
        self._number += 1
        return f"chaos-{self._number - 1}"

    def _webhook(
        self,
        problem: str,
        *,
        after: float = 0.0,
        source: str = "source-default",
        effect: Any = "firing",
        severity: str = "high",
        **more: Any,
    ) -> PlannedWebhook:
        marker = self._marker()
        return PlannedWebhook(
            at=round(self._at + after, 3),
            marker=marker,
            body={
                "title": f"{marker} deployment",
                "severity": severity,
                "service": problem,
                "status": effect,
                "deduplication_key": problem,
            },
            parameters={"oncall_wait_minutes": f"{self._wait / 60:.6f}"},
            problem=problem,
            source=source,
            adds=False,
            wait=self._wait,
            effect=effect,
            web=self._chance.randrange(self._webs),
            tries=TRIES,
            **more,
        )

    def _span(self, least: float, most: float) -> float:
        return self._chance.uniform(least, most)
