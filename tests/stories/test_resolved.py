"""The sender says that the problem is over: before the page, after it, and for nothing that is known."""

from __future__ import annotations

import uuid

import pytest

from tests.stories.stack import Stack, wait_until


def alert(key: str, **more: str) -> dict[str, str]:
    return {"title": "Disk full", "deduplication_key": key, **more}


@pytest.fixture
def key() -> str:
    return str(uuid.uuid4())


def test_resolved_before_the_page_pages_nobody(stack: Stack, key: str) -> None:
    incident = stack.report(1, body=alert(key))
    answer = stack.post(alert(key, status="resolved"))
    assert (answer.status_code, answer.json()["status"]) == (200, "Incident resolved")
    stack.wait_for_state(stack.report(1.2), "escalated")
    assert stack.simulator.events(incident["id"]) == []
    assert stack.show(incident)["state"] == "resolved"


def test_resolved_after_the_page_sends_the_resolve_event_with_the_same_key(stack: Stack, key: str) -> None:
    incident = stack.report(0, body=alert(key))
    stack.wait_for_state(incident, "escalated")
    stack.post(alert(key, status="resolved"))
    wait_until(lambda: len(stack.simulator.events(incident["id"])) == 2, "the resolve event")
    assert [event.body["status"] for event in stack.simulator.events(incident["id"])] == [
        "firing",
        "resolved",
    ]
    assert stack.simulator.alerts["source-default", incident["id"]] == "resolved"


def test_the_resolve_event_is_as_reliable_as_the_page(stack: Stack, key: str) -> None:
    incident = stack.report(0, body=alert(key))
    stack.wait_for_state(incident, "escalated")
    stack.simulator.answer_next(502)
    stack.post(alert(key, status="resolved"))
    wait_until(
        lambda: len(stack.simulator.events(incident["id"])) == 2, "the resolve event, at the second attempt"
    )


def test_a_problem_of_zabbix_that_comes_after_its_end_pages_nobody(stack: Stack, key: str) -> None:
    problem = {"source": "zabbix", "event_id": key, "event_name": f"Disk full {key}", "event_nseverity": "4"}
    assert stack.post({**problem, "event_value": "0"}).json()["incident"] is None
    late = stack.post({**problem, "event_value": "1"}, oncall_wait_minutes="0")
    assert (late.status_code, late.json()["status"]) == (200, "Incident resolved")
    stack.wait_for_state(stack.report(0), "escalated")
    assert stack.simulator.events(late.json()["incident"]["id"]) == []


def test_resolved_while_the_page_is_being_sent_sends_the_resolve_event_afterwards(
    stack: Stack, key: str
) -> None:
    stack.simulator.answer_next(mode="hang", taken=True)
    incident = stack.report(0, body=alert(key))
    wait_until(
        lambda: any(r.body["deduplication_key"] == incident["id"] for r in stack.simulator.requests), "sent"
    )
    stack.post(alert(key, status="resolved"))
    stack.simulator.clear()
    wait_until(lambda: len(stack.simulator.events(incident["id"])) == 2, "the resolve event")
    assert [event.body["status"] for event in stack.simulator.events(incident["id"])] == [
        "firing",
        "resolved",
    ]


def test_resolved_for_nothing_known_is_recorded_and_pages_nobody(stack: Stack, key: str) -> None:
    answer = stack.post(alert(key, status="resolved"), oncall_wait_minutes="0")
    assert (answer.status_code, answer.json()) == (200, {"status": "Event recorded", "incident": None})


def test_a_firing_alert_after_it_was_resolved_is_a_new_incident(stack: Stack, key: str) -> None:
    first = stack.report(600, body=alert(key))
    assert stack.post(alert(key)).json()["incident"]["id"] == first["id"]
    stack.post(alert(key, status="resolved"))
    assert stack.report(600, body=alert(key))["id"] != first["id"]
