"""What the provider's tests share: a simulator, a provider that talks to it, and an incident."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest

from app.alert import Alert
from app.delivery import Outcome
from app.incident import Incident
from app.providers import Event
from app.providers.incident_io import IncidentIo
from config import load_config
from local.simulator import Simulator
from tests.fakes import PAGER

KEY = "planted-key-4711"
OTHER_KEY = "planted-key-0815"
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PAGE_URL = "https://versus.example.com/api/ack/id-1?exp=1&sig=x"

YAML = """
oncall:
  enable: true
  incident_io:
    api_key: ${KEY}
    alert_source_config_id: main
    other_alert_source_config_ids:
      infra: infra-id
      db: {id: db-id, api_key: "${OTHER_KEY}"}
    title: ${TITLE}
    max_per_minute: ${PER_MINUTE:-120}
    max_per_minute_per_key: ${PER_KEY:-1200}
    heartbeat_config_id: ${HEARTBEAT:-}
"""


def an_incident(**fields: Any) -> Incident:
    """A small incident that is due."""
    alert = Alert(title="Disk almost full", source="alertmanager")
    incident = Incident.opened("id-1", alert, NOON, due_at=NOON, pager=PAGER)
    return replace(incident, **fields)


def an_event(alert_source: str = "default", **fields: Any) -> Event:
    """A firing event of that incident, for an alert source."""
    return Event("firing", an_incident(**fields), PAGE_URL, alert_source)


def soon(seconds: float = 5.0) -> float:
    """A deadline."""
    return time.monotonic() + seconds


class MakeProvider(Protocol):
    def __call__(self, base_url: str = ..., **variables: str) -> IncidentIo: ...


@pytest.fixture
def make_provider(tmp_path: Path) -> MakeProvider:
    """Makes a provider from a configuration file and variables, as a process does."""

    def make(base_url: str = "https://api.incident.io", **variables: str) -> IncidentIo:
        path = tmp_path / "config.yaml"
        path.write_text(YAML)
        environ = {
            "KEY": KEY,
            "OTHER_KEY": OTHER_KEY,
            "INCIDENTIO_BASE_URL": base_url,
            **variables,
        }
        return IncidentIo(load_config(path, environ))

    return make


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of the machine that runs the tests stands before a server of theirs."""
    for variable in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """incident.io with the alert sources of the configuration above."""
    with Simulator(keys={KEY: {"main", "infra-id"}, OTHER_KEY: {"db-id"}}) as simulator:
        yield simulator


@pytest.fixture
def provider(simulator: Simulator, make_provider: MakeProvider) -> IncidentIo:
    """A provider that talks to the simulator."""
    return make_provider(simulator.base_url)


@pytest.fixture
def send(provider: IncidentIo) -> Callable[..., Outcome]:
    """Sends an event to an alert source, of an incident with these fields, with plenty of time."""
    return lambda **fields: provider.send(an_event(**fields), deadline=soon())
