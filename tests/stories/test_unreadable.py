"""Story: records that can't be read (a rollback, damage) page under their own IDs, and stop nothing else."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle

import redis
import requests

from tests.fakes import GATEWAY_SECRET
from tests.store.damage import DAMAGE, damage
from tests.stories.stack import Stack, wait_until

Own = Callable[..., Stack]

MANY = 130
"""More than are handed out ahead of others of the same alert source."""


def test_130_of_them_page_and_stop_nothing_else_of_their_alert_source(own: Own) -> None:
    stack = own(workers=3)
    client = redis.Redis.from_url(stack.redis.url)
    wait = {"oncall_wait_minutes": "0.05"}
    answer = stack.post([{"title": f"Disk {n}", "severity": "critical"} for n in range(MANY)], **wait)
    damaged = answer.json()["incidents"]
    for one, kind in zip(damaged, cycle(DAMAGE), strict=False):
        damage(client, kind, one["id"])
    assert stack.acknowledge(damaged[0]).json()["status"] == "acknowledged"
    other = stack.report(1)
    stack.wait_for_state(other, "escalated")
    waiting = {one["id"] for one in damaged[1:]}

    def paged() -> list[str]:
        return sorted(key for _, key in stack.simulator.alerts)

    wait_until(lambda: waiting <= set(paged()), "all are paged")
    wait_until(stack.is_ready, "nothing is overdue")
    assert stack.simulator.events(damaged[0]["id"]) == []
    assert paged() == sorted([*waiting, other["id"]])
    assert all(process.lives() for process in (stack.web, *stack.workers))


def test_people_and_programs_can_do_with_them_what_they_do_with_others(own: Own) -> None:
    stack = own()
    client = redis.Redis.from_url(stack.redis.url)
    for kind in DAMAGE:
        incident = stack.report(600)
        damage(client, kind, incident["id"])
        assert requests.get(incident["ack_url"], timeout=60).status_code == 200
        assert stack.show(incident)["labels"]["unreadable"] == "true"
        damage(client, kind, incident["id"])
        answer = stack.act(incident, "ack")
        assert (answer.status_code, answer.json()["incident"]["state"]) == (200, "acknowledged"), kind
    damage(client, "cut", stack.report(600)["id"])
    secret = {"X-Gateway-Secret": GATEWAY_SECRET}
    listed = requests.get(f"{stack.base}/api/incidents", headers=secret, timeout=60).json()["incidents"]
    assert len(listed) == len(DAMAGE) + 1
    for words in (
        ["list"],
        ["show", listed[0]["id"]],
        ["explain", listed[0]["id"]],
        ["ack", listed[0]["id"]],
    ):
        command = stack.versus(*words)
        output, _ = command.communicate(timeout=60)
        assert command.returncode == 0, output
        assert listed[0]["id"] in output or words[0] == "explain"
    assert client.zcard("versus:due") == 0
