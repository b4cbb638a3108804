"""Story: Redis lost what it knew. People are told, and paged once for what nobody knows any more."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
import requests

from tests.fakes import GATEWAY_SECRET
from tests.stories.stack import Stack, on_disk, wait_until

Own = Callable[..., Stack]

# Each process asks once a second; the rest is for a busy machine.
SAID_WITHIN = 30.0
PROCESSES = 5
"""Two of web and three workers, each of which asks once a second."""


class Scene:
    """A service whose Redis can lose what it knows."""

    def __init__(self, own: Own, folder: Path) -> None:
        self.stack = own(workers=3)
        self.folder, self.backup = folder / "redis", folder / "backup"
        self.client: Any = redis.Redis.from_url(self.stack.redis.url)

    def knows(self) -> None:
        """Returns once every process has read what is there now."""

        def asked() -> int:
            return int(self.client.info("commandstats").get("cmdstat_hgetall", {"calls": 0})["calls"])

        before = asked()
        wait_until(lambda: asked() >= before + 3 * PROCESSES, "every process has asked")

    def save(self) -> None:
        on_disk(self.client)
        shutil.copytree(self.folder, self.backup)

    def lose(self, how: str) -> None:
        if how == "emptied":
            self.client.flushall()
            return
        self.stack.redis.kill()
        shutil.rmtree(self.folder)
        if how == "an old backup":
            shutil.copytree(self.backup, self.folder)
        self.stack.redis.start()

    def redis_is(self) -> str:
        """What /readyz says of Redis."""
        said: str = requests.get(f"{self.stack.base}/readyz", timeout=60).json()["checks"]["redis"]
        return said

    def own_incidents(self) -> list[dict[str, Any]]:
        """Those that the service reports itself."""
        secret = {"X-Gateway-Secret": GATEWAY_SECRET}
        answer = requests.get(
            f"{self.stack.base}/api/incidents", params={"source": "versus"}, headers=secret, timeout=60
        )
        found: list[dict[str, Any]] = answer.json()["incidents"]
        return [one for one in found if one["title"].startswith("Redis lost")]

    def paged(self) -> list[str]:
        return [event.body["metadata"]["alert_title"] for event in self.stack.simulator.events()]


@pytest.fixture
def scene(own: Own, tmp_path: Path) -> Scene:
    return Scene(own, tmp_path)


@pytest.mark.parametrize("how", ["emptied", "replaced by another", "an old backup"])
def test_people_are_told_and_paged_once(scene: Scene, how: str) -> None:
    stack = scene.stack
    scene.save()
    for _ in range(8):
        stack.report(600)
    if how == "an old backup":
        # So that nobody knows how few writes there were at the time of the backup.
        for process in (stack.web, *stack.workers):
            process.kill()
        stack.web, stack.workers = stack.start("web"), [stack.start("worker") for _ in range(3)]
        wait_until(stack.is_ready, "the service is ready")
    held = stack.report(20)
    scene.knows()
    assert "redis_lost_data" not in stack.log.read_text()
    scene.lose(how)
    wait_until(lambda: "Redis lost data" in scene.redis_is(), "/readyz says so", SAID_WITHIN)
    wait_until(
        lambda: "Redis lost data: 9 incidents were pending" in scene.paged(), "it is paged", SAID_WITHIN
    )
    assert "redis_lost_data" in stack.log.read_text()
    wait_until(lambda: stack.simulator.events(held["id"]), "what a worker holds is paged")
    [lost] = scene.own_incidents()
    stack.act(lost, "ack")
    wait_until(stack.is_ready, "the service is ready again")
    assert len(scene.paged()) == 2
    assert all(process.lives() for process in (stack.web, *stack.workers))


def test_the_last_moments_are_reported_and_page_nobody(scene: Scene) -> None:
    stack = scene.stack
    stack.report(600)
    scene.knows()
    scene.save()
    stack.report(600)
    scene.knows()
    scene.lose("an old backup")
    [lost] = wait_until(scene.own_incidents, "it is reported")
    assert (lost["title"], lost["state"]) == ("Redis lost its last moments", "open")
    assert "last_moments_only=true" in stack.log.read_text()
    wait_until(stack.is_ready, "the service is ready")
    assert scene.paged() == []


def test_a_restart_of_redis_is_none(scene: Scene) -> None:
    scene.stack.report(600)
    scene.knows()
    on_disk(scene.client)
    scene.stack.redis.kill()
    scene.stack.redis.start()
    wait_until(scene.stack.is_ready, "the service is ready")
    scene.knows()
    assert "redis_lost_data" not in scene.stack.log.read_text()
