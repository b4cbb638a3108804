"""Story: with an account's key, incident.io is asked what became of a page, and hears of acknowledgements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.stories.stack import Stack, wait_until

Make = Callable[..., Stack]
KEY = "planted-account-key"
PEOPLE = "incident.io notified Ada Lovelace"


def with_account(own: Make, **oncall: Any) -> Stack:
    stack = own(oncall={"incident_io": {"account_api_key": KEY}, **oncall})
    stack.simulator.account.keys = {KEY}
    return stack


def timeline(shown: dict[str, Any], event: str) -> list[str]:
    return [entry["detail"] for entry in shown["timeline"] if entry["event"] == event]


def test_who_was_notified_is_confirmed_and_a_late_acknowledgement_arrives_there(own: Make) -> None:
    stack = with_account(own)
    incident = stack.report(0)
    stack.wait_for_state(incident, "escalated")
    wait_until(lambda: timeline(stack.show(incident), "confirmed") == [PEOPLE], "it is confirmed")
    # A worker that died in between is made up for by another one: nothing of it was in memory.
    stack.workers[0].kill()
    assert stack.acknowledge(incident).status_code == 200
    stack.start("worker")
    alert = f"alert-source-default-{incident['id']}"
    wait_until(lambda: stack.simulator.account.acknowledged == [alert], "incident.io hears of it")
    wait_until(lambda: timeline(stack.show(incident), "acknowledgement_sent"), "which is noted")
    stack.act(incident, "resolve")
    wait_until(
        lambda: stack.simulator.alerts["source-default", incident["id"]] == "resolved", "the alert ends"
    )
    assert KEY not in f"{stack.show(incident)}{stack.log.read_text()}"


def test_a_page_that_got_lost_at_incident_io_is_late_and_pages_elsewhere(own: Make) -> None:
    stack = with_account(own, fallback=["incident_io/infra"])
    account = stack.simulator.account
    account.drops = True
    incident = stack.report(0)
    first = stack.wait_for_state(incident, "escalated")
    assert first["alert_source"] == "default"
    wait_until(lambda: timeline(stack.show(incident), "late"), "at the last check it is late", within=180)
    wait_until(lambda: ("source-infra", incident["id"]) in stack.simulator.alerts, "the fallback is paged")
    shown = stack.show(incident)
    assert "has no such alert" in timeline(shown, "late")[0]
    assert timeline(shown, "not_confirmed") == []
    # It was sent to neither of them twice.
    assert len(stack.simulator.events(incident["id"])) == 2


def test_an_account_that_answers_nonsense_changes_nothing(own: Make) -> None:
    stack = with_account(own, fallback=["incident_io/infra"])
    stack.simulator.account.others = True
    incident = stack.report(0)
    stack.wait_for_state(incident, "escalated")

    def checks() -> int:
        return sum(one.path.startswith("/v2/alerts?") for one in list(stack.simulator.requests))

    wait_until(lambda: checks() >= 3, "all checks are made", within=180)
    shown = stack.wait_for_state(incident, "escalated")
    assert timeline(shown, "late") + timeline(shown, "confirmed") == []
    assert len(stack.simulator.events(incident["id"])) == 1
    assert stack.log.read_text().count("account_answer_not_known") <= 2
