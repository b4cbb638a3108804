"""A whole service on a port, as a sender meets it."""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import requests
from werkzeug.serving import make_server

from app import bootstrap, telemetry
from app.delivery.pages import deliver
from app.web import create_app
from config import load_config
from local.embedded import EmbeddedRedis
from local.simulator import Simulator
from tests.fakes import API_KEY, GATEWAY_SECRET, environment
from tests.ingest.webhooks.samples import SAMPLES, content
from tests.search import kept_in

ADMIN = {"X-Gateway-Secret": GATEWAY_SECRET}
HERE = ("127.0.0.1", "localhost")

Answer = dict[str, Any]

# What this process connected to or looked up while a service ran; an audit hook can never be taken off.
_reached: list[str] | None = None


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if _reached is None or event not in ("socket.connect", "socket.getaddrinfo"):
        return
    address = arguments[1] if event == "socket.connect" else arguments
    _reached.append(str(address[0]))


sys.addaudithook(_hear)


class Service:
    """Web over TCP, a real Redis, a strict incident.io, and all that they say and keep."""

    def __init__(self, server: EmbeddedRedis, simulator: Simulator) -> None:
        self.redis = redis.Redis.from_url(server.url)
        self.simulator = simulator
        config = load_config(environ=environment(server.url, INCIDENTIO_BASE_URL=simulator.base_url))
        self.services = bootstrap.build_services(config)
        self.log = io.StringIO()
        telemetry.configure(config.secrets(), self.log)
        self.web = make_server("127.0.0.1", 0, create_app(self.services), threaded=True)
        self.base = f"http://127.0.0.1:{self.web.server_port}"
        self._answers: list[str] = []

    def fresh(self) -> None:
        """As if it had only just been set up."""
        self.redis.flushall()
        self.simulator.reset()
        self.log.seek(0)
        self.log.truncate()
        self._answers.clear()

    def send(self, name: str, *, cut: int = 0, **query: str) -> requests.Response:
        """Post a sample, or all of it but its last few bytes."""
        sample = SAMPLES[name]
        body = content(name)
        return self._keep(
            requests.request(
                sample["method"],
                f"{self.base}/api/incidents",
                data=body[: len(body) - cut],
                headers=sample["headers"],
                params={**sample["query"], **query},
                timeout=15,
            )
        )

    def post(self, body: Answer, **query: str) -> requests.Response:
        """Post a body of one's own."""
        address = f"{self.base}/api/incidents"
        return self._keep(requests.post(address, json=body, params=query, timeout=15))

    def ask(self, path: str) -> Answer:
        """What the admin API says."""
        answer = self._keep(requests.get(f"{self.base}{path}", headers=ADMIN, timeout=15))
        assert answer.status_code == 200, answer.text
        found: Answer = answer.json()
        return found

    def show(self, incident: Answer) -> Answer:
        """The whole incident."""
        return self.ask(f"/api/incidents/{incident['id']}")

    def page(self, incident: Answer) -> None:
        """Do what a worker does when the incident is due."""
        deliver(self.services, incident["id"])
        assert self.simulator.events(incident["id"])

    def traces(self) -> str:
        """Every answer, log line, value in Redis and event at incident.io."""
        sent = [repr(request) for request in self.simulator.requests]
        return "\n".join([*self._answers, self.log.getvalue(), kept_in(self.redis), *sent])

    def reached(self) -> set[str]:
        """The hosts beyond this one that were looked up or connected to."""
        return set(_reached or ()) - set(HERE)

    def _keep(self, answer: requests.Response) -> requests.Response:
        self._answers.append(f"{answer.headers}\n{answer.text}")
        return answer


@pytest.fixture(scope="module")
def running(server: EmbeddedRedis) -> Iterator[Service]:
    """One service for all samples."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with Simulator({API_KEY: {"source-default", "source-infra"}}) as simulator:
        service = Service(server, simulator)
        threading.Thread(target=service.web.serve_forever, daemon=True).start()
        yield service
        service.web.shutdown()
        service.web.server_close()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def service(running: Service) -> Iterator[Service]:
    """The service with nothing in it."""
    global _reached
    running.fresh()
    _reached = []
    yield running
    _reached = None
