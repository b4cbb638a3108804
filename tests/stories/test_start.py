"""Starting: a wrong configuration ends with 2 and a sentence; `make run` brings its own Redis."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import redis
import requests

from local.embedded import EmbeddedRedis, free_port
from local.processes import ROOT, Process, procfile, release, with_our_programs
from local.simulator import Simulator
from tests.fakes import environment
from tests.relay import Relay
from tests.stories.stack import Stack, wait_until


def variables(redis_url: str) -> dict[str, str]:
    """An environment that is complete; nothing listens where incident.io should be."""
    base_url = f"http://127.0.0.1:{free_port()}"
    environ = environment(redis_url, INCIDENTIO_BASE_URL=base_url, PORT=str(free_port()))
    return {"PATH": os.environ["PATH"], **environ}


WRONG = "oncall:\n  enable: true\n  wait_minute: 3\n"


@pytest.mark.parametrize("name", sorted(procfile()))
def test_a_wrong_configuration_ends_every_process_with_2_and_a_sentence(name: str, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(WRONG)
    with (tmp_path / "output").open("wb") as output:
        process = Process(name, {"PATH": os.environ["PATH"], "VERSUS_CONFIG": str(config)}, output)
        assert process.wait(60) == 2
    said = (tmp_path / "output").read_text()
    assert "did you mean oncall.wait_minutes?" in said
    assert "INCIDENTIO_API_KEY" in said
    assert "Traceback" not in said


def test_a_wrong_configuration_ends_the_release_with_2_and_a_sentence(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(WRONG)
    with (tmp_path / "output").open("wb") as output:
        assert release({"PATH": os.environ["PATH"], "VERSUS_CONFIG": str(config)}, output) == 2
    assert "did you mean oncall.wait_minutes?" in (tmp_path / "output").read_text()


def test_a_right_configuration_is_released(stack: Stack) -> None:
    assert stack.release() == 0


@pytest.mark.parametrize("name", sorted(procfile()))
def test_a_certificate_that_is_not_accepted_ends_every_process_with_2(
    name: str, secure: Relay, tmp_path: Path
) -> None:
    with (tmp_path / "output").open("wb") as output:
        process = Process(name, variables(f"rediss://localhost:{secure.port}/0"), output)
        assert process.wait(60) == 2
    said = (tmp_path / "output").read_text()
    assert "REDIS_CA_CERT" in said
    assert "REDIS_INSECURE_SKIP_VERIFY" in said
    assert "Traceback" not in said


def test_a_refused_password_is_loud_and_tried_again(tmp_path: Path) -> None:
    redis_server = EmbeddedRedis(tmp_path / "redis").start()
    admin = redis.Redis.from_url(redis_server.url)
    admin.config_set("requirepass", "rotated")
    environ = variables(redis_server.url.replace("://", "://:planted-pw@"))
    processes = []

    def readyz() -> requests.Response | None:
        try:
            return requests.get(f"http://127.0.0.1:{environ['PORT']}/readyz", timeout=60)
        except requests.RequestException:
            return None

    def refused() -> bool:
        answer = readyz()
        return answer is not None and "refuses the user name or the password" in answer.text

    def well() -> bool:
        answer = readyz()
        return answer is not None and answer.ok

    def said(name: str, words: str) -> None:
        wait_until(lambda: words in (tmp_path / name).read_text(), f"{name} logs it")

    try:
        for name in procfile():
            with (tmp_path / name).open("wb") as output:
                processes.append(Process(name, environ, output))
        wait_until(refused, "/readyz says so")
        said("web", "event=redis_refuses")
        said("worker", "invalid username-password pair")
        admin.config_set("requirepass", "planted-pw")
        wait_until(well, "web and worker are well, without a restart")
    finally:
        for process in processes:
            process.kill()
        redis_server.kill()
    assert "planted-pw" not in "".join((tmp_path / name).read_text() for name in procfile())


def kill_workers(runner: int) -> None:
    """SIGKILL for the Celery processes that this `make run` started."""
    workers = [p for p in psutil.Process(runner).children(recursive=True) if p.name() == "celery"]
    assert workers
    for worker in workers:
        worker.kill()


def test_make_run_brings_its_own_redis_and_starts_a_dead_worker_again(tmp_path: Path) -> None:
    port = str(free_port())
    base = f"http://127.0.0.1:{port}"
    with Simulator({"key": {"source"}}) as simulator:
        environ = with_our_programs(
            {
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "PORT": port,
                "VERSUS_CONFIG": str(ROOT / "config" / "config.yaml"),
                "INCIDENTIO_API_KEY": "key",
                "INCIDENTIO_ALERT_SOURCE_CONFIG_ID": "source",
                "INCIDENTIO_BASE_URL": simulator.base_url,
            }
        )

        def run() -> subprocess.Popen[bytes]:
            with (tmp_path / "output").open("ab") as output:
                command = [sys.executable, "-m", "local.run"]
                return subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=output, stderr=output)

        def ready() -> bool:
            try:
                return requests.get(f"{base}/readyz", timeout=60).ok
            except requests.RequestException:
                return False

        def page_for(title: str) -> None:
            answer = requests.post(
                f"{base}/api/incidents",
                json={"title": title},
                params={"oncall_wait_minutes": "0"},
                timeout=60,
            )
            incident_id = answer.json()["incident"]["id"]
            wait_until(lambda: simulator.events(incident_id), f"the page for {title}")

        for title in ("first run", "second run"):
            running = run()
            try:
                wait_until(ready, f"ready: {tmp_path / 'output'}")
                page_for(title)
                kill_workers(running.pid)
                page_for(f"{title}, after its worker was killed")
            finally:
                running.send_signal(signal.SIGINT)
                assert running.wait(60) is not None
        assert (tmp_path / "data").is_dir()
