"""The checker can fail: for each rule a small history that keeps it, and some that break it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos import checker
from tests.chaos.chain_rules import OF_CHAINS
from tests.chaos.checker import check
from tests.chaos.history import Event, Exchange, Fault, History, Life, Notification, Record, Seen
from tests.chaos.known import lateness
from tests.chaos.provider_rules import OF_PROVIDERS
from tests.chaos.reopening_rules import OF_REOPENING
from tests.chaos.silence_rules import OF_SILENCES

DUE = 110.0


def webhook(incident: str = "i", **more: Any) -> Exchange:
    """Sent at 100, with a wait of ten seconds; stored, due at 110."""
    due_at = more.pop("due_at", DUE)
    seen = Seen(id=incident, state="pending", due_at=due_at)
    usual = Exchange(
        action="firing",
        sent_at=100.0,
        answered_at=100.1,
        marker="chaos-1",
        wait=10.0,
        status=201,
        channel="ops",
        incidents=(seen,),
    )
    return replace(usual, **more)


def unanswered(**more: Any) -> Exchange:
    """Sent at 100; nobody knows what became of it."""
    return webhook(**{"answered_at": None, "status": None, "incidents": (), **more})


def deed(action: Any, at: float, status: int | None = 200, incident: str = "i", **more: Any) -> Exchange:
    """What a person did; answered 0.1 s later, if at all."""
    seen = (Seen(id=incident, state="acknowledged", due_at=DUE),) if status == 200 else ()
    exchange = Exchange(
        action=action,
        sent_at=at,
        answered_at=None if status is None else at + 0.1,
        marker="chaos-1",
        incident=incident,
        status=status,
        retry_after=status == 503,
        incidents=seen,
    )
    return replace(exchange, **more)


def event(at: float, kind: str = "firing", key: str = "i", **more: Any) -> Event:
    """As incident.io took it."""
    usual = Event(
        at=at, key=key, kind=kind, source="source-default", accepted=True, status=202, marker="chaos-1"
    )
    return replace(usual, **more)


def record(state: str, incident: str = "i", **more: Any) -> Record:
    """In the end."""
    usual = Record(
        id=incident,
        state=state,
        title="chaos-1 disk full",
        due_at=DUE,
        acknowledged_at=None,
        escalated_at=None,
        resolved_at=None,
        attempts=1,
        created_at=100.05,
    )
    return replace(usual, **more)


def history(*parts: Any, ended_at: float = 200.0, not_ready: str | None = None) -> History:
    """Of all these."""

    def of(kind: type) -> list[Any]:
        return [part for part in parts if isinstance(part, kind)]

    notifications = of(Notification)
    channels: dict[str, tuple[str, ...]] = {"ops": ("created", "resolved")} if notifications else {}
    return History(
        *(of(Exchange), of(Event), of(Fault), of(Life), of(Record), notifications, channels),
        not_ready=not_ready,
        ended_at=ended_at,
    )


PAGED = (webhook(), event(110.1), record("escalated", escalated_at=110.1))
ACKNOWLEDGED = (webhook(), deed("acknowledge", 105), record("acknowledged", attempts=0))
RESOLVED = (
    *(webhook(), event(110.1), deed("resolve", 120), event(120.2, "resolved")),
    record("resolved", escalated_at=110.1),
)
KILLED = Fault(kind="kill_worker", began_at=110.0, ended_at=111.0)
NOTIFIED = Notification(at=100.2, channel="ops", incident="i", through=100.05)
SUMMARY = Notification(at=121.0, channel="ops", count=3)
INFRA = webhook(
    action="firing", status=200, source="source-infra", adds=True, sent_at=101.0, answered_at=101.1
)
TWICE = (webhook(), INFRA, event(110.1), event(110.2, source="source-infra"))
"""Paged at two alert sources."""
CLOSED = (*TWICE, deed("resolve", 120), record("resolved", escalated_at=110.1))
DIRECTLY = (
    *(webhook(), event(110.1), event(110.2, "resolved"), record("resolved", escalated_at=110.1)),
    webhook(status=202, marker="chaos-2", source="source-infra", sent_at=108.0, answered_at=112.0),
    event(111.0, source="source-infra", marker="chaos-2"),
    deed("resolve", 110.15),
)
"""Stored, resolved, and paged at another alert source directly meanwhile."""
WEB_KILLED = Fault(kind="kill_web", began_at=112.5, ended_at=113.0, detail="web=0 child=0 busy=False")
WEB_ENDED = replace(WEB_KILLED, kind="terminate_web")
BUSY = "web=0 child=0 busy=True"
UNREAD = Fault(kind="log_unread", began_at=90.0, ended_at=120.0, detail="process=0")
SILENT = [unanswered(marker=f"chaos-{n}", sent_at=97.0 + n, note="ReadTimeout") for n in range(10)]
LOSS = (
    Life(at=1.0, name="worker-1", event="started"),
    Fault(kind="redis_emptied", began_at=108.0, ended_at=109.0, since=0.0),
)
OVER = webhook(action="resolved", status=200, problem="p", sent_at=105.0, answered_at=105.1)

REFUSED = webhook(action="refused", status=400, incidents=())
REPORTED = record("escalated", title="Webhook refused: The Content-Encoding is 'chaos-1'", escalated_at=110.1)
CUT = Fault(kind="redis_cut", began_at=99.0, ended_at=99.1)

KEPT: dict[str, Iterable[Any]] = {
    "nothing happened": (),
    "refused, and paged": (REFUSED, event(110.1), REPORTED),
    "refused while Redis was away": (REFUSED, CUT, *PAGED),
    "refused, and paged directly": (REFUSED, event(110.1, key="k"), record("open", "j", title="x")),
    "refused, not due yet": (REFUSED, replace(REPORTED, state="pending", due_at=3700.0, escalated_at=None)),
    "paged": PAGED,
    "acknowledged in time": ACKNOWLEDGED,
    "paged, then resolved": RESOLVED,
    "paged, then acknowledged": (webhook(), event(110.1), deed("acknowledge", 115), record("acknowledged")),
    "not due yet": (webhook(due_at=3700.0), record("pending", due_at=3700.0, attempts=0)),
    "acknowledged without an answer, and paged": (*PAGED, deed("acknowledge", 105, None)),
    "acknowledged without an answer, and not paged": (
        *(webhook(), deed("acknowledge", 105, None), record("acknowledged")),
    ),
    "acknowledged around the due time, and paged all the same": (
        *(webhook(), deed("acknowledge", 109.95), event(110.1), record("acknowledged")),
    ),
    "acknowledged late, before the page got through": (
        *(webhook(), deed("acknowledge", 115), record("acknowledged")),
    ),
    "acknowledged in time, then paged on demand": (
        *(webhook(), deed("acknowledge", 105), deed("escalate_now", 106), event(106.2), record("escalated")),
    ),
    "resolved in time by its sender": (webhook(problem="p"), OVER, record("resolved", attempts=0)),
    "resolved by its sender without an answer": (
        *(webhook(problem="p"), unanswered(action="resolved", problem="p"), record("resolved", attempts=0)),
    ),
    "paged again after a kill": (*PAGED, event(126.0), KILLED),
    "paged again since the first answer got lost": (
        *(webhook(), event(110.1, status=504), event(112.0), record("escalated")),
    ),
    "stored without an answer, and paged": (unanswered(), event(110.1, key="j"), record("escalated", "j")),
    "stored, and paged directly too": (
        webhook("direct", status=202, due_at=100.0, answered_at=103.0),
        *(event(102.0, key="direct"), event(110.1, key="j"), record("escalated", "j")),
    ),
    "tried to page directly before, without an answer to the sender": (
        *(event(95.0, accepted=False, status=504), event(100.3)),
        webhook(status=202, due_at=100.2, answered_at=100.5),
        *(webhook(status=200, sent_at=101.0, due_at=100.2), record("escalated", due_at=100.2)),
    ),
    "paged directly at another alert source than a repeat asks for": (
        webhook(status=202, due_at=100.0, source="source-infra", answered_at=100.5, marker="chaos-2"),
        event(100.3, source="source-infra", marker="chaos-2"),
        *(webhook(status=200, sent_at=101.0), record("escalated", due_at=100.0, escalated_at=100.3)),
    ),
    "paged directly by a process that was killed": (*DIRECTLY, WEB_KILLED),
    "paged directly by a process that could not store it before its end": (*DIRECTLY, WEB_ENDED, CUT),
    "paged directly by a process that ended slowly": (*DIRECTLY, replace(WEB_ENDED, detail=BUSY)),
    "one problem paged directly twice": (
        *(webhook("d", status=202, due_at=100.0, problem="p", marker=f"chaos-{n}") for n in (1, 2)),
        event(100.05, key="d"),
    ),
    "an element of an array that got no answer": (unanswered(), event(110.1, key="j", marker="chaos-1-2")),
    "refused with Retry-After": (unanswered(status=503, answered_at=102.0, retry_after=True),),
    "a resolve event for a page that nobody saw arrive": (
        *(webhook(), deed("resolve", 111, None), event(113.0, "resolved"), record("resolved")),
    ),
    "a page that was sent by a worker that woke up late": (
        *RESOLVED[:-1],
        *(event(130.0), event(130.5, "resolved"), KILLED),
        record("resolved", timeline=("escalated", "delivered_late")),
    ),
    "notified alone": (*PAGED, NOTIFIED),
    "notified in a summary": (*PAGED, SUMMARY),
    "notified again after a kill": (*PAGED, KILLED, NOTIFIED, replace(NOTIFIED, at=112.0)),
    "notified of each change": (
        *(*RESOLVED[:-1], record("resolved", resolved_at=120.05), NOTIFIED),
        replace(NOTIFIED, at=120.3, event="resolved", through=120.05),
    ),
    "one message about two changes": (
        *(*RESOLVED[:-1], record("resolved", resolved_at=120.05)),
        replace(NOTIFIED, at=120.3, event="resolved", through=120.05),
    ),
    "one message, and then a summary": (
        *(*RESOLVED[:-1], record("resolved", resolved_at=120.05), NOTIFIED, SUMMARY),
    ),
    "a change that the channel does not want to hear of": (
        *(*ACKNOWLEDGED[:-1], record("acknowledged", acknowledged_at=105.05), NOTIFIED),
    ),
    "paged at two alert sources": (*TWICE, record("escalated", escalated_at=110.1)),
    "paged at two alert sources, and resolved at both": (
        *CLOSED,
        *(
            event(at, "resolved", source=source)
            for at, source in ((120.2, "source-default"), (120.3, "source-infra"))
        ),
    ),
    "a second alert source that was asked for when it was acknowledged": (
        *(*ACKNOWLEDGED[:-1], replace(INFRA, sent_at=106.0, answered_at=106.1), record("acknowledged")),
    ),
    "perhaps a second alert source": (*PAGED, replace(INFRA, status=None, answered_at=None, incidents=())),
    "a process that was killed": (
        Life(at=1.0, name="worker-1", event="ended", detail="SIGKILL"),
        Life(at=2.0, name="worker-1", event="started"),
    ),
}

BROKEN: list[tuple[str, str, Iterable[Any]]] = [
    (
        "what_is_due_is_paged",
        "never paged",
        (webhook(), record("escalated")),
    ),
    ("what_is_due_is_paged", "the page was not taken", (webhook(), event(110.1, accepted=False))),
    (
        "what_is_due_is_paged",
        "an acknowledgement that left no trace excuses nothing",
        (webhook(), deed("acknowledge", 105, None), record("pending")),
    ),
    (
        "what_is_due_is_paged",
        "acknowledged before somebody asked to page now",
        (webhook(), deed("acknowledge", 102), deed("escalate_now", 106), record("acknowledged")),
    ),
    (
        "what_is_due_is_paged",
        "paged on demand an hour before it is due",
        (webhook(due_at=3700.0), deed("escalate_now", 106), record("escalated")),
    ),
    ("what_was_stored_is_still_there", "gone", (*PAGED[:2], record("escalated", "another"))),
    (
        "an_answered_deed_stands",
        "the acknowledgement is forgotten",
        (*PAGED, deed("acknowledge", 150)),
    ),
    ("an_answered_deed_stands", "the resolution is forgotten", (*PAGED, deed("resolve", 150))),
    (
        "an_answered_deed_stands",
        "the sender's resolution is forgotten",
        (webhook(problem="p"), OVER, record("acknowledged")),
    ),
    ("a_direct_escalation_was_taken", "never taken", (webhook("d", status=202, due_at=100.0),)),
    (
        "a_direct_escalation_was_taken",
        "taken after the answer",
        (webhook("d", status=202, due_at=100.0), event(100.5, key="d")),
    ),
    (
        "direct_pages_of_one_problem_share_a_key",
        "another key for the same problem",
        (
            *(webhook(f"d{n}", status=202, due_at=100.0, problem="p", marker=f"chaos-{n}") for n in (1, 2)),
            *(event(100.05, key="d1"), event(100.06, key="d2", marker="chaos-2")),
        ),
    ),
    ("what_was_ended_in_time_never_pages", "acknowledged and paged", (*ACKNOWLEDGED, event(110.1))),
    (
        "what_was_ended_in_time_never_pages",
        "even an attempt is one too many",
        (*ACKNOWLEDGED, event(110.1, accepted=False, status=500)),
    ),
    (
        "what_was_ended_in_time_never_pages",
        "resolved by its sender in time, and paged",
        (webhook(problem="p"), OVER, event(110.1), event(110.5, "resolved"), record("resolved")),
    ),
    ("nothing_pages_unasked_or_early", "early", (webhook(), event(109.9), record("escalated"))),
    (
        "nothing_pages_unasked_or_early",
        "on-call was off",
        (webhook(due_at=None), event(109.9), record("open", due_at=None)),
    ),
    (
        "nobody_gets_less_time_than_asked_for",
        "five seconds instead of ten",
        (webhook(wait=15.0), event(110.1), record("escalated")),
    ),
    ("a_page_is_repeated_only_after_a_fault", "without any", (*PAGED, event(111.0))),
    (
        "a_page_is_repeated_only_after_a_fault",
        "a queue that was flushed is no reason",
        (*PAGED, event(111.0), Fault(kind="flush_queue", began_at=110.0, ended_at=110.0)),
    ),
    (
        "a_page_is_repeated_only_after_a_fault",
        "a slow incident.io is no reason",
        (*PAGED, event(111.0), Fault(kind="incidentio_delay", began_at=105.0, ended_at=115.0)),
    ),
    ("who_is_asked_for_is_notified", "of another one", (*PAGED, replace(NOTIFIED, incident="j"))),
    ("who_is_asked_for_is_notified", "in another channel", (*PAGED, replace(NOTIFIED, channel="chat"))),
    (
        "who_is_asked_for_is_notified",
        "the summary is about one, and two are missing",
        (
            *(webhook("j", due_at=None, marker="chaos-2"), *PAGED, record("open", "j", due_at=None)),
            replace(SUMMARY, count=1),
        ),
    ),
    (
        "who_is_asked_for_is_notified",
        "the summary came before the change",
        (*RESOLVED[:-1], record("resolved", resolved_at=120.05), NOTIFIED, replace(SUMMARY, at=119.0)),
    ),
    (
        "who_is_asked_for_is_notified",
        "a message after the change that does not know of it",
        (*RESOLVED[:-1], record("resolved", resolved_at=120.05), replace(NOTIFIED, at=121.0)),
    ),
    ("nobody_is_notified_twice_without_a_fault", "twice", (*PAGED, NOTIFIED, replace(NOTIFIED, at=101.0))),
    (
        "nobody_is_notified_twice_without_a_fault",
        "three times after one kill",
        (*PAGED, KILLED, NOTIFIED, *(replace(NOTIFIED, at=at) for at in (111.5, 112.0))),
    ),
    ("what_is_due_is_paged", "not by the second alert source", (*TWICE[:-1], record("escalated"))),
    ("what_is_due_is_paged", "by the second alert source alone", (*TWICE[:2], TWICE[3], record("escalated"))),
    ("a_page_is_repeated_only_after_a_fault", "at the second", (*TWICE, replace(TWICE[3], at=111.0))),
    (
        "what_is_over_is_over_at_incident_io",
        "still firing at the second alert source",
        (*CLOSED, event(120.2, "resolved")),
    ),
    ("one_incident_is_one_alert", "two sources", (*PAGED, event(112.0, source="source-infra"), KILLED)),
    (
        "one_incident_is_one_alert",
        "the wrong source",
        (webhook(source="source-infra"), event(110.1), record("escalated")),
    ),
    ("one_incident_is_one_alert", "a second alert for one webhook", (*PAGED, event(110.2, key="j"))),
    ("one_incident_is_one_alert", "from nowhere", (event(110.2, key="j", marker=""),)),
    (
        "the_resolve_event_follows_the_page",
        "the page came last",
        (*RESOLVED, event(121.0), event(122.0, "resolved"), KILLED),
    ),
    (
        "the_resolve_event_follows_the_page",
        "nobody had resolved it",
        (*PAGED, event(112.0, "resolved")),
    ),
    (
        "the_resolve_event_follows_the_page",
        "nobody had tried to page",
        (webhook(), deed("resolve", 111), event(112.0, "resolved"), record("resolved", attempts=0)),
    ),
    ("what_is_over_is_over_at_incident_io", "still firing", (*RESOLVED[:3], RESOLVED[4])),
    (
        "what_is_over_is_over_at_incident_io",
        "paged directly by a process that lives",
        (*DIRECTLY, replace(WEB_KILLED, detail="web=1 child=0 busy=False")),
    ),
    (
        "what_is_over_is_over_at_incident_io",
        "paged directly by a process that was told to end",
        (*DIRECTLY, WEB_ENDED),
    ),
    ("every_answer_is_in_the_contract", "500", (unanswered(status=500, answered_at=101.0),)),
    ("every_answer_is_in_the_contract", "503 alone", (unanswered(status=503, answered_at=101.0),)),
    ("every_answer_is_in_the_contract", "unknown", (*PAGED, deed("acknowledge", 150, 404))),
    ("an_answer_shows_what_was_done", "nothing shown", (webhook(incidents=()),)),
    (
        "an_answer_shows_what_was_done",
        "another incident",
        (*PAGED, deed("escalate_now", 150, incidents=(Seen(id="j", state="pending", due_at=DUE),))),
    ),
    (
        "no_process_dies_by_itself",
        "a worker died",
        (Life(at=1.0, name="worker-1", event="died", detail="exit code 1"),),
    ),
    ("what_is_refused_pages_once", "only kept", (REFUSED, record("open", "j", title="x"))),
    (
        "what_is_refused_pages_once",
        "not paged",
        (REFUSED, replace(REPORTED, state="open", escalated_at=None)),
    ),
    ("what_is_refused_pages_once", "paged twice", (REFUSED, event(110.1), event(112.0), REPORTED)),
    (
        "what_is_refused_pages_once",
        "two incidents",
        (REFUSED, event(110.1), REPORTED, replace(REPORTED, id="j"), event(110.1, key="j")),
    ),
    ("a_loss_is_paged_once", "not at all", LOSS),
    ("a_log_that_nobody_reads_silences_nobody", "no answer for ten seconds", (UNREAD, *SILENT)),
    (
        "a_repeat_of_what_is_acknowledged_pages_nobody",
        "while Redis only refused writes",
        (
            *(replace(ACKNOWLEDGED[0], problem="p"), *ACKNOWLEDGED[1:]),
            Fault(kind="redis_refuses_writes", began_at=115.0, ended_at=140.0),
            webhook("d", status=202, due_at=120.0, problem="p", sent_at=120.0, answered_at=122.5),
            event(122.0, key="d"),
        ),
    ),
    ("records_agree_with_incident_io", "still waiting", (webhook(), event(110.1), record("pending"))),
    ("records_agree_with_incident_io", "still being sent", (*PAGED[:2], record("escalating"))),
    ("records_agree_with_incident_io", "failed", (*PAGED[:2], record("failed"))),
    ("records_agree_with_incident_io", "paged only on record", (record("escalated"),)),
    ("records_agree_with_incident_io", "nobody asked", (webhook(), event(110.1), record("open"))),
]


@pytest.mark.parametrize("name", KEPT)
def test_a_history_that_keeps_every_rule(name: str) -> None:
    assert check(history(*KEPT[name])) == []


@pytest.mark.parametrize(("rule", "name", "parts"), BROKEN, ids=[f"{r}: {n}" for r, n, _ in BROKEN])
def test_a_history_that_breaks_a_rule(rule: str, name: str, parts: Iterable[Any]) -> None:
    assert rule in {violation.rule for violation in check(history(*parts))}


def test_the_service_has_to_be_well_in_the_end() -> None:
    [violation] = check(history(*PAGED, not_ready="no worker"))
    assert violation.rule == "all_is_well_again"


def test_every_rule_has_a_history_that_breaks_it() -> None:
    broken = {rule for rule, _, _ in BROKEN} | {"all_is_well_again"}
    others = {*OF_CHAINS, *OF_REOPENING, *OF_SILENCES, *OF_PROVIDERS}
    others.add(checker.somebody_is_paged_if_any_of_the_chain_takes_events)
    assert broken == {judge.__name__ for judge in checker.RULES if judge not in others}


def test_lateness_counts_from_the_due_time_to_the_first_page() -> None:
    parts = (*PAGED, event(126.0), webhook("j"), event(113.0, key="j"), record("escalated", "j"), KILLED)
    assert [round(late, 3) for late in lateness(history(*parts))] == [0.1, 3.0]
    assert lateness(history(*parts), calm=5.0) == []
