"""The rules on acknowledgements that end can fail: histories that keep them, and some that break them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.checker import check
from tests.chaos.history import Fault, Seen
from tests.chaos.reopening_rules import OF_REOPENING
from tests.chaos.test_checker import deed, event, history, record, webhook

FIRST = webhook(problem="p")
"""Sent at 100, due at 110."""
FOR_A_MINUTE = deed("acknowledge", 105, minutes=0.1, problem="p")
"""Until 111.1."""
ACKNOWLEDGED = deed("acknowledge", 105, problem="p")
TAKEN_BACK = deed("unacknowledge", 111, problem="p")
JOINED = webhook(problem="p", status=200, grows=True, sent_at=111.0, answered_at=111.1, due_at=121.05)
REOPENED = (event(121.2), record("escalated", due_at=121.1, escalated_at=121.2))
"""By itself, after ten seconds."""
PAGED = (FIRST, event(110.1))
LATE = deed("acknowledge", 112, minutes=0.1, problem="p")
"""After the page, until 118.1."""
OLD = record("acknowledged", escalated_at=110.1)
SUCCESSOR = record("escalated", "j", previous_id="i", due_at=128.1, created_at=118.1, escalated_at=128.2)
CONTINUED = (*PAGED, LATE, event(128.2, key="j"), OLD, SUCCESSOR)
OVER = webhook("j", action="resolved", status=200, problem="p", sent_at=140.0, answered_at=140.1)
ENDED = (
    *(*PAGED, LATE, event(128.2, key="j"), OVER, event(140.2, "resolved", key="j")),
    *(record("resolved", resolved_at=140.3), replace(SUCCESSOR, state="resolved", resolved_at=140.05)),
)
EU = webhook(problem="p@eu")

KEPT: dict[str, Iterable[Any]] = {
    "reopened at the end of its minutes": (FIRST, FOR_A_MINUTE, *REOPENED),
    "taken back": (FIRST, ACKNOWLEDGED, TAKEN_BACK, *REOPENED),
    "worse": (FIRST, ACKNOWLEDGED, JOINED, *REOPENED),
    "not due yet": (
        *(FIRST, ACKNOWLEDGED, deed("unacknowledge", 195, problem="p"), record("pending", due_at=205.0)),
    ),
    "acknowledged again": (
        *(FIRST, FOR_A_MINUTE, deed("acknowledge", 112, problem="p"), record("acknowledged", attempts=0)),
    ),
    "perhaps resolved": (
        *(FIRST, ACKNOWLEDGED, TAKEN_BACK, deed("resolve", 112, None, problem="p")),
        record("resolved", attempts=0),
    ),
    "worse before it was acknowledged": (
        *(FIRST, replace(JOINED, sent_at=101.0, answered_at=101.1), ACKNOWLEDGED),
        record("acknowledged", attempts=0),
    ),
    "perhaps taken back": (FIRST, ACKNOWLEDGED, deed("unacknowledge", 104, None, problem="p"), *REOPENED),
    "continued by another incident": CONTINUED,
    "both are over": (*ENDED, event(140.4, "resolved")),
    "two installations": (EU, webhook("j", problem="p@us"), event(110.1), event(110.1, key="j")),
}

BROKEN: list[tuple[str, str, Iterable[Any]]] = [
    (
        "what_is_reopened_is_paged",
        "not at the end of its minutes",
        (FIRST, FOR_A_MINUTE, record("acknowledged", attempts=0)),
    ),
    (
        "what_is_reopened_is_paged",
        "not when it was taken back",
        (FIRST, ACKNOWLEDGED, TAKEN_BACK, record("acknowledged", attempts=0)),
    ),
    (
        "what_is_reopened_is_paged",
        "not when it became worse",
        (FIRST, ACKNOWLEDGED, JOINED, record("acknowledged", attempts=0)),
    ),
    ("what_is_reopened_is_paged", "not by what continues it", (*PAGED, LATE, OLD)),
    (
        "what_is_acknowledged_waits_in_full",
        "at once",
        (FIRST, FOR_A_MINUTE, event(112.0), record("escalated")),
    ),
    (
        "what_is_acknowledged_waits_in_full",
        "what continues it, at once",
        (*PAGED, LATE, event(119.0, key="j"), OLD, SUCCESSOR),
    ),
    (
        "what_is_acknowledged_waits_in_full",
        "before anybody took it back",
        (FIRST, ACKNOWLEDGED, event(110.1), deed("unacknowledge", 150, problem="p"), record("escalated")),
    ),
    (
        "what_is_acknowledged_waits_in_full",
        "what became worse before is no reason",
        (FIRST, replace(JOINED, sent_at=101.0, answered_at=101.1), ACKNOWLEDGED, *REOPENED),
    ),
    ("what_was_continued_ends_with_its_successor", "still firing", ENDED),
    (
        "two_installations_are_two_problems",
        "one incident of both",
        (EU, replace(EU, problem="p@us", status=200), *REOPENED),
    ),
]


def rules_broken(parts: Iterable[Any]) -> set[str]:
    return {violation.rule for violation in check(history(*parts))}


@pytest.mark.parametrize("name", KEPT)
def test_a_history_that_keeps_every_rule(name: str) -> None:
    assert rules_broken(KEPT[name]) == set()


@pytest.mark.parametrize(("rule", "name", "parts"), BROKEN, ids=[f"{r}: {n}" for r, n, _ in BROKEN])
def test_a_history_that_breaks_a_rule(rule: str, name: str, parts: Iterable[Any]) -> None:
    assert rule in rules_broken(parts)


def test_every_rule_has_a_history_that_breaks_it() -> None:
    assert {rule for rule, _, _ in BROKEN} == {judge.__name__ for judge in OF_REOPENING}


def test_what_redis_lost_is_excused() -> None:
    lost = Fault(kind="redis_emptied", began_at=106.0, ended_at=106.1, since=0.0)
    assert "what_is_acknowledged_waits_in_full" not in rules_broken((*BROKEN[4][2], lost))


def test_a_deed_may_be_done_to_what_continues_the_incident_that_was_meant() -> None:
    done = deed("resolve", 130, problem="p", incidents=(Seen(id="j", state="resolved", due_at=None),))
    assert "an_answer_shows_what_was_done" not in rules_broken((*CONTINUED, done))
