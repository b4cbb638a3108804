"""The service as it runs in production: what the Procfile starts, a real Redis, a strict incident.io."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import redis
import requests
import yaml

from local.embedded import EmbeddedRedis, free_port
from local.processes import ROOT, Process, release, with_our_programs
from local.simulator import Simulator
from tests.fakes import API_KEY, GATEWAY_SECRET

# What fails waits for as long, what works does not: on a busy machine processes start slowly.
DEADLINE = 120.0
POLL = 0.02
# Of what takes long: each question costs time of the processor, which all that runs has to share.
SLOWEST_POLL = 0.1


def wait_until(condition: Callable[[], Any], what: str, within: float = DEADLINE) -> Any:
    """The first true value of `condition`; fails with `what` when there is none in time."""
    deadline = time.monotonic() + within
    pause = POLL
    while True:
        if value := condition():
            return value
        assert time.monotonic() < deadline, f"not within {within} s: {what}"
        time.sleep(pause)  # poll
        pause = min(SLOWEST_POLL, 1.1 * pause)


def answered_within(seconds: float, ask: Callable[[], requests.Response]) -> requests.Response:
    """The answer, which must come in time once of three times: a fault delays each, a busy machine one."""
    took = []
    for _ in range(3):
        began = time.monotonic()
        answer = ask()
        took.append(time.monotonic() - began)
        if took[-1] < seconds:
            return answer
    raise AssertionError(f"answered after {took} s")


def on_disk(client: redis.Redis) -> None:
    """Returns once everything written so far would survive a SIGKILL of the server.

    By rewriting its file, which every server can; `everysec` alone may lose a second.
    """
    client.bgrewriteaof()

    def is_written() -> bool:
        about: dict[str, int] = client.info("persistence")
        return not (about["aof_rewrite_in_progress"] or about["aof_rewrite_scheduled"])

    wait_until(is_written, "the file is rewritten")


class Stack:
    """Redis, incident.io, one web and so many workers, each a process of its own."""

    def __init__(
        self,
        folder: Path,
        *,
        workers: int = 1,
        config: Mapping[str, Any] | None = None,
        incident_io: Mapping[str, Any] | None = None,
        oncall: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._parts = ExitStack()
        self.redis = EmbeddedRedis(folder / "redis").start()
        self._parts.callback(self.redis.kill)
        self.simulator = self._parts.enter_context(Simulator({API_KEY: {"source-default", "source-infra"}}))
        self.base = f"http://127.0.0.1:{free_port()}"
        self.log = folder / "versus.log"
        path = folder / "config.yaml"
        path.write_text(yaml.safe_dump(self._config(config or {}, incident_io or {}, oncall or {})))
        self._environ = {
            "PATH": os.environ["PATH"],
            "PORT": self.base.rsplit(":", 1)[1],
            "VERSUS_CONFIG": str(path),
            "WEB_CONCURRENCY": "2",
            **(environ or {}),
        }
        self.web = self.start("web")
        self.workers = [self.start("worker") for _ in range(workers)]

    def _config(
        self, more: Mapping[str, Any], provider: Mapping[str, Any], about: Mapping[str, Any]
    ) -> dict[str, Any]:
        incident_io = {
            "api_key": API_KEY,
            "alert_source_config_id": "source-default",
            "other_alert_source_config_ids": {"infra": "source-infra"},
            "base_url": self.simulator.base_url,
            "max_per_minute": 0,
            "max_per_minute_per_key": 0,
            **provider,
        }
        oncall = {
            "enable": True,
            "wait_minutes": 3,
            "provider": "incident_io",
            **about,
            "incident_io": incident_io | dict(about.get("incident_io", {})),
        }
        return {
            "public_host": self.base,
            "gateway_secret": GATEWAY_SECRET,
            "oncall": oncall,
            "redis": {"host": "127.0.0.1", "port": self.redis.port},
            **more,
        }

    def release(self) -> int:
        """Run what a platform runs before the processes; returns its exit code."""
        with self.log.open("ab") as output:
            return release(self._environ, output)

    def start(self, name: str, **environ: str) -> Process:
        """Start one more process of this name, with these variables changed."""
        with self.log.open("ab") as output:
            process = Process(name, {**self._environ, **environ}, output)
        self._parts.callback(process.kill)
        return process

    def versus(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        """Start `versus` with these words, as anyone who runs this service does."""
        environ = with_our_programs({**self._environ, **variables})
        process = subprocess.Popen(
            ["versus", *words],
            cwd=ROOT,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._parts.callback(process.kill)
        return process

    def ready(self) -> Stack:
        """Returns once web, Redis and the workers are well."""
        wait_until(self.is_ready, f"the service is ready; see {self.log}")
        # A worker's sweeper runs before Celery has connected.
        wait_until(self._all_consume, f"every worker consumes; see {self.log}")
        return self

    def _all_consume(self) -> bool:
        return self.log.read_text().count(" ready.") >= len(self.workers)

    def is_ready(self) -> bool:
        """What /readyz says."""
        try:
            return requests.get(f"{self.base}/readyz", timeout=60).status_code == 200
        except requests.RequestException:
            return False

    def stop(self) -> None:
        """End everything."""
        self._parts.close()

    # -- what people and tools do --------------------------------------------------------------------

    def post(self, body: Any, **parameters: Any) -> requests.Response:
        """A webhook."""
        return requests.post(f"{self.base}/api/incidents", json=body, params=parameters, timeout=60)

    def report(self, wait_seconds: float, **more: Any) -> dict[str, Any]:
        """A new incident with this wait."""
        body = {"title": "Disk full", **more.pop("body", {})}
        answer = self.post(body, oncall_wait_minutes=f"{wait_seconds / 60:.6f}", **more)
        assert answer.status_code == 201, answer.text
        incident: dict[str, Any] = answer.json()["incident"]
        return incident

    def acknowledge(self, incident: Mapping[str, Any]) -> requests.Response:
        """Press the button behind the link."""
        return requests.post(incident["ack_url"], timeout=60)

    def act(self, incident: Mapping[str, Any], action: str) -> requests.Response:
        """`ack`, `resolve` or `escalate`, through the admin API."""
        return requests.post(f"{self._admin(incident)}/{action}", headers=self._secret, timeout=60)

    def show(self, incident: Mapping[str, Any]) -> dict[str, Any]:
        """The whole incident, through the admin API."""
        answer = requests.get(self._admin(incident), headers=self._secret, timeout=60)
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    def wait_for_state(
        self, incident: Mapping[str, Any], state: str, within: float = DEADLINE
    ) -> dict[str, Any]:
        """The incident, once it is in this state."""
        shown: dict[str, Any] = wait_until(
            lambda: (now := self.show(incident))["state"] == state and now,
            f"{state}; {self.show(incident)}",
            within,
        )
        return shown

    _secret = {"X-Gateway-Secret": GATEWAY_SECRET}  # noqa: RUF012

    def _admin(self, incident: Mapping[str, Any]) -> str:
        return f"{self.base}/api/incidents/{incident['id']}"
