"""The rules on what is held can fail: histories that keep them, and some that break them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.checker import check
from tests.chaos.history import Exchange, Fault
from tests.chaos.silence_rules import OF_SILENCES
from tests.chaos.test_checker import deed, event, history, record, webhook


def silence(sent_at: float = 98.0, **more: Any) -> Exchange:
    """Made at 98, until 120."""
    usual = Exchange(
        action="silence",
        sent_at=sent_at,
        answered_at=sent_at + 0.1,
        marker="chaos-0",
        problem="quiet-1",
        silence="s",
        until=120.0,
        status=201,
    )
    return replace(usual, **more)


def ended(sent_at: float = 110.0, **more: Any) -> Exchange:
    return silence(sent_at, **{"action": "end_silence", "until": None, "status": 200, **more})


HELD = webhook(problem="quiet-1", due_at=130.0)
"""Sent at 100; due after the silence and ten seconds."""
PAGED = (event(130.1), record("escalated", due_at=130.0, escalated_at=130.1))
SOONER = (event(120.2), record("escalated", due_at=120.1, escalated_at=120.2))
"""The silence was ended at 110."""
NEVER = record("pending", due_at=9_000.0, attempts=0)
ACKNOWLEDGED = deed("acknowledge", 105, problem="quiet-1")
LATER = silence(105.0)
"""The incident waits already."""
NIGHT = webhook(problem="night-1", due_at=9_000.0)
WORSE = webhook(problem="night-1", worse=True, status=200, sent_at=105.0, answered_at=105.1, due_at=115.1)
WOKEN = (event(115.2), record("escalated", due_at=115.1, escalated_at=115.2))

KEPT: dict[str, Iterable[Any]] = {
    "paged after its end and the wait": (silence(), HELD, *PAGED),
    "ended by a person": (silence(), HELD, ended(), *SOONER),
    "perhaps ended": (silence(), HELD, ended(answered_at=None, status=None), *SOONER),
    "perhaps made": (silence(answered_at=None, status=None), HELD, event(110.1), record("escalated")),
    "perhaps made, and longer": (
        *(silence(), silence(99.0, answered_at=None, status=None, silence=None, until=9_000.0)),
        *(HELD, NEVER),
    ),
    "acknowledged": (silence(), HELD, ACKNOWLEDGED, record("acknowledged", due_at=130.0, attempts=0)),
    "on its way when it began": (
        *(webhook(problem="quiet-1"), silence(109.95), event(110.1)),
        record("escalated", escalated_at=110.1),
    ),
    "pending when it began": (webhook(problem="quiet-1"), LATER, *PAGED),
    "stored after its end": (
        silence(80.0, until=90.0),
        *(webhook(problem="quiet-1"), event(110.1), record("escalated")),
    ),
    "paged directly": (
        silence(),
        HELD,
        replace(HELD, sent_at=101.0, answered_at=101.2, status=202),
        event(101.1),
        PAGED[1],
    ),
    "held for the night": (NIGHT, replace(NEVER, due_at=9_000.0)),
    "worse at night": (NIGHT, WORSE, *WOKEN),
    "perhaps worse at night": (NIGHT, replace(WORSE, answered_at=None, status=None, incidents=()), *WOKEN),
}

BROKEN: list[tuple[str, str, Iterable[Any]]] = [
    ("what_was_held_is_paged", "not at its end", (silence(), HELD, NEVER)),
    ("what_was_held_is_paged", "not when it was ended", (silence(), HELD, ended(), NEVER)),
    (
        "what_was_held_is_paged",
        "acknowledged, says the record, and nobody did",
        (silence(), HELD, record("acknowledged", due_at=130.0, attempts=0)),
    ),
    ("what_was_held_is_paged", "was pending when it began", (webhook(problem="quiet-1"), LATER, NEVER)),
    ("what_was_held_is_paged", "worse at night", (NIGHT, WORSE, NEVER)),
    ("what_is_held_does_not_page", "while it holds", (silence(), HELD, event(110.1), PAGED[1])),
    ("what_is_held_does_not_page", "without a wait", (silence(), HELD, event(120.1), PAGED[1])),
    (
        "what_is_held_does_not_page",
        "ended, without a wait",
        (silence(), HELD, ended(), event(111.0), PAGED[1]),
    ),
    (
        "what_is_held_does_not_page",
        "pending when it began, and not on its way",
        (webhook(problem="quiet-1"), silence(94.0, until=140.0), event(125.1), PAGED[1]),
    ),
    (
        "what_is_held_does_not_page",
        "acknowledged while it held",
        (silence(), HELD, ACKNOWLEDGED, event(140.0), record("acknowledged")),
    ),
    ("what_is_held_does_not_page", "at night", (NIGHT, event(110.1), record("escalated"))),
    ("what_is_held_does_not_page", "at once", (NIGHT, WORSE, event(106.0), record("escalated"))),
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
    assert {rule for rule, _, _ in BROKEN} == {judge.__name__ for judge in OF_SILENCES}


def test_what_redis_lost_is_excused() -> None:
    lost = Fault(kind="redis_emptied", began_at=106.0, ended_at=106.1, since=0.0)
    for rule, _, parts in BROKEN:
        assert rule not in rules_broken((*parts, lost))


def test_a_request_that_was_frozen_on_its_way_is_excused_only_if_it_began_before() -> None:
    frozen = Fault(kind="incidentio_freeze", began_at=104.0, ended_at=124.9)
    began_before = (webhook(problem="quiet-1", wait=3.0), silence(105.0, until=140.0), event(125.0))
    assert "what_is_held_does_not_page" in rules_broken((*began_before, PAGED[1]))
    assert "what_is_held_does_not_page" not in rules_broken((*began_before, PAGED[1], frozen))
    assert "what_is_held_does_not_page" in rules_broken((silence(), HELD, event(110.1), PAGED[1], frozen))


def test_what_is_over_before_its_silence_is_heard_of_by_nobody() -> None:
    over = record("resolved", due_at=130.0, resolved_at=110.0, attempts=0)
    resolved = webhook(action="resolved", status=200, problem="quiet-1", sent_at=109.9, answered_at=110.1)
    assert rules_broken((silence(), HELD, resolved, over)) == set()
