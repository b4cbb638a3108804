"""One problem is one incident: from two senders at once through two web processes, and until it is over."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from local.embedded import free_port
from tests.ingest.webhooks.samples import SAMPLES
from tests.stories.stack import Stack, wait_until

Own = Callable[..., Stack]

GROUP: dict[str, Any] = SAMPLES["alertmanager_01_firing"]["body"]
PROBLEMS = 25


def is_up(base: str) -> bool:
    try:
        return requests.get(f"{base}/healthz", timeout=60).status_code == 200
    except requests.RequestException:
        return False


def test_two_highly_available_senders_say_the_same_at_the_same_instant(own: Own) -> None:
    stack = own()
    port = free_port()
    bases = (stack.base, f"http://127.0.0.1:{port}")
    stack.start("web", PORT=str(port))
    wait_until(lambda: is_up(bases[1]), "the second web process answers")
    gate = threading.Barrier(2)

    def send(base: str, key: str) -> requests.Response:
        gate.wait()
        return requests.post(f"{base}/api/incidents", json={**GROUP, "groupKey": key}, timeout=60)

    with ThreadPoolExecutor(2) as senders:
        for n in range(PROBLEMS):
            answers = list(senders.map(send, bases, [f"problem {n}"] * 2))
            assert sorted(answer.status_code for answer in answers) == [200, 201]
            first, second = (answer.json()["incident"] for answer in answers)
            assert first["id"] == second["id"]
            assert first["due_at"] == second["due_at"]
            assert stack.show(first)["occurrences"] == 2


def test_a_firing_that_comes_after_the_resolve_event_is_a_new_incident_and_pages(stack: Stack) -> None:
    group = {**GROUP, "groupKey": "late"}
    before = stack.post(group).json()["incident"]
    assert stack.post({**group, "status": "resolved"}).json()["status"] == "Incident resolved"
    late = stack.post(group, oncall_wait_minutes=0)
    assert late.status_code == 201
    stack.wait_for_state(late.json()["incident"], "escalated")
    assert stack.show(before)["state"] == "resolved"
    assert stack.simulator.events(before["id"]) == []


def test_two_receivers_with_two_alert_sources_page_both(stack: Stack) -> None:
    group = {**GROUP, "groupKey": "both"}
    incident = stack.post(group, oncall_wait_minutes=0.02).json()["incident"]
    again = stack.post(group, oncall_wait_minutes=0.02, incidentio_other_alert_source="infra")
    assert again.json()["incident"]["id"] == incident["id"]

    both = {"source-default", "source-infra"}
    wait_until(lambda: {e.source for e in stack.simulator.events(incident["id"])} == both, "both are paged")
