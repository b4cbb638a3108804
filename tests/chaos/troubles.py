"""Plans problems whose acknowledgement ends, and those of two installations that use the same key."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

from tests.chaos.planned import PlannedDeed, PlannedWebhook

FIRST = 2_000_000
"""The number in the first marker."""
PACE = 1.5
"""Seconds between two problems, on average."""
TAIL = 30.0
"""Seconds before the end in which none begins: what reopens has to be seen to page."""
LONGEST_WAIT = 10.0
TRIES = 4


def troubles(chance: random.Random, seconds: float, webs: int) -> Iterator[PlannedWebhook]:
    """One kind after the other, in an order that the seed says."""
    at, count, until = 0.0, FIRST, max(seconds - TAIL, seconds / 2)
    while (at := at + chance.expovariate(1 / PACE)) < until:
        trouble = _Trouble(chance, at, count, webs)
        kinds = (
            *(trouble.joined, trouble.worse_after_its_page, trouble.acknowledged_for_minutes),
            *(trouble.taken_back, trouble.installations),
        )
        for webhook in chance.choice(kinds)():
            count += 1
            yield webhook


class _Trouble:
    """One problem, from `at` seconds after the start on."""

    def __init__(self, chance: random.Random, at: float, number: int, webs: int) -> None:
        self._chance = chance
        self._at = at
        self._number = number
        self._webs = webs
        self._wait = chance.uniform(1.0, LONGEST_WAIT)
        self._problem = f"trouble-{number}"

    def joined(self) -> Iterator[PlannedWebhook]:
        """A warning is acknowledged, and a critical alert joins its group."""
        members = {"warning": "warning"}
        yield self._group(members, deeds=(self._acknowledge(),))
        yield self._group(members | {"critical": "critical"}, after=self._span(3, 20), grows=True)

    def worse_after_its_page(self) -> Iterator[PlannedWebhook]:
        """The page is out before it is acknowledged and becomes worse, so that another incident continues it;
        both may be over."""
        self._wait = self._span(0.5, 3.0)
        members = {"warning": "warning"}
        yield self._group(members, deeds=(self._acknowledge(offset=self._wait + self._span(2, 5)),))
        worse = members | {"critical": "critical"}
        yield self._group(worse, after=self._span(10, 18), grows=True)
        if self._chance.random() < 0.7:
            yield self._group(worse, after=self._span(22, 30), effect="resolved")

    def acknowledged_for_minutes(self) -> Iterator[PlannedWebhook]:
        """An acknowledgement that ends by itself."""
        yield self._alert(deeds=(self._acknowledge(minutes=round(self._span(2, 8) / 60, 4)),))
        yield from self._perhaps_over()

    def taken_back(self) -> Iterator[PlannedWebhook]:
        """An acknowledgement that a person takes back."""
        acknowledged = self._acknowledge()
        offset = acknowledged.offset + self._span(1, 6)
        back = PlannedDeed(
            deed="unacknowledge",
            after="answer",
            offset=offset,
            element=0,
            by_link=False,
            web=self._chance.randrange(self._webs),
        )
        yield self._alert(deeds=(acknowledged, back))
        yield from self._perhaps_over()

    def installations(self) -> Iterator[PlannedWebhook]:
        """Two Alertmanagers that have the same rules; one problem may be over before the other."""
        for place in ("eu", "us"):
            yield self._group({f"api-{place}": "critical"}, place, after=self._span(0, 6))
        if self._chance.random() < 0.5:
            yield self._group({"api-us": "critical"}, "us", after=self._span(8, 20), effect="resolved")

    def _perhaps_over(self) -> Iterator[PlannedWebhook]:
        if self._chance.random() < 0.3:
            yield self._alert(after=self._span(15, 30), effect="resolved")

    def _acknowledge(self, minutes: float | None = None, offset: float | None = None) -> PlannedDeed:
        """`offset`: seconds after the answer; without, before the page or after it."""
        return PlannedDeed(
            deed="acknowledge",
            after="answer",
            offset=self._span(0.3, self._wait + 4) if offset is None else offset,
            element=0,
            by_link=self._chance.random() < 0.5,
            web=self._chance.randrange(self._webs),
            minutes=minutes,
        )

    def _alert(self, **more: Any) -> PlannedWebhook:
        effect = more.get("effect", "firing")
        body = {"severity": "high", "status": effect, "deduplication_key": self._problem}
        return self._webhook(lambda marker: {**body, "title": f"{marker} replica lag"}, **more)

    def _group(self, members: Mapping[str, str], place: str = "", **more: Any) -> PlannedWebhook:
        """`members`: the severity of each; `place`: which Alertmanager it is."""
        effect = more.get("effect", "firing")

        def body(marker: str) -> dict[str, Any]:
            common = {"alertname": marker}
            return {
                "version": "4",
                "receiver": "versus",
                "status": effect,
                "groupKey": self._problem,
                "externalURL": f"https://alertmanager-{place}.example.org",
                "groupLabels": common,
                "commonLabels": common,
                "alerts": [
                    {
                        "status": effect,
                        "labels": {**common, "severity": severity, "pod": name},
                        "startsAt": "2026-11-30T10:00:00Z",
                        "fingerprint": f"{self._problem}-{name}",
                    }
                    for name, severity in members.items()
                ],
            }

        return self._webhook(body, place, **more)

    def _webhook(
        self, body: Any, place: str = "", *, after: float = 0.0, effect: Any = "firing", **more: Any
    ) -> PlannedWebhook:
        marker = f"chaos-{self._number}"
        self._number += 1
        return PlannedWebhook(
            at=round(self._at + after, 3),
            marker=marker,
            body=body(marker),
            parameters={"oncall_wait_minutes": f"{self._wait / 60:.6f}"},
            problem=f"{self._problem}@{place}" if place else self._problem,
            source="source-default",
            adds=False,
            wait=self._wait,
            effect=effect,
            web=self._chance.randrange(self._webs),
            tries=TRIES,
            **more,
        )

    def _span(self, least: float, most: float) -> float:
        return self._chance.uniform(least, most)
