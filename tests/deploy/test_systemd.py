"""The systemd units: a real systemd, in a namespace of its own, starts web and worker by them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest
import requests
import yaml

from local.embedded import EmbeddedRedis, free_port
from local.processes import ROOT
from local.simulator import Simulator
from tests.fakes import API_KEY
from tests.stories.stack import wait_until

UNITS = ROOT / "deploy" / "systemd"
SERVICES = ("versus-web.service", "versus-worker.service")
SYSTEMD = Path("/lib/systemd/systemd")
TOOLS = ("systemd-analyze", "unshare", "nsenter")
WITHIN = 120.0
"""Seconds: programs that nobody has compiled start slowly, in a read-only file system, on a busy machine."""
LARGEST_EXPOSURE = 20
"""As `systemd-analyze security` counts, of 100."""

pytestmark = pytest.mark.skipif(
    (not all(map(shutil.which, TOOLS)) or not SYSTEMD.exists() or os.geteuid() != 0)
    and not os.environ.get("VERSUS_REQUIRE_ALL_TESTS"),
    reason="only root can start a systemd, and it has to be installed",
)

alone = pytest.mark.skipif(
    Path("/run/systemd/system").exists(),
    reason="this machine has a systemd, whose control groups are its own",
)

# In a namespace of its own: neither its mounts nor its processes outlive it. It knows no unit but ours.
BOOT = """
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system
exec env --ignore-environment PATH="$PATH" container=test SYSTEMD_UNIT_PATH={units} \\
    {systemd} --system --unit=versus.target --show-status=no --log-target=console
"""


def folder_of_units(folder: Path) -> Path:
    """The units, for what is installed here and a configuration that is in this folder."""
    units = folder / "units"
    shutil.copytree(UNITS, units)
    for file in units.rglob("*.*"):
        if file.is_file():
            text = file.read_text().replace("/opt/versus-incident/bin", str(Path(sys.executable).parent))
            text = text.replace("/etc/versus-incident", str(folder)).replace("=versus\n", "=root\n")
            file.write_text(text)
    return units


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that is not below /tmp, of which units have one of their own."""
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as path:
        yield Path(path)


@pytest.fixture(autouse=True, scope="module")
def _build() -> None:
    (ROOT / "build").mkdir(exist_ok=True)


def configure(folder: Path, **more: object) -> int:
    """Write .env and config.yaml; returns the port of web."""
    port = free_port()
    config = folder / "config.yaml"
    variables = f"VERSUS_CONFIG={config}\nPORT={port}\nWEB_CONCURRENCY=1\nINCIDENTIO_API_KEY={API_KEY}\n"
    (folder / ".env").write_text(variables)
    incident_io = {"api_key": "${INCIDENTIO_API_KEY}", "alert_source_config_id": "source-default", **more}
    written = {"host": "127.0.0.1", "oncall": {"enable": True, "incident_io": incident_io}}
    config.write_text(yaml.safe_dump(written))
    return port


class Systemd:
    """A systemd that has started our units."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        units = folder_of_units(folder)
        for name in ("sysinit", "basic", "shutdown", "multi-user"):
            (units / f"{name}.target").write_text("[Unit]\nDefaultDependencies=no\n")
        (units / "versus.target").write_text(f"[Unit]\nWants={' '.join(SERVICES)}\n")
        # Where tests run, and their Python, may be in what the units may not see.
        seen = f"ProtectHome=tmpfs\nBindReadOnlyPaths={ROOT} {sys.base_prefix} {folder}\n"
        output = f"StandardOutput=append:{self.log}\nStandardError=inherit\n"
        (units / "versus-.service.d" / "test.conf").write_text(f"[Service]\n{seen}{output}")
        script = BOOT.format(units=units, systemd=SYSTEMD)
        namespaces = ["--mount", "--pid", "--cgroup", "--ipc", "--fork", "--kill-child", "--mount-proc"]
        with (folder / "systemd.log").open("wb") as log:
            self._outside = subprocess.Popen(
                ["unshare", *namespaces, "sh", "-ec", script],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def show(self, service: str, what: str) -> str:
        """A property of a unit; nothing while systemd does not answer."""
        first = psutil.Process(self._outside.pid).children()
        if not first:
            return ""
        enter = ["nsenter", f"--target={first[0].pid}", "--mount", "--pid", "--ipc"]
        asked = subprocess.run(
            [*enter, "systemctl", "show", "--value", "--property", what, service],
            capture_output=True,
            text=True,
            timeout=60,
        )
        return asked.stdout.strip()

    def wait_for(self, service: str, what: str, value: str) -> None:
        """Returns once a property of a unit is this."""
        wait_until(
            lambda: self.show(service, what) == value, f"{service} has {what} {value}; see {self.log}", WITHIN
        )

    def main_process(self, service: str) -> psutil.Process:
        """The unit's main process, as it is seen from here."""
        inside = int(self.show(service, "MainPID"))
        [first] = psutil.Process(self._outside.pid).children()
        for one in first.children(recursive=True):
            seen_as = re.search(r"^NSpid:.*\s(\d+)$", Path(f"/proc/{one.pid}/status").read_text(), re.M)
            if seen_as and int(seen_as[1]) == inside:
                return one
        raise AssertionError(f"{service} has no process {inside}")

    def stop(self) -> None:
        self._outside.kill()
        self._outside.wait()


@contextmanager
def systemd(folder: Path) -> Iterator[Systemd]:
    running = Systemd(folder)
    try:
        yield running
    finally:
        running.stop()


def is_ready(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/readyz", timeout=60).status_code == 200
    except requests.RequestException:
        return False


def test_systemd_understands_the_units(folder: Path) -> None:
    units = folder_of_units(folder)
    environ = {**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:"}
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(units / name for name in SERVICES)],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    ours = [line for line in verified.stderr.splitlines() if str(units) in line or "versus" in line]
    assert (verified.returncode, ours) == (0, [])


@pytest.mark.parametrize("service", SERVICES)
def test_a_unit_can_do_little_harm(service: str, folder: Path) -> None:
    units = folder_of_units(folder)
    for file in (units / "versus-.service.d").iterdir():
        file.write_text(file.read_text().replace("=root\n", "=versus\n"))
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", f"--threshold={LARGEST_EXPOSURE}", units / service],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert judged.returncode == 0, judged.stdout


@alone
def test_web_and_worker_page_and_are_started_again_when_they_die(folder: Path) -> None:
    with ExitStack() as parts:
        redis = EmbeddedRedis(folder / "redis").start()
        parts.callback(redis.kill)
        simulator = parts.enter_context(Simulator({API_KEY: {"source-default"}}))
        port = configure(folder, base_url=simulator.base_url)
        with (folder / ".env").open("a") as env:
            env.write(f"REDIS_URL={redis.url}\n")
        running = parts.enter_context(systemd(folder))
        wait_until(lambda: is_ready(port), f"web and worker are ready; see {running.log}", WITHIN)
        for service in SERVICES:
            running.main_process(service).kill()
            running.wait_for(service, "NRestarts", "1")
        wait_until(lambda: is_ready(port), f"they are ready again; see {running.log}", WITHIN)
        answer = requests.post(
            f"http://127.0.0.1:{port}/api/incidents?oncall_wait_minutes=0.01",
            json={"title": "Full"},
            timeout=60,
        )
        incident = answer.json()["incident"]["id"]
        assert simulator.wait_for(lambda: simulator.events(incident), 60), running.log.read_text()
        status = Path(f"/proc/{running.main_process(SERVICES[0]).pid}/status").read_text()
        assert re.search(r"^CapEff:\s0+$", status, re.M)
        assert re.search(r"^NoNewPrivs:\s1$", status, re.M)


@alone
def test_a_wrong_configuration_is_in_the_log_and_is_not_tried_again(folder: Path) -> None:
    configure(folder, timeout="long")
    with systemd(folder) as running:
        for service in SERVICES:
            running.wait_for(service, "ActiveState", "failed")
            assert running.show(service, "ExecMainStatus") == "2"
            assert running.show(service, "NRestarts") == "0"
        assert "oncall.incident_io.timeout" in running.log.read_text()
