"""Story: an acknowledgement covers what was there, for as long as it was given; what ends it pages anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import requests

from tests.fakes import GATEWAY_SECRET
from tests.stories.stack import Stack, wait_until

WAIT_SECONDS = 1.0
MOMENT = 0.01
"""Minutes."""


def report(stack: Stack, body: dict[str, Any], **parameters: Any) -> dict[str, Any]:
    answer = stack.post(body, oncall_wait_minutes=f"{WAIT_SECONDS / 60:.4f}", **parameters)
    assert answer.status_code in (200, 201), answer.text
    incident: dict[str, Any] = answer.json()["incident"]
    return incident


def is_paged(stack: Stack, incident: dict[str, Any]) -> None:
    """Returns once it is; it had its whole wait."""
    shown = stack.wait_for_state(incident, "escalated")
    [reopened] = [entry["at"] for entry in shown["timeline"] if entry["event"] == "reopened"]
    [page] = stack.simulator.events(incident["id"])
    assert shown["due_at"] > reopened
    assert page.body["status"] == "firing"


def group(name: str, *severities: str) -> dict[str, Any]:
    """A group of Alertmanager with one alert of each severity."""
    return {
        "version": "4",
        "receiver": "versus",
        "status": "firing",
        "groupKey": name,
        "groupLabels": {"alertname": name},
        "commonLabels": {"alertname": name},
        "alerts": [
            {
                "status": "firing",
                "labels": {"alertname": name, "severity": severity},
                "startsAt": "2026-11-30T10:00:00Z",
                "fingerprint": f"{name}-{severity}",
            }
            for severity in severities
        ],
    }


def test_a_critical_alert_that_joins_an_acknowledged_warning_pages(stack: Stack) -> None:
    incident = report(stack, group("Joined", "warning"))
    assert stack.acknowledge(incident).status_code == 200
    joined = report(stack, group("Joined", "warning", "critical"))
    assert (joined["id"], joined["state"]) == (incident["id"], "pending")
    is_paged(stack, incident)


def test_what_joins_after_the_page_pages_under_a_key_of_its_own(stack: Stack) -> None:
    incident = report(stack, group("Continued", "warning"))
    stack.wait_for_state(incident, "escalated")
    stack.acknowledge(incident)
    successor = report(stack, group("Continued", "warning", "critical"))
    assert successor["id"] != incident["id"]
    is_paged(stack, successor)
    assert stack.show(successor)["previous_id"] == incident["id"]
    # The old link still leads to what is open.
    assert stack.acknowledge(incident).json()["incident"]["id"] == successor["id"]
    stack.post({**group("Continued", "warning", "critical"), "status": "resolved"})
    both = {("source-default", one["id"]) for one in (incident, successor)}
    wait_until(
        lambda: all(stack.simulator.alerts.get(one) == "resolved" for one in both), "both alerts are resolved"
    )


def test_an_acknowledgement_with_minutes_ends_and_pages(stack: Stack) -> None:
    incident = report(stack, {"title": "For a moment"})
    answer = requests.post(incident["ack_url"], data={"name": "Dana", "minutes": MOMENT}, timeout=60)
    assert answer.json()["incident"]["acknowledged_until"]
    is_paged(stack, incident)


def test_an_acknowledgement_that_is_taken_back_pages(stack: Stack) -> None:
    incident = report(stack, {"title": "Taken back"})
    stack.acknowledge(incident)
    assert stack.act(incident, "unack").json()["incident"]["state"] == "pending"
    is_paged(stack, incident)


def test_a_problem_that_nobody_resolves_is_not_acknowledged_for_ever(own: Callable[..., Stack]) -> None:
    stack = own(oncall={"reopen_after_minutes": MOMENT})
    problem = {"message": "Disk full", "alias": "swallowed", "priority": "P1", "entity": "db"}
    incident = report(stack, problem)
    answer = requests.post(
        f"{stack.base}/api/incidents/{incident['id']}/ack",
        headers={"X-Gateway-Secret": GATEWAY_SECRET},
        timeout=60,
    )
    assert answer.status_code == 200
    # As late as that, the next report is about trouble of its own.
    wait_until(lambda: report(stack, problem)["state"] == "pending", "a later report reopens it")
    is_paged(stack, incident)
