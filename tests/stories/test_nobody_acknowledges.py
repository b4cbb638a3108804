"""Nobody acknowledges: one alert event, on time, as the contract says."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.fakes import API_KEY
from tests.stories.stack import Stack, wait_until


def seconds(later: str, earlier: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


@pytest.mark.parametrize("wait_seconds", [0, 0.5, 2])
def test_one_alert_event_leaves_when_it_is_due(stack: Stack, wait_seconds: float) -> None:
    incident = stack.report(wait_seconds)
    assert seconds(incident["due_at"], incident["created_at"]) == pytest.approx(wait_seconds, abs=0.01)
    shown = stack.wait_for_state(incident, "escalated")
    [event] = stack.simulator.events(incident["id"])
    # Never early; how late is for the benchmark to say.
    assert seconds(shown["escalated_at"], shown["due_at"]) >= 0
    assert shown["attempts"] == 1
    assert event.status == 202


def test_the_event_is_what_the_contract_says(stack: Stack) -> None:
    body = {
        "title": "Payments fail",
        "severity": "critical",
        "service": "payments",
        "description": "5 % of card payments fail",
        "labels": {"region": "eu"},
        "source_url": "https://status.example.com/i/1",
    }
    incident = stack.report(0, body=body)
    stack.wait_for_state(incident, "escalated")
    [event] = stack.simulator.events(incident["id"])
    assert event.path == "/v2/alert_events/http/source-default"
    assert event.body["title"] == f"Incident {incident['id']}"
    assert event.body["deduplication_key"] == incident["id"]
    assert event.body["status"] == "firing"
    assert event.body["source_url"] == "https://status.example.com/i/1"
    assert "5 % of card payments fail" in event.body["description"]
    metadata = event.body["metadata"]
    assert metadata["incident_id"] == incident["id"]
    assert (metadata["severity"], metadata["service"]) == ("critical", "payments")


def test_an_alternate_alert_source_is_for_one_request_alone(stack: Stack) -> None:
    other = stack.report(0, incidentio_other_alert_source="infra")
    default = stack.report(0)
    for incident in (other, default):
        stack.wait_for_state(incident, "escalated")
    paths = [stack.simulator.events(incident["id"])[0].path for incident in (other, default)]
    assert paths == ["/v2/alert_events/http/source-infra", "/v2/alert_events/http/source-default"]


def test_an_unknown_alternate_is_refused_and_the_names_that_exist_are_told(stack: Stack) -> None:
    answer = stack.post({"title": "x"}, incidentio_other_alert_source="infrared")
    assert answer.status_code == 400
    assert "infra" in answer.json()["error"]


def test_a_failure_is_logged_and_tried_again_and_the_key_is_never_written(stack: Stack) -> None:
    stack.simulator.answer_next(503, count=2)
    incident = stack.report(0)
    shown = stack.wait_for_state(incident, "escalated")
    assert shown["attempts"] == 3
    failures = [entry for entry in shown["timeline"] if entry["event"] == "attempt_failed"]
    assert [("503" in failure["detail"]) for failure in failures] == [True, True]
    log = stack.log.read_text()
    assert any("event_failed" in line and incident["id"] in line for line in log.splitlines())
    assert API_KEY not in log


def test_a_wrong_key_is_loud_and_fixed_by_hand(stack: Stack) -> None:
    stack.simulator.answer_next(401)
    incident = stack.report(0)
    failed = stack.wait_for_state(incident, "failed")
    assert "INCIDENTIO_API_KEY" in failed["last_error"]
    assert stack.act(incident, "escalate").status_code == 200
    stack.wait_for_state(incident, "escalated")


def test_it_pages_at_once_when_somebody_wants_it(stack: Stack) -> None:
    incident = stack.report(600)
    assert stack.act(incident, "escalate").status_code == 200
    stack.wait_for_state(incident, "escalated")
    assert stack.act(incident, "escalate").status_code == 409


def test_a_request_can_ask_for_no_page(stack: Stack) -> None:
    answer = stack.post({"title": "Quiet"}, oncall_enable="false", oncall_wait_minutes="0")
    incident = answer.json()["incident"]
    assert (answer.status_code, incident["state"], incident["due_at"], incident["ack_url"]) == (
        201,
        "open",
        None,
        None,
    )
    # One that pages at once has been through the whole chain meanwhile.
    stack.wait_for_state(stack.report(0), "escalated")
    assert stack.simulator.events(incident["id"]) == []


def test_incidents_over_the_message_limit_are_found_by_the_sweep(stack: Stack) -> None:
    answer = stack.post([{"title": f"n {n}"} for n in range(60)], oncall_wait_minutes="0")
    incidents = answer.json()["incidents"]
    assert len(incidents) == 60
    wait_until(lambda: all(stack.simulator.events(i["id"]) for i in incidents), "all 60 paged")
    assert all(len(stack.simulator.events(i["id"])) == 1 for i in incidents)
