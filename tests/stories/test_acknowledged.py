"""Somebody acknowledges: in time, at the last moment, while the page is being sent, after it."""

from __future__ import annotations

import re

import requests

from tests.stories.stack import Stack, wait_until


def test_acknowledged_in_time_pages_nobody(stack: Stack) -> None:
    acknowledged = stack.report(1)
    control = stack.report(1.2)
    answer = stack.acknowledge(acknowledged)
    assert answer.status_code == 200
    assert answer.json()["status"] == "acknowledged"
    # The control was due later and is through: the acknowledged one's time has passed as well.
    stack.wait_for_state(control, "escalated")
    assert stack.simulator.events(acknowledged["id"]) == []
    assert stack.show(acknowledged)["state"] == "acknowledged"


def test_the_same_acknowledgement_again_answers_the_same(stack: Stack) -> None:
    incident = stack.report(600)
    first, second = stack.acknowledge(incident), stack.acknowledge(incident)
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json() == second.json()


def test_opening_the_link_acknowledges_nothing(stack: Stack) -> None:
    incident = stack.report(600)
    page = requests.get(incident["ack_url"], headers={"Accept": "text/html"}, timeout=60)
    assert page.status_code == 200
    assert "Disk full" in page.text
    assert len(re.findall("<button", page.text)) == 1
    shown = stack.show(incident)
    assert shown["state"] == "pending"
    assert "link_opened" in [entry["event"] for entry in shown["timeline"]]


def test_acknowledged_while_the_page_is_being_sent_is_both(stack: Stack) -> None:
    stack.simulator.answer_next(mode="hang", taken=True)
    incident = stack.report(0)
    wait_until(
        lambda: any(r.body["deduplication_key"] == incident["id"] for r in stack.simulator.requests), "sent"
    )
    assert stack.acknowledge(incident).status_code == 200
    stack.simulator.clear()
    shown = wait_until(
        lambda: (now := stack.show(incident))["timeline"][-1]["event"] != "acknowledged" and now, "delivered"
    )
    assert shown["state"] == "acknowledged"
    assert "while the page was being sent" in str(shown["timeline"])
    # Nothing is sent again, whether or not the first attempt got its answer.
    stack.wait_for_state(stack.report(0), "escalated")
    sent = [r for r in stack.simulator.requests if r.body["deduplication_key"] == incident["id"]]
    assert len(sent) == 1


def test_acknowledged_after_the_page_is_recorded_and_says_so(stack: Stack) -> None:
    incident = stack.report(0)
    stack.wait_for_state(incident, "escalated")
    assert stack.acknowledge(incident).status_code == 200
    shown = stack.show(incident)
    assert shown["state"] == "acknowledged"
    assert shown["timeline"][-1]["detail"].endswith("after the page went out")


def test_acknowledged_while_it_is_tried_again_stops_the_attempts(stack: Stack) -> None:
    stack.simulator.answer_with(500)
    incident = stack.report(0)
    wait_until(
        lambda: stack.show(incident)["attempts"] >= 1 and stack.show(incident)["last_error"],
        "a failed attempt",
    )
    assert stack.act(incident, "ack").status_code == 200
    stack.simulator.clear()
    stack.wait_for_state(stack.report(2.5), "escalated")
    assert stack.simulator.events(incident["id"]) == []


def test_bad_links_are_refused_each_in_its_way(stack: Stack) -> None:
    incident = stack.report(600)
    url = incident["ack_url"]
    forged = re.sub(r"sig=.", "sig=_", url) if "sig=_" not in url else url.replace("sig=_", "sig=-")
    other = url.replace(incident["id"], stack.report(600)["id"])
    for bad in (forged, other, url.split("?")[0]):
        assert requests.post(bad, timeout=60).status_code == 401
        assert requests.get(bad, timeout=60).status_code == 401
    assert stack.show(incident)["state"] == "pending"
    stack.act(incident, "resolve")
    answer = requests.post(url, timeout=60)
    assert (answer.status_code, "resolved" in answer.json()["error"]) == (409, True)
