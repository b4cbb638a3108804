"""Plans what concerns PagerDuty, the second provider: what breaks there, and problems that it pages for."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from local.other_providers import ACTIONS, PagerDuty
from tests.chaos.history import Event, marker_in
from tests.chaos.outages import LENGTH, SPARE
from tests.chaos.planned import PlannedDeed, PlannedFault, PlannedWebhook

PAGERDUTY = "source-pagerduty"
"""The routing key that webhooks ask for."""
AT_PAGERDUTY = (PAGERDUTY, SPARE)
FIRST = 4_000_000
"""The number in the first marker."""
PACE = 2.0
"""Seconds between two problems, on average."""
PACE_OF_FAULTS = 8.0
LONGEST_WAIT = 15.0
TRIES = 4

# How often each fault happens, in proportion.
FAULTS = {
    "pagerduty_cut": 3,
    "pagerduty_delay": 4,
    "pagerduty_freeze": 2,
    "pagerduty_refuse": 2,
    "pagerduty_answers": 8,
    "pagerduty_outage": 2,
    "kill_while_sending": 2,
}


def faults(
    chance: random.Random, begin: float, seconds: float, answers: Sequence[Mapping[str, Any]]
) -> Iterator[PlannedFault]:
    """From `begin` (seconds after the start) on; `answers`: those that are not what it should say."""
    at = begin
    while (at := at + chance.expovariate(1 / PACE_OF_FAULTS)) < seconds:
        [kind] = chance.choices(list(FAULTS), list(FAULTS.values()))
        length = 0.0
        parameters: dict[str, Any] = {}
        match kind:
            case "pagerduty_delay":
                length, parameters = chance.uniform(2, 10), {"latency": round(chance.uniform(0.02, 1.2), 3)}
            case "pagerduty_refuse":
                length = chance.uniform(0.5, 8)
            case "pagerduty_answers":
                count = chance.choice((None, 1, 2, 5))
                length = chance.uniform(0.5, 12) if count is None else 0.0
                parameters = {"reply": chance.choice(answers), "count": count}
            case "pagerduty_outage":
                length = chance.uniform(*LENGTH)
                parameters = {"sources": chance.choice(((PAGERDUTY,), AT_PAGERDUTY))}
            case "kill_while_sending":
                length = chance.uniform(0, 5)
                parameters = {"spared": None, "taken": chance.random() < 0.6, "provider": "pagerduty"}
        yield PlannedFault(round(at, 3), kind, length, parameters)


def webhooks(chance: random.Random, seconds: float, webs: int) -> Iterator[PlannedWebhook]:
    """Problems that PagerDuty alone is to page for, and some that incident.io was asked for before."""
    at, count = 0.0, FIRST
    while (at := at + chance.expovariate(1 / PACE)) < seconds:
        for webhook in _problem(chance, at, count, webs):
            count += 1
            yield webhook


def _problem(chance: random.Random, at: float, number: int, webs: int) -> Iterator[PlannedWebhook]:
    wait = chance.uniform(0, LONGEST_WAIT)
    problem = f"paged-{number}"

    def webhook(marker: int, after: float, effect: Literal["firing", "resolved"], source: str) -> Any:
        asked = {"pagerduty_other_routing_key": "default"} if source == PAGERDUTY else {}
        return PlannedWebhook(
            at=round(at + after, 3),
            marker=f"chaos-{marker}",
            body={
                "title": f"chaos-{marker} queue is long",
                "severity": "high",
                "status": effect,
                "deduplication_key": problem,
            },
            parameters={"oncall_wait_minutes": f"{wait / 60:.6f}", **asked},
            problem=problem,
            source=source,
            adds=bool(asked) and marker > number and effect == "firing",
            wait=wait,
            effect=effect,
            web=chance.randrange(webs),
            tries=TRIES,
            deeds=tuple(_deeds(chance, webs)) if effect == "firing" else (),
        )

    first = chance.choice((PAGERDUTY, "source-default"))
    yield webhook(number, 0.0, "firing", first)
    if first != PAGERDUTY:
        number += 1
        # Both page for it: before the first one does, or afterwards.
        yield webhook(number, chance.uniform(0.5, wait + 10), "firing", PAGERDUTY)
    if chance.random() < 0.4:
        yield webhook(number + 1, chance.uniform(wait, wait + 20), "resolved", first)


def _deeds(chance: random.Random, webs: int) -> Iterator[PlannedDeed]:
    if chance.random() < 0.5:
        yield PlannedDeed(
            deed=chance.choice(("acknowledge", "acknowledge", "resolve", "escalate_now")),
            after="due",
            offset=chance.uniform(-4, 12),
            element=0,
            by_link=False,
            web=chance.randrange(webs),
        )


def events(stand_in: PagerDuty, titles: Mapping[str, str]) -> Iterator[Event]:
    """What reached PagerDuty; `titles` by incident, as only a trigger says what it is about."""
    known = dict(titles)
    for request in list(stand_in.requests):
        if not isinstance(request.body, dict):
            continue
        key = str(request.body.get("dedup_key"))
        title = str(request.body.get("payload", {}).get("summary") or known.get(key, ""))
        known[key] = title
        yield Event(
            at=request.at,
            key=key,
            kind=ACTIONS.get(str(request.body.get("event_action")), "unknown"),
            source=str(request.body.get("routing_key")),
            accepted=request.accepted,
            status=request.status,
            marker=marker_in(title),
            title=title,
        )
