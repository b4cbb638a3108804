"""The rules on providers can fail: histories that keep them, and some that break them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import requests

from local.other_providers import PagerDuty
from tests.chaos.checker import check
from tests.chaos.history import Fault
from tests.chaos.outages import SPARE
from tests.chaos.provider_rules import OF_PROVIDERS, harms
from tests.chaos.second_provider import PAGERDUTY, events
from tests.chaos.test_checker import KILLED, PAGED, deed, event, history, record, webhook

ASKED = webhook(source=PAGERDUTY)
PAGE, HEARD = event(110.1, source=PAGERDUTY), event(115.2, "acknowledged", source=PAGERDUTY)
AGAIN = event(118.0, source=PAGERDUTY)
OVER = event(120.2, "resolved", source=PAGERDUTY)
LATE_DEED = deed("acknowledge", 115)
RESOLVED = (ASKED, PAGE, LATE_DEED, HEARD, deed("resolve", 120), OVER, record("resolved"))
BOTH = (webhook(), webhook(status=200, source=PAGERDUTY, adds=True, sent_at=101.0, answered_at=101.1))

KEPT: dict[str, Iterable[Any]] = {
    "paged, acknowledged, resolved": RESOLVED,
    "acknowledged after the page": (ASKED, PAGE, LATE_DEED, HEARD, record("acknowledged")),
    "acknowledged before": (ASKED, deed("acknowledge", 105), record("acknowledged", attempts=0)),
    "both providers have it": (*BOTH, event(110.1), PAGE, record("escalated")),
    "acknowledged at both": (*BOTH, event(110.1), PAGE, LATE_DEED, HEARD, record("acknowledged")),
    "twice, after PagerDuty's connections broke": (
        *(ASKED, PAGE, AGAIN, record("escalated")),
        Fault(kind="pagerduty_cut", began_at=112.0, ended_at=112.0),
    ),
}

BROKEN: list[tuple[str, str, Iterable[Any]]] = [
    (
        "pagerduty_hears_of_an_acknowledgement",
        "it does not",
        (ASKED, PAGE, LATE_DEED, record("acknowledged")),
    ),
    (
        "pagerduty_hears_of_an_acknowledgement",
        "the fallback does not",
        (webhook(), event(119.2, source=SPARE), deed("acknowledge", 130), record("acknowledged")),
    ),
    (
        "pagerduty_hears_of_nothing_that_nobody_did",
        "nobody acknowledged",
        (ASKED, PAGE, HEARD, record("escalated")),
    ),
    (
        "pagerduty_hears_of_nothing_that_nobody_did",
        "it had no page",
        (*BOTH, event(110.1), LATE_DEED, HEARD, record("acknowledged")),
    ),
    ("what_is_due_is_paged", "by incident.io alone", (*BOTH, event(110.1), record("escalated"))),
    ("one_incident_is_one_alert", "at PagerDuty, which nobody asked for", (*PAGED, PAGE)),
    ("what_is_over_is_over_at_incident_io", "not at PagerDuty", (*RESOLVED[:-2], record("resolved"))),
    (
        "a_page_is_repeated_only_after_a_fault",
        "incident.io's connections are no reason",
        (*(ASKED, PAGE, AGAIN), Fault(kind="incidentio_cut", began_at=112.0, ended_at=112.0)),
    ),
]


def send(stand_in: PagerDuty, action: str, key: str) -> None:
    body: dict[str, Any] = {"routing_key": PAGERDUTY, "event_action": action, "dedup_key": key}
    if action == "trigger":
        body["payload"] = {"summary": "chaos-1 disk full", "source": "generic", "severity": "error"}
    requests.post(f"{stand_in.base_url}/v2/enqueue", json=body, timeout=30).raise_for_status()


def rules_broken(parts: Iterable[Any]) -> set[str]:
    return {violation.rule for violation in check(history(*parts))}


@pytest.mark.parametrize("name", KEPT)
def test_a_history_that_keeps_every_rule(name: str) -> None:
    assert check(history(*KEPT[name])) == []


@pytest.mark.parametrize(("rule", "name", "parts"), BROKEN, ids=[f"{r}: {n}" for r, n, _ in BROKEN])
def test_a_history_that_breaks_a_rule(rule: str, name: str, parts: Iterable[Any]) -> None:
    assert rule in rules_broken(parts)


def test_every_rule_has_a_history_that_breaks_it() -> None:
    assert {rule for rule, _, _ in BROKEN} >= {judge.__name__ for judge in OF_PROVIDERS}


@pytest.mark.parametrize(
    ("parts", "broken"),
    [
        ((event(119.3, source=SPARE), record("escalated")), False),
        ((event(109.0), record("escalated")), False),
        ((deed("acknowledge", 115), record("acknowledged")), False),
        # After the outage incident.io took it, so it was not lost; but nobody was paged meanwhile.
        ((event(160.0), record("escalated")), True),
        ((event(119.3, source=SPARE, accepted=False), event(160.0), record("escalated")), True),
    ],
)
def test_while_incident_io_alone_is_out_the_fallback_pages(parts: Iterable[Any], broken: bool) -> None:
    told = history(webhook(), *parts)
    told.spare_alone_until = 150.0
    rule = "somebody_is_paged_if_any_of_the_chain_takes_events"
    assert (rule in {violation.rule for violation in check(told)}) is broken


def test_a_fault_of_one_provider_harms_no_other() -> None:
    sources = ("source-infra", PAGERDUTY, SPARE)

    def harmed(kind: str) -> list[bool]:
        return [harms(Fault(kind=kind, began_at=0, ended_at=1), source) for source in sources]

    assert harmed("incidentio_cut") == [True, False, False]
    assert harmed("pagerduty_cut") == [False, True, True]
    assert harmed(KILLED.kind) == harmed("kill_while_sending") == [True, True, True]


def test_an_event_that_does_not_say_what_it_is_about_is_known_by_its_key() -> None:
    with PagerDuty({PAGERDUTY: set()}) as stand_in:
        for action, key in (("resolve", "j"), ("trigger", "i"), ("resolve", "i")):
            send(stand_in, action, key)
        found = list(events(stand_in, {"j": "chaos-7 queue is long"}))
        assert stand_in.told("i") == ["firing", "resolved"]
        assert stand_in.states("i") == ["resolved"]
    assert [(one.kind, one.marker, one.accepted) for one in found] == [
        ("resolved", "chaos-7", True),
        ("firing", "chaos-1", True),
        ("resolved", "chaos-1", True),
    ]
