"""The rules on pages that do not get out can fail: histories that keep them, and some that break them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.chain_rules import OF_CHAINS
from tests.chaos.checker import check
from tests.chaos.history import Fault, Notification
from tests.chaos.outages import OUTAGE, SPARE
from tests.chaos.test_checker import deed, event, history, record, webhook

OUT = Fault(kind=OUTAGE, began_at=105.0, ended_at=140.0)
NO = event(110.1, accepted=False, status=503)
"""The first attempt, at the due time, which the outage refuses."""
AGAIN = replace(NO, at=116.0)
SPARED = event(119.2, source=SPARE)
LATE = record(
    "escalated", due_at=110.0, escalated_at=119.2, late=(119.05,), timeline=("received", "late", "escalated")
)
STORED = Notification(at=100.2, channel="ops", incident="i", through=100.05)
TOLD = Notification(at=119.3, channel="ops", incident="i", event="late", through=119.05)
CHAIN = (webhook(), OUT, NO, AGAIN, SPARED, LATE)
GOOD = (*CHAIN, TOLD)
TAKEN = record("escalated", escalated_at=110.1, timeline=("escalated",))

KEPT: dict[str, Iterable[Any]] = {
    "late, and paged by the fallback": GOOD,
    "late, and told in a summary": (*CHAIN, Notification(at=130.0, channel="ops", count=2)),
    "the outage ends before it is late": (
        *(webhook(), OUT, NO, event(112.0), replace(TAKEN, escalated_at=112.0)),
    ),
    "both, after a worker was stopped": (
        *GOOD,
        event(150.0),
        Fault(kind="stop_worker", began_at=118.0, ended_at=149.0),
    ),
    "both, at the same time": (*GOOD, event(119.3)),
    "an attempt that nobody saw": (
        *(webhook(), SPARED, LATE, TOLD, Fault(kind="incidentio_cut", began_at=109.0, ended_at=112.0)),
    ),
    "by the fallback, while Redis refused writes": (
        *(*CHAIN[:-1], replace(LATE, late=())),
        Fault(kind="redis_refuses_writes", began_at=108.0, ended_at=130.0),
    ),
    "late, of a webhook that got no answer": (OUT, NO, AGAIN, SPARED, LATE, TOLD),
    "late, and acknowledged meanwhile": (
        *(webhook(), OUT, NO, deed("acknowledge", 119.0), replace(LATE, state="acknowledged")),
        TOLD,
    ),
    "resolved at both": (
        *(*GOOD, deed("resolve", 150), event(150.2, "resolved", source=SPARE)),
        event(150.2, "resolved"),
    ),
}

BROKEN: list[tuple[str, str, Iterable[Any]]] = [
    ("a_late_page_is_told_to_every_channel", "to none", (*CHAIN, STORED)),
    (
        "a_late_page_is_told_to_every_channel",
        "in a summary before",
        (*CHAIN, Notification(at=118.0, channel="ops", count=2)),
    ),
    (
        "what_does_not_get_out_is_late",
        "the fallback has it",
        (*CHAIN[:-1], replace(LATE, late=())),
    ),
    (
        "what_does_not_get_out_is_late",
        "refused for half a minute",
        (webhook(), OUT, NO, AGAIN, event(141.0), replace(LATE, late=(), escalated_at=141.0)),
    ),
    ("nothing_else_is_late", "too early", (*CHAIN[:-1], replace(LATE, late=(112.0,)), TOLD)),
    (
        "nothing_else_is_late",
        "no attempt had failed",
        (webhook(), event(130.0), replace(LATE, escalated_at=130.0), TOLD),
    ),
    (
        "nothing_else_is_late",
        "it was taken before",
        (webhook(), OUT, NO, event(111.0), replace(LATE, late=(140.0,)), replace(TOLD, through=140.0)),
    ),
    (
        "a_fallback_is_tried_only_when_late",
        "too early",
        (*CHAIN[:-2], replace(SPARED, at=112.0), LATE, TOLD),
    ),
    ("a_fallback_is_tried_only_when_late", "nothing before it", (webhook(), SPARED, LATE, TOLD)),
    (
        "a_fallback_is_tried_only_when_late",
        "the alert source has it",
        (webhook(), NO, event(111.0), replace(SPARED, at=130.0), LATE, TOLD),
    ),
    (
        "a_late_page_goes_to_the_fallback",
        "nothing is tried",
        (webhook(), OUT, NO, AGAIN, event(141.0), replace(LATE, escalated_at=141.0), TOLD),
    ),
    ("acceptance_ends_the_chain", "tried on", (*GOOD, event(140.5))),
    (
        "acceptance_ends_the_chain",
        "an attempt is one too many",
        (*GOOD, replace(NO, at=137.0)),
    ),
    (
        "what_is_over_is_over_at_incident_io",
        "still firing at the fallback",
        (*GOOD[:-2], deed("resolve", 150), replace(LATE, state="resolved"), TOLD),
    ),
    (
        "what_is_due_is_paged",
        "by a channel alone",
        (webhook(), OUT, NO, AGAIN, replace(SPARED, accepted=False, status=503), LATE, TOLD),
    ),
]


def rules_broken(parts: Iterable[Any]) -> set[str]:
    return {violation.rule for violation in check(history(*parts))}


@pytest.mark.parametrize("name", KEPT)
def test_a_history_that_keeps_the_rules_of_chains(name: str) -> None:
    assert rules_broken(KEPT[name]).isdisjoint(judge.__name__ for judge in OF_CHAINS)


@pytest.mark.parametrize(("rule", "name", "parts"), BROKEN, ids=[f"{r}: {n}" for r, n, _ in BROKEN])
def test_a_history_that_breaks_a_rule(rule: str, name: str, parts: Iterable[Any]) -> None:
    assert rule in rules_broken(parts)


def test_every_rule_has_a_history_that_breaks_it() -> None:
    assert {rule for rule, _, _ in BROKEN} >= {judge.__name__ for judge in OF_CHAINS}


def test_what_a_webhook_paged_directly_may_go_to_the_fallback_at_once() -> None:
    directly = webhook(status=202, due_at=100.0)
    assert rules_broken((directly, event(100.05, source=SPARE))) == set()
