"""What a run will do, made from its seed before it begins: faults, webhooks, and what people do about it."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from tests.chaos import second_provider
from tests.chaos.outages import outages
from tests.chaos.planned import PlannedDeed, PlannedFault, PlannedSilence, PlannedWebhook
from tests.chaos.quiet import quiet
from tests.chaos.troubles import troubles
from tests.chaos.underneath import underneath
from tests.ingest.webhooks.samples import SAMPLES

WEBS = 2
WORKERS = 3
HOUR = 3600.0
LONGEST_WAIT = 25.0
SEVERITIES = ("critical", "high", "medium", "low")
WEBHOOKS_A_SECOND = (5.0, 9.0)

MOST_REFUSED = 20
FIRST_REFUSED = 1_000_000

# Before the first fault, so that a run begins with something that has to work without one.
QUIET = 4.0

# How often each fault happens, in proportion.
FAULTS = {
    "kill_web": 2,
    "terminate_web": 1,
    "kill_web_child": 3,
    "terminate_web_child": 1,
    "stop_web_child": 3,
    "kill_worker": 5,
    "terminate_worker": 3,
    "stop_worker": 6,
    "kill_while_sending": 6,
    "stop_while_sending": 4,
    "kill_redis": 3,
    "stop_redis": 3,
    "flush_queue": 3,
    "redis_cut": 3,
    "redis_delay": 2,
    "redis_freeze": 3,
    "redis_refuse": 2,
    "incidentio_cut": 3,
    "incidentio_delay": 5,
    "incidentio_freeze": 3,
    "incidentio_refuse": 2,
    "incidentio_answers": 12,
}

# Status, and the other fields of the simulator's `Reply`. A server that says 500, 503 or 429 says that it
# took nothing; services, or a connection that breaks, says nothing about it.
ANSWERS: tuple[dict[str, Any], ...] = (
    {"status": 429, "headers": {"Retry-After": "1"}},
    {"status": 429, "headers": {"Retry-After": "3"}},
    {"status": 429, "headers": {"Retry-After": "5"}},
    {"status": 500},
    {"status": 503},
    {"status": 502, "taken": False},
    {"status": 502, "taken": True},
    {"status": 504, "taken": True},
    *(
        {"status": 504, "mode": mode, "taken": taken}
        for mode in ("garbage", "hang", "reset", "trickle")
        for taken in (False, True)
    ),
    {"status": 500, "mode": "trickle_body"},
    {"status": 202, "mode": "trickle_body"},
)


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a run will do."""

    seed: int
    seconds: float
    max_per_minute: int
    children: int
    """WEB_CONCURRENCY."""
    faults: tuple[PlannedFault, ...]
    webhooks: tuple[PlannedWebhook, ...]
    silences: tuple[PlannedSilence, ...] = ()


def plan(seed: int, seconds: float) -> Plan:
    """The same plan for the same seed and length."""
    chance = random.Random(seed)
    held = list(quiet(random.Random(seed), seconds, WEBS))
    return Plan(
        seed=seed,
        seconds=seconds,
        max_per_minute=chance.choice((0, 0, 600)),
        children=chance.choice((1, 2)),
        faults=tuple(sorted(_all_faults(chance, seconds, seed), key=lambda fault: fault.at)),
        webhooks=(
            *_Senders(chance, seconds).webhooks(),
            *_refused(random.Random(seed), seconds),
            *troubles(random.Random(seed), seconds, WEBS),
            *(one for one in held if isinstance(one, PlannedWebhook)),
            *second_provider.webhooks(random.Random(seed), seconds, WEBS),
        ),
        silences=tuple(one for one in held if isinstance(one, PlannedSilence)),
    )


# -- faults ----------------------------------------------------------------------------------------------


def _all_faults(chance: random.Random, seconds: float, seed: int) -> Iterator[PlannedFault]:
    yield from _faults(chance, seconds)
    yield from underneath(random.Random(seed), QUIET, seconds)
    yield from outages(random.Random(seed), QUIET, seconds)
    yield from second_provider.faults(random.Random(seed), QUIET, seconds, ANSWERS)


def _faults(chance: random.Random, seconds: float) -> Iterator[PlannedFault]:
    pace = chance.uniform(0.8, 3.5)
    at = QUIET
    while True:
        # Now and then nothing happens for a while: what was due then has to go by itself, too.
        at += chance.uniform(8, 15) if chance.random() < 0.06 else chance.expovariate(1 / pace)
        if at >= seconds:
            return
        [kind] = chance.choices(list(FAULTS), list(FAULTS.values()))
        # The end of the plan heals everything, so nothing needs to last longer.
        yield PlannedFault(round(at, 3), kind, *_particulars(chance, kind))


def _particulars(chance: random.Random, kind: str) -> tuple[float, dict[str, Any]]:
    """How long, and what else there is to choose."""
    web, worker = {"web": chance.randrange(WEBS)}, {"worker": chance.randrange(WORKERS)}
    # Sometimes longer than a lease.
    stopped = chance.choice((chance.uniform(0.5, 4), chance.uniform(0.5, 14), chance.uniform(14, 20)))
    match kind:
        case "kill_web" | "terminate_web" | "kill_web_child" | "terminate_web_child":
            return chance.uniform(0, 5), {**web, "child": chance.randrange(2), "busy": chance.random() < 0.5}
        case "stop_web_child":
            return stopped, {**web, "child": chance.randrange(2)}
        case "kill_worker" | "terminate_worker":
            return chance.uniform(0, 8), worker
        case "stop_worker":
            return stopped, worker
        case "kill_while_sending":
            return chance.uniform(0, 5), {"spared": None, "taken": chance.random() < 0.6}
        case "stop_while_sending":
            return chance.uniform(14, 20), {
                "spared": chance.randrange(WORKERS),
                "taken": chance.random() < 0.6,
            }
        case "kill_redis":
            return chance.uniform(0, 8), {}
        case "stop_redis":
            return chance.choice((chance.uniform(0.5, 2), chance.uniform(0.5, 8), stopped)), {}
        case "redis_delay" | "incidentio_delay":
            return chance.uniform(2, 10), {"latency": round(chance.uniform(0.02, 1.2), 3)}
        case "redis_refuse" | "incidentio_refuse":
            return chance.uniform(0.5, 8), {}
        case "incidentio_answers":
            count = chance.choice((None, 1, 2, 5))
            return chance.uniform(0.5, 12) if count is None else 0.0, {
                "reply": chance.choice(ANSWERS),
                "count": count,
            }
    return 0.0, {}


# -- load ------------------------------------------------------------------------------------------------


class _Senders:
    """Monitoring tools: some know their problems by a key and repeat and resolve them, some know nothing."""

    def __init__(self, chance: random.Random, seconds: float) -> None:
        self._chance = chance
        self._seconds = seconds
        self._problems: list[tuple[str, str]] = []
        """Key, and alert source."""
        self._count = 0

    def webhooks(self) -> Iterator[PlannedWebhook]:
        pace = self._chance.uniform(*WEBHOOKS_A_SECOND)
        at = 0.0
        while at < self._seconds:
            yield self._webhook(round(at, 3))
            at += self._chance.expovariate(pace)

    def _webhook(self, at: float) -> PlannedWebhook:
        self._count += 1
        marker = f"chaos-{self._count}"
        kind = self._chance.choices(
            ("bare", "keyed", "group", "array", "repeat", "resolve"), (5, 4, 2, 1, 3, 2)
        )[0]
        effect: Literal["firing", "resolved"] = "resolved" if kind == "resolve" else "firing"
        problem, source = self._problem(kind)
        adds = kind == "repeat" and self._chance.random() < 0.25
        if adds:
            source = "source-infra" if source == "source-default" else "source-default"
        size = self._chance.randint(2, 4) if kind == "array" else 1
        wait = self._wait()
        return PlannedWebhook(
            at=at,
            marker=marker,
            body=self._body(kind, marker, problem, effect, size),
            parameters=(parameters := self._parameters(source, wait, adds=adds)),
            problem=problem,
            source=source,
            adds=adds and "oncall_enable" not in parameters,
            wait=wait,
            effect=effect,
            web=self._chance.randrange(WEBS),
            tries=self._chance.choice((1, 3, 4, 6)),
            deeds=tuple(self._deeds(size)) if effect == "firing" else (),
        )

    def _problem(self, kind: str) -> tuple[str | None, str]:
        source = "source-infra" if self._chance.random() < 0.25 else "source-default"
        if kind in ("bare", "array"):
            return None, source
        if kind in ("repeat", "resolve") and self._problems:
            # Of the latest ones: what is over long ago is no test.
            return self._chance.choice(self._problems[-25:])
        shape = "group" if kind == "group" else "key"
        self._problems.append((f"{shape}:problem-{self._count}", source))
        return self._problems[-1]

    def _body(self, kind: str, marker: str, problem: str | None, effect: str, size: int) -> Any:
        if problem is not None and problem.startswith("group:"):
            return _alertmanager(marker, problem, effect)
        if kind == "array":
            return [self._generic(f"{marker}-{n}", None, effect) for n in range(size)]
        return self._generic(marker, problem, effect)

    def _generic(self, marker: str, problem: str | None, effect: str) -> dict[str, Any]:
        severity = self._chance.choice(SEVERITIES)
        if problem is not None:
            # One that becomes worse is reopened: what does is planned as such (`troubles`).
            severity = SEVERITIES[zlib.crc32(problem.encode()) % len(SEVERITIES)]
        body = {
            "title": f"{marker} disk full",
            "severity": severity,
            "service": "checkout",
            "status": effect,
        }
        return body if problem is None else {**body, "deduplication_key": problem}

    def _wait(self) -> float:
        usual = self._chance.uniform(0, min(LONGEST_WAIT, self._seconds / 2))
        return self._chance.choices((0.0, usual, HOUR), (10, 80, 10))[0]

    def _parameters(self, source: str, wait: float, *, adds: bool) -> dict[str, str]:
        parameters = {"oncall_wait_minutes": f"{wait / 60:.6f}"}
        if adds or source == "source-infra":
            parameters["incidentio_other_alert_source"] = source.removeprefix("source-")
        if self._chance.random() < 0.04:
            parameters["oncall_enable"] = "false"
        return parameters

    def _deeds(self, size: int) -> Iterator[PlannedDeed]:
        deed: Literal["acknowledge", "resolve", "escalate_now"]
        while self._chance.random() < 0.5:
            deed = self._chance.choices(("acknowledge", "resolve", "escalate_now"), (6, 3, 1))[0]
            after: Literal["answer", "due"] = "answer" if self._chance.random() < 0.5 else "due"
            around = (
                self._chance.uniform(-0.3, 0.3),
                self._chance.uniform(-5, -0.3),
                self._chance.uniform(0.3, 15),
            )
            offset = self._chance.choices(around, (4, 4, 3))[0]
            yield PlannedDeed(
                deed=deed,
                after=after,
                offset=self._chance.expovariate(1 / 4) if after == "answer" else offset,
                element=self._chance.randrange(size),
                by_link=deed == "acknowledge" and self._chance.random() < 0.6,
                web=self._chance.randrange(WEBS),
            )


def _refused(chance: random.Random, seconds: float) -> Iterator[PlannedWebhook]:
    """What can't be read, each of another sender; no more than may have incidents of their own."""
    for n in range(min(MOST_REFUSED, int(seconds / 8) + 1)):
        wait = chance.uniform(0, min(LONGEST_WAIT, seconds / 2))
        yield PlannedWebhook(
            at=round(chance.uniform(0, seconds), 3),
            marker=f"chaos-{FIRST_REFUSED + n}",
            body={},
            parameters={"oncall_wait_minutes": f"{wait / 60:.6f}"},
            problem=None,
            source="source-default",
            adds=False,
            wait=wait,
            effect="refused",
            web=chance.randrange(WEBS),
            tries=4,
        )


def _alertmanager(marker: str, problem: str, effect: str) -> dict[str, Any]:
    sample = SAMPLES["alertmanager_01_firing"]["body"]

    def named(labels: dict[str, str]) -> dict[str, str]:
        return {**labels, "alertname": marker}

    return {
        **sample,
        "status": effect,
        "groupKey": problem,
        "groupLabels": named(sample["groupLabels"]),
        "commonLabels": named(sample["commonLabels"]),
        "alerts": [{**one, "status": effect, "labels": named(one["labels"])} for one in sample["alerts"]],
    }
