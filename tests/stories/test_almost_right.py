"""What senders and proxies do that is almost right: other paths, a path before ours, a huge group, IPv6."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import requests
from playwright.sync_api import Page, expect

from tests.fakes import GATEWAY_SECRET
from tests.stories.stack import Stack, wait_until

PREFIX = "/versus"


@pytest.mark.parametrize("path", ["/api/incidents/", "/api//incidents", "//api/incidents"])
def test_a_slash_too_many_costs_no_alert(stack: Stack, path: str) -> None:
    request = requests.Request("POST", stack.base, json={"title": path}, params={"oncall_enable": "false"})
    prepared = request.prepare()
    # The library takes two slashes for one.
    prepared.url = f"{stack.base}{path}?oncall_enable=false"
    answer = requests.Session().send(prepared, timeout=60, allow_redirects=False)
    assert answer.status_code == 201
    assert stack.show(answer.json()["incident"])["title"] == path


def test_a_group_of_thousands_of_alerts_pages_once(stack: Stack) -> None:
    def alert(n: int) -> dict[str, Any]:
        labels = {"alertname": "PodDown", "pod": f"orders-{n}", "severity": "critical"}
        annotations = {"summary": f"pod {n} is down", "description": "x" * 600}
        return {"status": "firing", "labels": labels, "annotations": annotations, "fingerprint": f"{n:016x}"}

    common = {"alertname": "PodDown"}
    body = {
        "receiver": "versus",
        "status": "firing",
        "version": "4",
        "groupKey": "storm",
        "truncatedAlerts": 0,
        "groupLabels": common,
        "commonLabels": common,
        "commonAnnotations": {},
        "externalURL": "",
        "alerts": [alert(n) for n in range(4_000)],
    }
    answer = stack.post(body, oncall_wait_minutes="0.01")
    assert answer.status_code == 201
    incident = answer.json()["incident"]
    assert len(answer.request.body or b"") > 3 * 1_048_576
    stack.wait_for_state(incident, "escalated")
    assert len(stack.simulator.events(incident["id"])) == 1
    assert "orders-0" in stack.show(incident)["description"]


def test_the_dashboard_is_live_behind_a_path(own: Callable[..., Stack], page: Page) -> None:
    stack = own(config={"public_host": f"https://ops.example.com{PREFIX}"})
    home = f"{stack.base}{PREFIX}/"
    page.goto(home)
    page.get_by_label("Your name").fill("Dana")
    page.get_by_label("Gateway secret").fill(GATEWAY_SECRET)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(home)
    incident = stack.report(600)
    arrived = page.locator(f"#i-{incident['id']}")
    expect(arrived).to_be_visible(timeout=60_000)
    arrived.get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_role("region", name="Acknowledged")).to_contain_text("Disk full", timeout=60_000)
    assert stack.show(incident)["acknowledged_by"] == "Dana"
    arrived.get_by_role("link").click()
    page.wait_for_url(f"{home}incidents/{incident['id']}")
    page.keyboard.press("h")
    page.wait_for_url(home)


def test_the_link_works_behind_a_path_and_on_ipv6(own: Callable[..., Stack]) -> None:
    public = f"https://ops.example.com{PREFIX}"
    stack = own(config={"public_host": public, "host": "::"})
    incident = stack.report(600)
    assert incident["ack_url"].startswith(f"{public}/api/ack/")
    for base in (stack.base, stack.base.replace("127.0.0.1", "[::1]")):
        # A proxy takes the path off, or leaves it there.
        for before in ("", PREFIX):
            address = f"{base}{before}{incident['ack_url'].removeprefix(public)}"
            page = requests.get(address, headers={"Accept": "text/html"}, timeout=60).text
            [action] = re.findall(r'action="([^"]*)"', page)
            assert action.startswith(f"{PREFIX}/api/ack/")
    pressed = f"{stack.base}{action.replace('&amp;', '&')}"
    assert requests.post(pressed, timeout=60).json()["status"] == "acknowledged"
    wait_until(lambda: stack.show(incident)["state"] == "acknowledged", "it is acknowledged")
    assert stack.simulator.events(incident["id"]) == []
