"""What a fault underneath the service excuses, and that it excuses nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.checker import check
from tests.chaos.history import Event, Exchange, Fault, Life, Seen
from tests.chaos.test_checker import (
    ACKNOWLEDGED,
    DUE,
    INFRA,
    NOTIFIED,
    PAGED,
    RESOLVED,
    SILENT,
    TWICE,
    UNREAD,
    deed,
    event,
    history,
    record,
    webhook,
)


def fault(kind: str, began_at: float, ended_at: float | None = None, **more: Any) -> Fault:
    return Fault(kind=kind, began_at=began_at, ended_at=ended_at or began_at + 1.0, **more)


EMPTIED = fault("redis_emptied", 108.0, since=0.0)
MOMENTS = fault("redis_old_backup", 108.0, since=99.0)
RESTORED = fault("redis_old_backup", 121.0, since=99.0)
"""The backup knew nothing of it."""
OLD = fault("redis_old_backup", 121.0, since=100.5)
"""The backup knew it as it was reported."""
WITNESS = Life(at=1.0, name="worker-1", event="started")
LOST = event(109.5, key="lost", marker="", title="Redis lost data: 1 incident was pending")
ANOTHER = record("open", "another", due_at=None)
SUCCESSOR = deed("unacknowledge", 115, incidents=(Seen(id="s", state="pending", due_at=118.0),))
DAMAGED = fault("record_damaged", 105.0, incident="i")
DAMAGED_LATER = replace(DAMAGED, began_at=111.0, ended_at=111.5)
REFUSES = fault("redis_refuses_writes", 115.0, 140.0)
REFUSED = fault("redis_refuses_writes", 109.0, 116.0)
SENDER_KILLED = Life(at=112.0, name="worker-1", event="ended", detail="SIGKILL")
STEP = fault("redis_clock_steps", 105.0)
ROTATION = fault("secret_rotated", 112.0, 118.0)
KNOWN_PROBLEM = (
    webhook(problem="p", answered_at=100.1),
    deed("acknowledge", 105),
    record("acknowledged", attempts=0),
)
AGAIN = (
    webhook("d", status=202, due_at=120.0, problem="p", marker="chaos-2", sent_at=120.0, answered_at=122.5),
    event(122.0, key="d", marker="chaos-2"),
)
"""The problem is paged directly."""


def by_link(at: float) -> Exchange:
    return deed("acknowledge", at, 401)


def at_both(at: float, kind: str = "firing") -> tuple[Event, ...]:
    return tuple(event(at, kind, source=source) for source in ("source-default", "source-infra"))


KEPT: dict[str, Iterable[Any]] = {
    "gone, and paged as lost": (webhook(), EMPTIED, WITNESS, LOST, ANOTHER),
    "gone with the last moments, which page nobody": (webhook(), MOMENTS, WITNESS, ANOTHER),
    "gone, and nobody knew": (webhook(), EMPTIED, replace(WITNESS, at=100.0), ANOTHER),
    "acknowledged, and Redis lost that": (
        webhook(),
        deed("acknowledge", 105),
        EMPTIED,
        WITNESS,
        LOST,
        *PAGED[1:],
    ),
    "shown to a person as what continues it, paged, and lost": (
        *(*PAGED, deed("acknowledge", 112), SUCCESSOR, event(118.5, key="s", marker="")),
        replace(EMPTIED, began_at=119.0, ended_at=120.0),
        *(WITNESS, replace(LOST, at=120.5), ANOTHER),
    ),
    "shown to nobody as what continues it, paged, and lost": (
        *(*PAGED, deed("acknowledge", 112), event(118.5, key="s")),
        replace(EMPTIED, began_at=119.0, ended_at=120.0),
        *(WITNESS, replace(LOST, at=120.5), ANOTHER),
    ),
    "resolved with what continued it, which is lost": (
        *(*PAGED[:2], deed("acknowledge", 112), event(118.5, "resolved")),
        replace(EMPTIED, began_at=119.0, ended_at=120.0),
        *(WITNESS, replace(LOST, at=120.5), ANOTHER),
    ),
    "paged though this webhook asked for no page: its problem was paged directly before": (
        webhook("d", status=202, due_at=100.0, problem="p", marker="chaos-2", sent_at=98.0, answered_at=99.0),
        event(98.5, key="d", marker="chaos-2"),
        webhook(problem="p", due_at=None),
        *(event(101.0, marker="chaos-2"), record("escalated", due_at=None, escalated_at=101.0)),
    ),
    "the link led nowhere until the incident was made anew": (
        *(webhook(), EMPTIED, WITNESS, LOST, deed("acknowledge", 109.6, 404), event(110.1)),
        *(deed("acknowledge", 112), record("acknowledged", created_at=109.9, acknowledged_at=112.0)),
    ),
    "made anew by a message, and paged at the default source": (
        *(webhook(source="source-infra"), EMPTIED, WITNESS, LOST),
        *(event(110.1, marker="", title="Incident i"), record("escalated", escalated_at=110.1)),
    ),
    "the sender's link leads nowhere": (webhook(), EMPTIED, WITNESS, LOST, deed("acknowledge", 115, 404)),
    "paged again after an old backup": (*PAGED, OLD, event(123.0)),
    "an old backup knows no resolution": (*RESOLVED[:-1], OLD, event(123.0), record("escalated")),
    "gone, and made anew without its channel": (
        *(webhook(), NOTIFIED, EMPTIED, WITNESS, LOST, event(110.1)),
        record("escalated", created_at=109.9, escalated_at=110.1),
    ),
    "gone, made anew, and acknowledged": (
        *(webhook(), NOTIFIED, EMPTIED, WITNESS, LOST, event(110.1), deed("acknowledge", 112)),
        record("acknowledged", created_at=109.9, escalated_at=110.1, acknowledged_at=112.0),
    ),
    "a record without its title is paged": (*PAGED, DAMAGED, replace(PAGED[1], marker="")),
    "a resolve event for what was acknowledged and can't be read": (
        *(*ACKNOWLEDGED[:-1], DAMAGED, deed("resolve", 120), event(120.2, "resolved")),
        record("resolved", attempts=0),
    ),
    "the second alert source is forgotten with the record": (
        *(*TWICE, DAMAGED_LATER, deed("resolve", 120), event(120.2, "resolved")),
        record("resolved", escalated_at=110.1),
    ),
    "still firing: sent by a worker that was killed while Redis refused writes": (
        *(*RESOLVED[:3], RESOLVED[4], REFUSED, SENDER_KILLED),
    ),
    "still firing: it was killed before Redis, which was stopped meanwhile, could take writes": (
        *(*RESOLVED[:3], RESOLVED[4], REFUSED, fault("stop_redis", 115.0, 119.0)),
        *(fault("kill_while_sending", 123.0, 126.0), replace(SENDER_KILLED, at=125.9)),
    ),
    "a little early since Redis's clock stepped": (*PAGED, STEP, replace(PAGED[1], at=109.95)),
    "early since it stepped in a slow time": (
        *(*PAGED, STEP, fault("redis_delay", 104.0), replace(PAGED[1], at=109.2)),
    ),
    "early for a process that was started after a step that nobody could correct": (
        *(*PAGED, STEP, fault("redis_refuses_writes", 103.0, 107.0), replace(WITNESS, at=106.0)),
        replace(PAGED[1], at=108.5),
    ),
    "a page for a loss that somebody else had stored": (
        *(
            EMPTIED,
            WITNESS,
            LOST,
            replace(LOST, key="direct"),
            event(110.0, "resolved", "direct", title=LOST.title),
        ),
        record("resolved", "direct", title=LOST.title, escalated_at=109.5),
    ),
    "a link while the secret is rotated": (*PAGED, ROTATION, by_link(115.0)),
    "a link that was signed two secrets ago": (
        *(*PAGED, ROTATION, replace(ROTATION, began_at=130.0, ended_at=135.0), by_link(150.0)),
    ),
    "a process that answers though nobody reads its log": (
        UNREAD,
        *SILENT,
        webhook(sent_at=99.0, due_at=None),
    ),
    "no answer of a process that was killed meanwhile": (UNREAD, *SILENT, fault("kill_web", 100.0)),
    "no answer of a process whose log is read": (replace(UNREAD, detail="process=1"), *SILENT),
    "one problem paged under its key, and directly before": (
        *(webhook(problem="p"), *PAGED[1:], fault("redis_cut", 115.0, 125.0), *AGAIN),
        replace(REFUSES, began_at=140.0, ended_at=150.0),
        webhook(status=202, due_at=145.0, problem="p", marker="chaos-3", sent_at=145.0, answered_at=147.5),
        event(147.0, marker="chaos-3"),
    ),
    "paged directly, though acknowledged, with Redis away": (
        *KNOWN_PROBLEM,
        fault("redis_cut", 119.0),
        *AGAIN,
    ),
    "paged directly after it was resolved": (
        *(*KNOWN_PROBLEM[:-1], REFUSES, deed("resolve", 110), *AGAIN),
        record("resolved", attempts=0),
    ),
}

BROKEN: list[tuple[str, str, Iterable[Any]]] = [
    ("what_is_due_is_paged", "gone, and nobody was paged", (webhook(), EMPTIED, WITNESS, ANOTHER)),
    ("a_loss_is_paged_once", "gone, and nobody was paged", (webhook(), EMPTIED, WITNESS, ANOTHER)),
    (
        "an_answer_shows_what_was_done",
        "another incident, and Redis lost nothing",
        (*PAGED, deed("acknowledge", 112), SUCCESSOR),
    ),
    (
        "one_incident_is_one_alert",
        "a second alert of what was acknowledged, and Redis lost it before",
        (*PAGED, deed("acknowledge", 112), event(130.0, key="s"), EMPTIED, WITNESS, LOST),
    ),
    (
        "the_resolve_event_follows_the_page",
        "nobody had resolved it, and Redis lost what was before",
        (*PAGED, event(130.0, "resolved"), EMPTIED, WITNESS, LOST),
    ),
    (
        "one_incident_is_one_alert",
        "the wrong source after a loss, though its record was there",
        (webhook(source="source-infra"), EMPTIED, WITNESS, LOST, event(110.1), record("escalated")),
    ),
    ("a_loss_is_paged_once", "by each process", (EMPTIED, WITNESS, LOST, replace(LOST, key="again"))),
    (
        "what_is_due_is_paged",
        "seen after the loss",
        (webhook(), EMPTIED, WITNESS, LOST, webhook(sent_at=109.5, status=200), ANOTHER),
    ),
    (
        "what_was_stored_is_still_there",
        "seen after the loss",
        (webhook(), EMPTIED, WITNESS, LOST, webhook(sent_at=109.5, status=200), ANOTHER),
    ),
    (
        "who_is_asked_for_is_notified",
        "an incident that was reported after the loss",
        (
            EMPTIED,
            replace(NOTIFIED, incident="j"),
            webhook(sent_at=112.0),
            record("pending", created_at=112.0),
        ),
    ),
    ("what_was_stored_is_still_there", "in the backup, and gone", (*PAGED[:2], OLD, ANOTHER)),
    ("what_is_due_is_paged", "in the backup", (webhook(), OLD, WITNESS, LOST, record("pending"))),
    (
        "what_was_ended_in_time_never_pages",
        "the backup knew that it was acknowledged",
        (*ACKNOWLEDGED, replace(OLD, since=106.0), event(123.0)),
    ),
    ("one_incident_is_one_alert", "data was lost, says a page, and it was not", (LOST,)),
    (
        "every_answer_is_in_the_contract",
        "unknown before the loss",
        (*PAGED, EMPTIED, deed("resolve", 105, 404)),
    ),
    (
        "an_answered_deed_stands",
        "acknowledged after the loss",
        (webhook(), EMPTIED, WITNESS, LOST, deed("acknowledge", 109.5), record("pending")),
    ),
    ("what_is_due_is_paged", "a record that can't be read", (webhook(), DAMAGED, record("pending"))),
    (
        "what_was_ended_in_time_never_pages",
        "acknowledged, and its record can't be read",
        (*ACKNOWLEDGED, DAMAGED, event(110.1)),
    ),
    (
        "one_incident_is_one_alert",
        "a record that can't be read, at the wrong alert source",
        (webhook(source="source-infra"), DAMAGED, event(110.1), record("escalated")),
    ),
    (
        "what_is_over_is_over_at_incident_io",
        "a record that was damaged before its page",
        (
            *(webhook(), INFRA, DAMAGED, *at_both(110.1), deed("resolve", 120), event(120.2, "resolved")),
            record("resolved", escalated_at=110.1),
        ),
    ),
    (
        "what_is_over_is_over_at_incident_io",
        "still firing: Redis refused writes, and no worker was killed",
        (*RESOLVED[:3], RESOLVED[4], REFUSED),
    ),
    (
        "what_is_over_is_over_at_incident_io",
        "still firing: a worker was killed after Redis took writes again",
        (*RESOLVED[:3], RESOLVED[4], REFUSED, replace(SENDER_KILLED, at=125.0)),
    ),
    (
        "what_is_over_is_over_at_incident_io",
        "still firing: another worker was killed before",
        (
            *(*RESOLVED[:3], RESOLVED[4], REFUSED, fault("kill_worker", 112.0, 126.0, detail="worker=1")),
            replace(SENDER_KILLED, at=125.0),
        ),
    ),
    (
        "what_is_over_is_over_at_incident_io",
        "still firing: a worker was killed, and Redis took writes",
        (*RESOLVED[:3], RESOLVED[4], SENDER_KILLED),
    ),
    ("nothing_pages_unasked_or_early", "before the step", (webhook(), STEP, event(104.0))),
    ("nothing_pages_unasked_or_early", "a second early after a step", (webhook(), STEP, event(109.0))),
    (
        "nothing_pages_unasked_or_early",
        "early after a step, though Redis took writes",
        (webhook(), STEP, replace(WITNESS, at=106.0), event(108.5)),
    ),
    (
        "nothing_pages_unasked_or_early",
        "early after a step, though no process was started",
        (webhook(), STEP, fault("redis_refuses_writes", 103.0, 107.0), event(108.5)),
    ),
    (
        "every_answer_is_in_the_contract",
        "unknown though it was reported after the loss",
        (EMPTIED, WITNESS, LOST, webhook(sent_at=112.0, answered_at=112.1), deed("acknowledge", 113, 404)),
    ),
    ("every_answer_is_in_the_contract", "a link after one rotation", (*PAGED, ROTATION, by_link(130.0))),
    ("every_answer_is_in_the_contract", "a link without a rotation", (*PAGED, by_link(115.0))),
    (
        "a_repeat_of_what_is_acknowledged_pages_nobody",
        "directly",
        (*KNOWN_PROBLEM, REFUSES, *AGAIN),
    ),
    (
        "direct_pages_of_one_problem_share_a_key",
        "directly under two keys while Redis refuses",
        (
            *(*AGAIN, REFUSES),
            replace(AGAIN[0], incidents=(Seen(id="e", state="escalated", due_at=DUE),)),
            event(122.0, key="e"),
        ),
    ),
    (
        "a_page_is_repeated_only_after_a_fault",
        "a log that nobody reads is no reason",
        (*PAGED, event(111.0), fault("log_unread", 105.0, 115.0)),
    ),
]


@pytest.mark.parametrize("name", KEPT)
def test_what_is_excused(name: str) -> None:
    assert check(history(*KEPT[name])) == []


@pytest.mark.parametrize(("rule", "name", "parts"), BROKEN, ids=[f"{r}: {n}" for r, n, _ in BROKEN])
def test_what_is_not(rule: str, name: str, parts: Iterable[Any]) -> None:
    assert rule in {violation.rule for violation in check(history(*parts))}
