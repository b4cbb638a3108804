"""Real processes notify people in their channels: soon, once, and one that hangs delays no other."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from tests.destinations.slack_rules import CHANNEL, TOKEN, SlackRules, buttons
from tests.destinations.standin import Got, StandIn
from tests.stories.stack import Stack, wait_until

SIGNING_SECRET = "planted-signing-secret"


@pytest.fixture
def service() -> Iterator[StandIn]:
    with StandIn().serving() as stand_in:
        yield stand_in


@pytest.fixture
def hanging() -> Iterator[StandIn]:
    """A service that takes connections and never answers."""
    with StandIn().serving() as stand_in:
        stand_in.hangs.set()
        yield stand_in


def channel(name: str, service: StandIn, **about: Any) -> dict[str, Any]:
    return {"name": name, "url": f"json://127.0.0.1:{service.port}/{name}", **about}


def received(service: StandIn) -> list[str]:
    """The titles of what a service got."""
    return [got.json["title"] for got in list(service.got)]


def notified(stack: Stack, incident: dict[str, Any]) -> int:
    """How many messages are on the timeline."""
    return [line["event"] for line in stack.show(incident)["timeline"]].count("notified")


def test_each_step_of_a_life_is_notified_and_the_page_says_who_knows(
    tmp_path: Path, service: StandIn
) -> None:
    stack = Stack(tmp_path, config={"alert": {"channels": [channel("ops", service)]}})
    try:
        stack.ready()
        incident = stack.report(1.5)
        wait_until(lambda: len(service.got) == 1, "ops is notified of the new incident")
        assert incident["ack_url"].partition("?")[0] in service.got[0].json["message"]
        stack.wait_for_state(incident, "escalated")
        wait_until(lambda: len(service.got) == 2, f"ops is notified of the page; {received(service)}")
        stack.act(incident, "ack")
        wait_until(lambda: len(service.got) == 3, f"of the acknowledgement; {received(service)}")
        stack.act(incident, "resolve")
        wait_until(lambda: len(service.got) == 4, f"all is notified; {received(service)}")
        assert [title.partition(":")[0] for title in received(service)] == [
            "New incident",
            "Paged",
            "Acknowledged",
            "Resolved",
        ]
        [page] = stack.simulator.events(incident["id"])[:1]
        assert "- Notified ops of the new incident (at " in page.body["description"]
        wait_until(lambda: notified(stack, incident) == 4, "all is on the timeline")
    finally:
        stack.stop()


def test_a_channel_that_hangs_delays_no_page_and_no_other_channel(
    tmp_path: Path, service: StandIn, hanging: StandIn
) -> None:
    channels = [channel("ops", service), channel("dead", hanging)]
    stack = Stack(tmp_path, config={"alert": {"channels": channels}})
    try:
        stack.ready()
        incidents = [stack.report(1) for _ in range(15)]
        for incident in incidents:
            stack.wait_for_state(incident, "escalated")
        wait_until(lambda: len(titles(service)) == 15, f"ops is notified; {received(service)}")
        wait_until(lambda: all(notified(stack, one) for one in incidents), "it is on the timelines")
        wait_until(
            lambda: any(
                e["event"] == "not_notified" and "dead" in e["detail"] and "will try again" in e["detail"]
                for i in incidents
                for e in stack.show(i)["timeline"]
            ),
            "the dead channel is on a timeline",
        )
        # Ops has not waited for the time-out of the dead channel.
        for one in incidents:
            events = [line["event"] for line in stack.show(one)["timeline"]]
            assert "not_notified" not in events[: events.index("notified")]
    finally:
        stack.stop()


def test_what_a_worker_was_sending_when_it_died_is_sent_by_the_next(
    tmp_path: Path, service: StandIn, hanging: StandIn
) -> None:
    channels = [channel("ops", service), channel("slow", hanging)]
    stack = Stack(tmp_path, config={"alert": {"channels": channels}})
    try:
        stack.ready()
        incidents = [stack.report(300) for _ in range(8)]
        wait_until(lambda: len(hanging.got) >= 3, "the worker is in the middle of sending")
        stack.workers[0].kill()
        in_flight = len(hanging.got)
        hanging.hangs.clear()
        stack.start("worker")
        wait_until(
            lambda: len(titles(hanging)) == 8 and len(titles(service)) == 8, "everybody is notified", 60
        )
        for times in Counter(map(incident_of, hanging.got)).values():
            assert times <= 2
        assert len(hanging.got) <= 8 + in_flight
        assert all(times <= 2 for times in Counter(map(incident_of, service.got)).values())
        assert len(incidents) == 8
    finally:
        stack.stop()


def incident_of(got: Got) -> str:
    """The link that was sent, without when it ends, which is another time for another try."""
    link: str = got.json["message"].partition("Acknowledge: ")[2].partition("?")[0]
    return link


def titles(service: StandIn) -> set[str]:
    """The different links that a service was sent."""
    return {incident_of(got) for got in list(service.got)}


def test_a_click_in_slack_stops_the_page_and_changes_the_message(tmp_path: Path) -> None:
    rules = SlackRules()
    with StandIn(rules).serving() as api:
        slack = {
            "enable": True,
            "token": TOKEN,
            "channel_id": CHANNEL,
            "signing_secret": SIGNING_SECRET,
            "base_url": f"{api.base}/api",
        }
        stack = Stack(tmp_path, config={"alert": {"slack": slack}})
        try:
            stack.ready()
            incident = stack.report(20)
            wait_until(lambda: rules.messages, "the message is posted")
            button, *_ = buttons(next(iter(rules.messages.values())))
            assert button["value"] == incident["id"]
            press(stack, button)
            stack.wait_for_state(incident, "acknowledged")
            wait_until(
                lambda: "Acknowledged by dana in Slack" in json.dumps(list(rules.messages.values())),
                "changed",
            )
            assert buttons(next(iter(rules.messages.values()))) == []
            assert stack.simulator.events(incident["id"]) == []
        finally:
            stack.stop()


def press(stack: Stack, button: dict[str, Any]) -> None:
    """What Slack sends when somebody presses the button."""
    payload = {"type": "block_actions", "user": {"id": "U1", "name": "dana"}, "actions": [button]}
    body = urlencode({"payload": json.dumps(payload)})
    stamp = str(int(time.time()))
    signed = hmac.new(SIGNING_SECRET.encode(), f"v0:{stamp}:{body}".encode(), hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": f"v0={signed}",
    }
    answer = requests.post(f"{stack.base}/api/slack/interactions", data=body, headers=headers, timeout=60)
    assert answer.status_code == 200
