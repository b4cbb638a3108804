"""docs/start.md, from `cp .env.example .env` to the API by example: what it says works, word for word."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from config import load_config
from local.embedded import free_port
from local.processes import ROOT, with_our_programs
from local.simulator import Simulator
from tests.stories.stack import wait_until

START = (ROOT / "docs" / "start.md").read_text()
FILLED_IN = {
    "INCIDENTIO_API_KEY": "key",
    "INCIDENTIO_ALERT_SOURCE_CONFIG_ID": "source",
    "GATEWAY_SECRET": "readme-gateway-secret-3a51",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where `make run` runs with the example's `.env`, filled in as the page says."""
    folder = tmp_path_factory.mktemp("readme")
    example = (ROOT / ".env.example").read_text()
    for name, value in FILLED_IN.items():
        assert f"`{name}`" in START
        example, n = re.subn(rf"^{name}=$", f"{name}={value}", example, flags=re.M)
        assert n == 1
    (folder / ".env").write_text(example)
    port = free_port()
    with Simulator({"key": {"source"}}) as simulator, (folder / "output").open("wb") as output:
        environ = with_our_programs(
            {
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "PORT": str(port),
                "INCIDENTIO_BASE_URL": simulator.base_url,
            }
        )
        (folder / "environ").write_text("\n".join(f"{name}={value}" for name, value in environ.items()))
        command = [sys.executable, "-m", "local.run"]
        running = subprocess.Popen(command, cwd=folder, env=environ, stdout=output, stderr=output)

        def ready() -> bool:
            try:
                return requests.get(f"http://127.0.0.1:{port}/readyz", timeout=60).ok
            except requests.RequestException:
                return False

        try:
            wait_until(ready, f"ready; see {folder / 'output'}")
            yield folder
        finally:
            running.send_signal(signal.SIGINT)
            running.wait(60)


def shell(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """What a reader gets who pastes this."""
    environ = dict(line.split("=", 1) for line in (folder / "environ").read_text().splitlines())
    script = script.replace("localhost:3000", f"localhost:{environ['PORT']}").replace(".venv/bin/", "")
    return subprocess.run(
        ["sh", "-e", "-c", script], cwd=folder, env=environ, capture_output=True, text=True, timeout=120
    )


def test_the_drill_that_it_asks_for_pages(folder: Path) -> None:
    assert ".venv/bin/versus drill\n" in START
    done = shell(folder, ".venv/bin/versus drill")
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_example_of_the_api_is_taken(folder: Path) -> None:
    if shutil.which("curl") is None and not os.environ.get("VERSUS_REQUIRE_ALL_TESTS"):
        pytest.skip("curl is not installed")
    [script] = re.findall(r"```sh\n(.*?)```", START.partition("## The API by example")[2], re.S)
    assert script.count("curl ") == 4
    done = shell(folder, script.replace("curl ", "curl -sS --fail-with-body "))
    assert done.returncode == 0, done.stdout + done.stderr
    answered = re.findall(r'"status": ?"([^"]+)"', done.stdout)
    assert answered == ["Incident created", "Incident resolved", "Incident created"]
    assert "Disk full" in done.stdout.rpartition('"Incident created"')[2]


def test_the_variable_that_it_names_makes_another_alert_source() -> None:
    name = "INCIDENTIO_OTHER_ALERT_SOURCE_CONFIG_ID_INFRA"
    assert f"`infra`, once `.env` has `{name}`" in START
    config = load_config(environ={**FILLED_IN, name: "source-infra"})
    assert config.oncall.incident_io.alert_sources["infra"].id == "source-infra"
