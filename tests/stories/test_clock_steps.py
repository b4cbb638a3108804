"""Story: Redis's clock steps under running processes; the service's own time goes on evenly."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from local.embedded import EmbeddedRedis
from tests.stepping import SteppingClock, can_step
from tests.stories.stack import Stack, wait_until

HOUR = 3600
BUSY = 60.0
"""Seconds that a busy machine may add, where a fault adds an hour."""


class Scene(Stack):
    """A service with three workers, whose Redis's clock can be set."""

    def __init__(self, folder: Path) -> None:
        self.clock = SteppingClock(folder)
        self.stepping = EmbeddedRedis(folder / "stepping", environ=self.clock.environ).start()
        super().__init__(
            folder,
            workers=3,
            # One that starts between the step and its correction goes by the new time for a second, as nobody
            # can have told it. So each process has read the clock before: one of web has, once it is ready.
            environ={"WEB_CONCURRENCY": "1"},
            config={"redis": {"host": "127.0.0.1", "port": self.stepping.port}},
            incident_io={"max_per_minute": 600, "heartbeat_config_id": "beat"},
        )
        self._parts.callback(self.stepping.kill)

    def correction(self) -> int:
        """Seconds, as /readyz says; 0 when it says nothing of it."""
        said = requests.get(f"{self.base}/readyz", timeout=60).json().get("clock", "")
        found = re.search(r"([+-]\d+) s\b", said)
        return int(found[1]) if found else 0


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    if not can_step() and not os.environ.get("VERSUS_REQUIRE_ALL_TESTS"):
        pytest.skip("there is no libfaketime")
    scene = Scene(tmp_path)
    try:
        scene.ready()
        yield scene
    finally:
        scene.stop()


def paged_after(scene: Scene, wait: float) -> Callable[[], float]:
    """Report an incident with this wait; returns what waits for its page and says after how long it came."""
    began = time.monotonic()
    incident = scene.report(wait)

    def seconds() -> float:
        page, *_ = wait_until(lambda: scene.simulator.events(incident["id"]), "it is paged", wait + BUSY)
        return float(page.monotonic - began)

    return seconds


@pytest.mark.parametrize("ahead", [-HOUR, HOUR])
def test_every_wait_lasts_as_long_as_it_was_asked_for(scene: Scene, ahead: int) -> None:
    soon, later = paged_after(scene, 6), paged_after(scene, 12)
    far = scene.report(1800)
    scene.clock.step_to(ahead)
    wait_until(lambda: abs(scene.correction() + ahead) <= 1, "/readyz says so")
    assert "redis_clock_stepped" in scene.log.read_text()
    meanwhile = paged_after(scene, 2)
    assert meanwhile() >= 2
    assert soon() >= 6
    assert later() >= 12
    assert scene.simulator.events(far["id"]) == []
    stated = datetime.fromisoformat(scene.report(600)["created_at"])
    assert abs((stated - datetime.now(UTC)).total_seconds()) < BUSY
    assert scene.log.read_text().count("redis_clock_stepped") == 1
    assert scene.is_ready()
    assert all(process.lives() for process in (scene.web, *scene.workers))
