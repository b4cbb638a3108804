"""Story: Redis answers and refuses. No process ends, and all goes on at the first write that works."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from local.embedded import EmbeddedRedis
from tests.stories.refusals import REFUSALS, WORDS, Refusing, begin, end
from tests.stories.stack import Stack, wait_until

# Two seconds are enough on a quiet machine; each pause is tested in tests/tasks/test_kombu_workarounds.py.
READY_SAYS_SO_WITHIN = 20.0
WORKS_AGAIN_WITHIN = 20.0


class Scene(Stack):
    """A service with one worker, whose Redis can be brought to refuse."""

    def __init__(self, folder: Path, *, workers: int = 1) -> None:
        self.server_folder = folder / "refusing"
        self.server = EmbeddedRedis(self.server_folder).start()
        self.relay = Refusing(self.server.port)
        redis = {"host": "127.0.0.1", "port": self.relay.port}
        super().__init__(folder, workers=workers, config={"redis": redis})
        self._parts.callback(self.server.kill)

    def begin(self, refusal: str) -> int:
        """Returns how long the log is by now."""
        begin(refusal, self.server, self.server_folder, self.relay)
        return len(self.log.read_text())

    def end(self, refusal: str) -> None:
        end(refusal, self.server, self.server_folder, self.relay)

    def logged(self, since: int, words: str) -> int:
        """How often these words are in the log, after its first `since` characters."""
        return self.log.read_text()[since:].count(words)

    def redis_is(self) -> str:
        """What /readyz says of Redis."""
        said: str = requests.get(f"{self.base}/readyz", timeout=60).json()["checks"]["redis"]
        return said


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    scene = Scene(tmp_path_factory.mktemp("scene"))
    try:
        yield scene
    finally:
        scene.stop()


@pytest.mark.parametrize("refusal", [*REFUSALS, *WORDS])
def test_a_worker_outlives_it_and_pages_soon_after_the_first_write(refusal: str, scene: Scene) -> None:
    scene.ready()
    due_meanwhile = scene.report(1)
    since = scene.begin(refusal)
    wait_until(lambda: scene.redis_is() != "ok", "/readyz says so", READY_SAYS_SO_WITHIN)
    words = REFUSALS[refusal].words if refusal in REFUSALS else ""
    assert re.search(words, scene.redis_is())
    answer = scene.post({"title": "Disk full"})
    assert answer.status_code == 202, answer.text
    wait_until(lambda: scene.logged(since, "sweep_waits") >= 2, "the sweep was refused more than once")
    scene.end(refusal)
    wait_until(lambda: scene.redis_is() == "ok", "/readyz is well again", WORKS_AGAIN_WITHIN)
    scene.wait_for_state(due_meanwhile, "escalated", WORKS_AGAIN_WITHIN)
    scene.wait_for_state(scene.report(0), "escalated", WORKS_AGAIN_WITHIN)
    assert scene.workers[0].lives()
    assert scene.web.lives()
    assert scene.logged(0, "Unrecoverable error") == 0


@pytest.mark.parametrize("refusal", ["demoted", "full", "another password", WORDS[-1]])
def test_a_worker_starts_while_it_refuses_and_consumes_soon_after(refusal: str, scene: Scene) -> None:
    scene.ready()
    scene.begin(refusal)
    since = len(scene.log.read_text())
    worker = scene.start("worker")
    wait_until(lambda: scene.logged(since, "Cannot connect to redis") >= 2, "the worker waits for Redis")
    scene.end(refusal)
    wait_until(lambda: scene.logged(since, " ready."), "the worker consumes", WORKS_AGAIN_WITHIN)
    assert worker.lives()
    assert worker.stop() == 0


def test_a_web_process_that_is_told_to_end_stores_what_it_paged_directly(scene: Scene) -> None:
    scene.ready()
    scene.begin("full")
    answer = scene.post({"title": "Disk full", "id": "told-to-end"})
    assert answer.status_code == 202, answer.text
    scene.web.signal(signal.SIGTERM)
    wait_until(lambda: not answers(scene), "the port is closed")
    scene.end("full")
    scene.web.stop()
    scene.web = scene.start("web")
    scene.ready()
    assert scene.show(answer.json()["incident"])["state"] == "escalated"


def answers(scene: Scene) -> bool:
    """Whether the web process takes connections."""
    try:
        requests.get(f"{scene.base}/healthz", timeout=60)
    except requests.ConnectionError:
        return False
    return True
