"""The stand-in for incident.io, in a process of its own: it must not share an interpreter with the client."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import requests

from benchmarks.client import Client
from benchmarks.report import Row, at_least
from local.embedded import free_port
from local.incident_io_rules import Request
from local.processes import ROOT

KEY = "benchmark-api-key"
SOURCE = "benchmark-source"
OTHER_SOURCE = "benchmark-other-source"

POLL = 0.05
CONNECTIONS = 8
ALONE = 3_000


class StandIn:
    """`python -m local.simulator`, from `with` to its end."""

    def __init__(self) -> None:
        port = free_port()
        self.base_url = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, "-m", "local.simulator", "--port", str(port), "--key", KEY]
        self._command += ["--source", SOURCE, "--source", OTHER_SOURCE]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, cwd=ROOT, stdout=subprocess.DEVNULL, process_group=0)
        deadline = time.monotonic() + 10
        while not self._answers():
            if time.monotonic() > deadline:
                self._process.kill()
                raise RuntimeError("the stand-in for incident.io did not start")
            time.sleep(POLL)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    def limit(self, **limits: int) -> None:
        """Answer 429 to what goes beyond this (see `Simulator`)."""
        self._control("POST", "limit", limits)

    def reset(self) -> None:
        """Forget what came."""
        self._control("POST", "reset")

    def incidents(self, source: str = SOURCE) -> int:
        """How many different incidents have paged through this alert source."""
        counts: dict[str, int] = self._control("GET", "counts")
        return counts.get(source, 0)

    def requests(self) -> list[Request]:
        """Everything that came, in order."""
        return [Request(**one) for one in self._control("GET", "requests")]

    def wait_for(self, incidents: int, within: float, source: str = SOURCE) -> None:
        """Returns once so many incidents have paged through this alert source.

        Raises `RuntimeError` when they do not in time.
        """
        deadline = time.monotonic() + within
        while (arrived := self.incidents(source)) < incidents:
            if time.monotonic() > deadline:
                raise RuntimeError(f"only {arrived} of {incidents} pages arrived within {within:g} s")
            time.sleep(POLL)

    def _control(self, method: str, what: str, told: dict[str, Any] | None = None) -> Any:
        answer = requests.request(method, f"{self.base_url}/_sim/{what}", json=told or {}, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def _answers(self) -> bool:
        try:
            return self.incidents() == 0
        except requests.ConnectionError:
            return False


def stand_in_alone() -> Iterable[Row]:
    """It must be much faster than what it measures."""
    with StandIn() as stand_in:
        client = Client(int(stand_in.base_url.rsplit(":", 1)[1]), {"Authorization": f"Bearer {KEY}"})
        bodies = [_event() for _ in range(ALONE)]
        began = time.monotonic()
        with ThreadPoolExecutor(CONNECTIONS) as senders:
            list(senders.map(lambda body: client.post(f"/v2/alert_events/http/{SOURCE}", body), bodies))
        rate = ALONE / (time.monotonic() - began)
    yield at_least(f"the stand-in for incident.io alone, {CONNECTIONS} connections", rate, 1_500, "a second")


def _event() -> bytes:
    key = str(uuid.uuid4())
    event = {
        "title": f"Incident {key}",
        "deduplication_key": key,
        "status": "firing",
        "description": "**Disk full**\n\n- Source: generic\n- Since: 2026-03-04 03:00:00 UTC",
        "metadata": {"incident_id": key, "alert_title": "Disk full", "source": "generic", "occurrences": 1},
    }
    return json.dumps(event).encode()
