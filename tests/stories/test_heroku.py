"""A deployment as on Heroku: a clone, its requirements.txt, the Procfile's lines, variables alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
import redis
import requests
from honcho.environ import parse_procfile

from local.embedded import EmbeddedRedis, free_port
from local.simulator import Simulator
from tests.clone import clone
from tests.relay import Relay
from tests.stories.stack import wait_until
from tests.tls import self_signed

MEMORY = 512 * 1024 * 1024
GATEWAY_SECRET = "heroku-gateway-secret-7d21"
INTAKE_SECRET = "heroku-intake-secret-1f03"
PASSWORD = "heroku-redis-pw-90aa"


def python_for(folder: Path) -> str:
    """The Python that `.python-version` names, if this machine has it; else the one that runs the tests."""
    version = (folder / ".python-version").read_text().strip()
    ask = "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)"
    for name in (f"python{version}", "python3"):
        try:
            said = subprocess.run([name, "-c", ask], cwd=folder, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        found, executable = said.stdout.split()
        if found == version:
            return executable
    return sys.executable


class Dyno:
    """One process of the Procfile, as the platform starts it."""

    def __init__(self, command: str, folder: Path, environ: dict[str, str], log: Path) -> None:
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                ["/bin/bash", "-c", command],
                cwd=folder,
                env=environ,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                process_group=0,
            )

    def memory(self) -> int:
        """Resident memory of it and its children, bytes."""
        parent = psutil.Process(self.process.pid)
        return sum(one.memory_info().rss for one in (parent, *parent.children(recursive=True)))

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Deployment:
    """The app on its platform, with a Redis whose certificate nobody signed but itself."""

    def __init__(self, folder: Path, parts: ExitStack) -> None:
        self.app = clone(folder / "app")
        self.log = folder / "app.log"
        self.python = folder / "python"
        self._install(self.python)
        server = EmbeddedRedis(folder / "redis").start()
        parts.callback(server.kill)
        redis.Redis.from_url(server.url).config_set("requirepass", PASSWORD)
        secure = Relay(server.port, self_signed(folder))
        parts.callback(secure.stop)
        self.simulator = parts.enter_context(Simulator({"key": {"source"}}))
        port = free_port()
        self.base = f"http://127.0.0.1:{port}"
        self.environ = {
            "PATH": f"{folder / 'python' / 'bin'}:/usr/bin:/bin",
            "HOME": str(self.app),
            "PORT": str(port),
            "WEB_CONCURRENCY": "2",
            "REDIS_URL": f"rediss://:{PASSWORD}@127.0.0.1:{secure.port}",
            "REDIS_INSECURE_SKIP_VERIFY": "true",
            "INCIDENTIO_API_KEY": "key",
            "INCIDENTIO_ALERT_SOURCE_CONFIG_ID": "source",
            "INCIDENTIO_BASE_URL": self.simulator.base_url,
            "GATEWAY_SECRET": GATEWAY_SECRET,
            "INTAKE_SECRET": INTAKE_SECRET,
            "PUBLIC_HOST": self.base,
            # The buildpack sets these.
            "FORWARDED_ALLOW_IPS": "*",
            "GUNICORN_CMD_ARGS": "--access-logfile -",
            "PYTHONUNBUFFERED": "1",
        }
        self.commands: dict[str, str] = dict(parse_procfile((self.app / "Procfile").read_text()).processes)
        self.dynos: dict[str, Dyno] = {}
        self._parts = parts

    def _install(self, folder: Path) -> None:
        subprocess.run([python_for(self.app), "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run(
            [*pip, "-r", "requirements.txt"], cwd=self.app, capture_output=True, text=True, timeout=600
        )
        if "NewConnectionError" in done.stderr and not os.environ.get("VERSUS_REQUIRE_ALL_TESTS"):
            pytest.skip("no package registry can be reached")
        assert done.returncode == 0, done.stderr

    def release(self) -> subprocess.CompletedProcess[str]:
        """What the platform runs before the processes."""
        command = ["/bin/bash", "-c", self.commands["release"]]
        return subprocess.run(
            command, cwd=self.app, env=self.environ, capture_output=True, text=True, timeout=60
        )

    def start(self, name: str) -> None:
        self.dynos[name] = Dyno(self.commands[name], self.app, self.environ, self.log)
        self._parts.callback(self.dynos[name].kill)

    def ready(self) -> bool:
        try:
            return requests.get(f"{self.base}/readyz", timeout=60).ok
        except requests.RequestException:
            return False

    def report(self, title: str, seconds: float) -> dict[str, str]:
        answer = requests.post(
            f"{self.base}/api/incidents",
            params={"oncall_wait_minutes": f"{seconds / 60}", "token": INTAKE_SECRET},
            json={"title": title},
            timeout=60,
        )
        assert answer.status_code == 201, answer.text
        incident: dict[str, str] = answer.json()["incident"]
        return incident

    def state(self, incident: dict[str, str]) -> str:
        headers = {"X-Gateway-Secret": GATEWAY_SECRET}
        answer = requests.get(f"{self.base}/api/incidents/{incident['id']}", headers=headers, timeout=60)
        return str(answer.json()["state"])


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with ExitStack() as parts:
        yield Deployment(tmp_path_factory.mktemp("heroku"), parts)


def test_what_was_deployed_pages_and_keeps_silent_as_it_must(deployment: Deployment) -> None:
    released = deployment.release()
    assert released.returncode == 0, released.stderr
    assert PASSWORD not in released.stdout + released.stderr
    for name in ("web", "worker"):
        deployment.start(name)
    wait_until(deployment.ready, f"the app is ready; see {deployment.log}", within=60)

    acknowledged, paged = deployment.report("acknowledged", 3), deployment.report("paged", 3)
    assert requests.post(acknowledged["ack_url"], timeout=60).ok
    events = deployment.simulator.events
    wait_until(lambda: events(paged["id"]), "the page arrives")
    wait_until(lambda: deployment.state(paged) == "escalated", "it is recorded")
    # Its time is over too, as both were reported one after the other.
    late = deployment.report("late", 0)
    wait_until(lambda: events(late["id"]), "a later page arrives")
    assert not events(acknowledged["id"])
    assert deployment.state(acknowledged) == "acknowledged"

    used = {name: dyno.memory() for name, dyno in deployment.dynos.items()}
    assert sum(used.values()) < MEMORY, used


def test_its_log_holds_no_secret(deployment: Deployment) -> None:
    # The buildpack asks gunicorn for a log of every request, whose line has the whole query.
    log = deployment.log.read_text()
    assert "Listening at" in log
    assert "/api/incidents" not in log
    for secret in (PASSWORD, INTAKE_SECRET, GATEWAY_SECRET):
        assert secret not in log


def test_the_package_is_complete_without_the_folder_that_it_was_installed_from(
    deployment: Deployment, tmp_path: Path
) -> None:
    done = subprocess.run(
        ["versus", "check-config", "--online"],
        cwd=tmp_path,
        env=deployment.environ,
        executable=f"{deployment.python}/bin/versus",
        capture_output=True,
        text=True,
        timeout=60,
    )
    errors = [line for line in done.stdout.splitlines() if line.startswith("error")]
    assert (done.returncode, errors) == (0, []), done.stdout + done.stderr
    assert "redis: answers" in done.stdout


def test_without_the_word_that_any_certificate_will_do_no_process_starts(deployment: Deployment) -> None:
    environ = {**deployment.environ, "REDIS_INSECURE_SKIP_VERIFY": "", "PORT": str(free_port())}
    for name in ("web", "worker"):
        dyno = Dyno(
            deployment.commands[name], deployment.app, environ, deployment.log.with_suffix(f".{name}")
        )
        try:
            assert dyno.process.wait(60) == 2
        finally:
            if dyno.process.poll() is None:
                dyno.kill()
        assert "REDIS_INSECURE_SKIP_VERIFY" in deployment.log.with_suffix(f".{name}").read_text()


def test_a_release_without_credentials_fails_and_names_them(deployment: Deployment) -> None:
    deployment.environ.pop("INCIDENTIO_API_KEY")
    released = deployment.release()
    assert released.returncode == 2
    assert "INCIDENTIO_API_KEY" in released.stderr
