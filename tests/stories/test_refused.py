"""A webhook that cannot be read pages somebody, once, and is over with the next one that can."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests
from playwright.sync_api import Page, expect

from tests.fakes import GATEWAY_SECRET
from tests.stories.stack import Stack, wait_until

ADMIN = {"X-Gateway-Secret": GATEWAY_SECRET}


def send(stack: Stack, agent: str, data: bytes = b'{"title": "cut', **parameters: str) -> int:
    url, headers = f"{stack.base}/api/incidents", {"User-Agent": agent}
    return requests.post(url, data=data, params=parameters, headers=headers, timeout=60).status_code


def reported(stack: Stack, agent: str, state: str = "") -> list[dict[str, Any]]:
    query = {"source": "versus", "limit": "500", **({"state": state} if state else {})}
    answer = requests.get(f"{stack.base}/api/incidents", params=query, headers=ADMIN, timeout=60)
    incidents = [stack.show(one) for one in answer.json()["incidents"]]
    return [one for one in incidents if agent in one["description"]]


def test_it_pages_once_and_ends_with_the_next_that_is_read(stack: Stack) -> None:
    for _ in range(3):
        assert send(stack, "Zabbix/7.0", oncall_wait_minutes="0.01") == 400
    [incident] = reported(stack, "Zabbix/7.0")
    stack.wait_for_state(incident, "escalated")
    assert send(stack, "Zabbix/7.0", b'{"title": "x"}', oncall_enable="false") == 201
    stack.wait_for_state(incident, "resolved")
    wait_until(lambda: len(stack.simulator.events(incident["id"])) == 2, "incident.io has the end of it")
    kinds = [event.body["status"] for event in stack.simulator.events(incident["id"])]
    assert kinds == ["firing", "resolved"]


def test_a_flood_of_senders_opens_no_more_than_twenty_and_one(own: Callable[..., Stack]) -> None:
    # Of its own: what other stories have open counts as well.
    stack = own()

    def one(n: int) -> int:
        if n % 10 == 0:
            return send(stack, "flood", b'{"title": "good"}', oncall_enable="false")
        return send(stack, f"flood {n}", b"broken %d" % n, oncall_enable="false")

    with ThreadPoolExecutor(32) as pool:
        statuses = list(pool.map(one, range(600)))
    assert (statuses.count(201), statuses.count(400)) == (60, 540)
    still_open = reported(stack, "flood", "open")
    assert len(still_open) == 21


def test_a_person_finds_it_and_sends_it_once_more(stack: Stack, page: Page) -> None:
    assert send(stack, "browser story", b'{"title": "Disk full"}', channels="nobody") == 400
    [incident] = reported(stack, "browser story", "pending")
    path = f"/incidents/{incident['id']}"
    page.goto(f"{stack.base}{path}")
    page.get_by_label("Your name").fill("Dana")
    page.get_by_label("Gateway secret").fill(GATEWAY_SECRET)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{stack.base}{path}")
    page.get_by_role("link", name="View and replay the rejected webhook").click()
    row = page.locator(".row.rejected", has_text="browser story")
    expect(row.locator("pre")).to_contain_text("Disk full")
    expect(row.get_by_role("link", name="Show incident", exact=True)).to_have_attribute("href", path)
    # Nothing was corrected, so it is refused again.
    row.get_by_role("button", name="Replay").click()
    expect(page.get_by_role("status")).to_contain_text("There is no channel")
