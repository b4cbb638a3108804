"""`versus web` and `versus worker`: they become what the Procfile says."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import requests

from app.cli import processes
from local.embedded import free_port
from local.processes import ROOT, procfile, with_our_programs
from tests.fakes import environment
from tests.stories.stack import wait_until

CONFIG = ROOT / "config" / "config.yaml"


@contextmanager
def running(
    name: str, environ: Mapping[str, str], folder: Path, *words: str, versus: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """`versus NAME` in a folder that is no checkout, found by its whole path as systemd does."""
    versus = versus or Path(with_our_programs({})["PATH"].partition(os.pathsep)[0]) / "versus"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [versus, name, *words], cwd=folder, env=environ, stdout=log, stderr=log, process_group=0
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_the_process_is_the_service_itself_and_ends_in_order(redis_url: str, tmp_path: Path) -> None:
    port = free_port()
    environ = environment(redis_url, PORT=str(port), PATH="/usr/bin:/bin", WEB_CONCURRENCY="1")
    with running("web", environ, tmp_path, "--config", str(CONFIG)) as web:
        wait_until(lambda: answers(port), f"web answers; see {tmp_path / 'log'}")
        assert "gunicorn" in " ".join(psutil.Process(web.pid).cmdline())
        web.terminate()
        assert web.wait(30) == 0


def test_a_worker_is_one(redis_url: str, tmp_path: Path) -> None:
    environ = environment(redis_url, PATH="/usr/bin:/bin", VERSUS_CONFIG=str(CONFIG))
    with running("worker", environ, tmp_path) as worker:
        log = tmp_path / "log"
        wait_until(lambda: " ready." in log.read_text(), f"the worker is ready; see {log}")
        assert "celery" in " ".join(psutil.Process(worker.pid).cmdline())
        worker.terminate()
        assert worker.wait(30) == 0


@pytest.mark.parametrize("name", ["web", "worker"])
def test_a_wrong_configuration_ends_it_with_2(name: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("ports: 3000\n")
    with running(name, {"PATH": "/usr/bin:/bin"}, tmp_path, "--config", "config.yaml") as process:
        assert process.wait(60) == 2
    assert "ports" in (tmp_path / "log").read_text()


def test_the_command_is_that_of_the_procfile() -> None:
    for name in ("web", "worker"):
        assert processes.command_of(name) == procfile()[name]


def test_an_installation_keeps_its_procfile_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "PLACES", (tmp_path / "none", tmp_path))
    with pytest.raises(processes.ProcfileNotFound, match=r"no Procfile at .*none/Procfile or "):
        processes.command_of("web")
    (tmp_path / "Procfile").write_text("webhook: false\nweb: serve $PORT\n")
    assert processes.command_of("web") == "serve $PORT"
    with pytest.raises(processes.ProcfileNotFound, match="no line `worker: <command>`"):
        processes.command_of("worker")


def answers(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/healthz", timeout=60).status_code == 200
    except requests.RequestException:
        return False
