"""The service to be measured: a real Redis, what the Procfile starts, and a stand-in for incident.io."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import psutil
import requests
import yaml

from benchmarks.client import Client
from benchmarks.redis_side import RedisSide
from benchmarks.stand_in import KEY, OTHER_SOURCE, SOURCE, StandIn
from local.embedded import EmbeddedRedis, free_port
from local.processes import ROOT, Process, with_our_programs

BARE = ["gunicorn", "-c", "python:app.web.gunicorn_conf", "benchmarks.bare:create_app()"]

SECRET = "benchmark-gateway-secret"

STARTED_WITHIN = 30.0
POLL = 0.02
IDLE_SECONDS = 5.0
MIB = 2**20
# Of the processes' log, when a measurement breaks off.
SHOWN_LINES = 30


def wait_until(condition: Callable[[], object], what: str, within: float = STARTED_WITHIN) -> None:
    """Returns once the condition holds. Raises `RuntimeError` with `what` when it does not in time."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {within:g} s: {what}")
        time.sleep(POLL)


def memory(process: Process) -> tuple[float, float]:
    """RSS and PSS of a process with its children, MiB, after it was idle for a while."""
    time.sleep(IDLE_SECONDS)
    parent = psutil.Process(process.pid)
    infos = [one.memory_full_info() for one in (parent, *parent.children(recursive=True))]
    return sum(info.rss for info in infos) / MIB, sum(info.pss for info in infos) / MIB


class Service:
    """One web process with its children, and workers as they are asked for; all on 127.0.0.1.

    `max_per_minute`: of the configuration, 0 for no limit. `channels`: URLs of channels that are notified.
    `keep_days`: for which resolved incidents are kept.
    """

    def __init__(
        self, max_per_minute: int = 0, channels: Sequence[str] = (), *, keep_days: float = 30
    ) -> None:
        self._max_per_minute = max_per_minute
        self._channels = channels
        self._keep_days = keep_days
        self.workers: list[Process] = []

    def __enter__(self) -> Self:
        with ExitStack() as parts:
            self._parts = parts
            self._start_all(Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="versus-bench-"))))
            # All is well so far: leave it running.
            self._parts = parts.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            print(
                "".join(self._log_path.read_text().splitlines(keepends=True)[-SHOWN_LINES:]), file=sys.stderr
            )
        self._parts.close()

    def _start_all(self, folder: Path) -> None:
        self._log_path = folder / "versus.log"
        self._log = self._parts.enter_context(self._log_path.open("ab"))
        self._redis = EmbeddedRedis(folder / "redis").start()
        self._parts.callback(self._redis.kill)
        self.redis = RedisSide(self._redis.port)
        self.stand_in = self._parts.enter_context(StandIn())
        port = free_port()
        (folder / "config.yaml").write_text(yaml.safe_dump(self._config(port)))
        self._environ = {"PATH": os.environ["PATH"], "VERSUS_CONFIG": str(folder / "config.yaml")}
        self.web = self._start("web", {**self._environ, "PORT": str(port)})
        self._wait_for(port)
        self.client = Client(port)

    @property
    def redis_url(self) -> str:
        """Where the server answers."""
        return self._redis.url

    @property
    def redis_pid(self) -> int:
        """The process of the server."""
        if self._redis.process is None:
            raise RuntimeError("the server does not run")
        return self._redis.process.pid

    def start_worker(self) -> Process:
        """A new worker; returns at once."""
        self.workers.append(self._start("worker", self._environ))
        return self.workers[-1]

    def start_bare(self) -> Client:
        """A client for the bare Flask route, under the same gunicorn settings."""
        port = free_port()
        environ = with_our_programs({**self._environ, "PORT": str(port)})
        process = subprocess.Popen(
            BARE, cwd=ROOT, env=environ, stdout=self._log, stderr=self._log, process_group=0
        )
        self._parts.callback(process.wait)
        self._parts.callback(process.terminate)
        self._wait_for(port)
        return Client(port)

    def ready(self) -> None:
        """Returns once web, Redis and a worker are well."""
        wait_until(lambda: self._says("readyz", self.client.port), "a worker lives")

    def _start(self, name: str, environ: Mapping[str, str]) -> Process:
        process = Process(name, environ, self._log)
        self._parts.callback(process.stop)
        return process

    def _wait_for(self, port: int) -> None:
        wait_until(lambda: self._says("healthz", port), f"port {port} answers")

    @staticmethod
    def _says(path: str, port: int) -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{port}/{path}", timeout=5).ok
        except requests.ConnectionError:
            return False

    def _config(self, port: int) -> dict[str, Any]:
        incident_io = {
            "api_key": KEY,
            "alert_source_config_id": SOURCE,
            "other_alert_source_config_ids": {"other": OTHER_SOURCE},
            "base_url": self.stand_in.base_url,
            "max_per_minute": self._max_per_minute,
            "max_per_minute_per_key": 0,
        }
        oncall = {"enable": True, "wait_minutes": 3, "provider": "incident_io", "incident_io": incident_io}
        return {
            "host": "127.0.0.1",
            "public_host": f"http://127.0.0.1:{port}",
            "gateway_secret": SECRET,
            "oncall": oncall,
            "alert": {"channels": [{"name": f"c{n}", "url": url} for n, url in enumerate(self._channels)]},
            "redis": {"host": "127.0.0.1", "port": self._redis.port},
            "retention": {"days": self._keep_days},
        }
