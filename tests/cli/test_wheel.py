"""The wheel in an environment of its own: web, worker and `versus` run with variables alone."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from app import __version__
from app.store import Store
from local.embedded import free_port
from local.release import wheel
from local.simulator import Simulator
from tests.cli.test_processes import answers, running
from tests.clone import clone
from tests.fakes import API_KEY, environment
from tests.stories.stack import wait_until


@pytest.fixture
def versus(tmp_path: Path) -> Path:
    """The command of an environment that has the wheel, and otherwise the libraries of the tests alone."""
    made = wheel(clone(tmp_path / "source"), tmp_path, "--no-build-isolation", "--no-index")
    place = tmp_path / "environment"
    venv.create(place, symlinks=True)
    python = place / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "install"]
    subprocess.run([*pip, "--quiet", "--no-deps", "--no-index", "--no-compile", str(made)], check=True)
    # Not the project itself: what a file like this one names is searched for no other such file.
    [packages] = place.glob("lib/python*/site-packages")
    (packages / "libraries.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    for name in ("gunicorn", "celery"):
        script = place / "bin" / name
        script.write_text(f'#!/bin/sh\nexec {python} -m {name} "$@"\n')
        script.chmod(0o755)
    asked = "import app, config, tasks; print(app.__file__, config.__file__, tasks.__file__)"
    said = subprocess.run([python, "-c", asked], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert said.stdout.count(str(packages)) == 3
    return place / "bin" / "versus"


def test_the_wheel_pages_with_variables_alone(versus: Path, redis_url: str, tmp_path: Path) -> None:
    said = subprocess.run([versus, "--version"], cwd=tmp_path, capture_output=True, text=True)
    assert said.stdout == f"versus {__version__}\n"
    port, logs = free_port(), [tmp_path / "web", tmp_path / "worker"]
    for folder in logs:
        folder.mkdir()
    with Simulator({API_KEY: {"source-default"}}) as simulator:
        environ = environment(
            redis_url,
            PATH="/usr/bin:/bin",
            PORT=str(port),
            WEB_CONCURRENCY="1",
            INCIDENTIO_BASE_URL=simulator.base_url,
            ONCALL_WAIT_MINUTES="0",
        )
        with (
            running("web", environ, logs[0], versus=versus),
            running("worker", environ, logs[1], versus=versus),
        ):
            wait_until(lambda: answers(port), f"web answers; see {logs[0]}", within=120)
            sent = requests.post(
                f"http://127.0.0.1:{port}/api/incidents", json={"title": "Disk full"}, timeout=60
            )
            assert sent.status_code == 201, sent.text
            paged = ("source-default", sent.json()["incident"]["id"])
            wait_until(lambda: paged in simulator.alerts, f"it is paged; see {logs[1]}", within=120)
            living = Store(redis_url).processes.living
            kinds = {"web", "worker"}
            wait_until(
                lambda: {one.kind for one in living(datetime.now(UTC))} == kinds, "both say so", within=120
            )
        shown = subprocess.run([versus, "list"], cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert "Disk full" in shown.stdout
