"""Events, messages and destinations for the tests of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest
from pydantic import SecretStr

from app.ack_links import AckLinks
from app.destinations.apprise import AppriseChannel
from app.destinations.base import Message, PagerEvent
from app.destinations.incident_io.provider import IncidentIo
from app.domain.alert import Alert
from app.domain.delivery import Delivery, Outcome
from app.domain.incident import Incident
from app.domain.subscription import ChangeEvent
from app.ops import preview
from config import ChannelSettings, load_config
from local.simulator import Simulator
from tests.destinations.standin import StandIn
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


def an_event(alert_source: str = "default", **fields: Any) -> PagerEvent:
    """A firing event of that incident, for an alert source."""
    return PagerEvent("firing", an_incident(**fields), PAGE_URL, alert_source)


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


LINKS = AckLinks(b"key", "https://versus.example.com")
NASTY = "*_[x](http://evil.example) <script>alert(1)</script> {{ 7 * 7 }} @everyone <!channel> `a` | b"


PAGED = {PAGER: Delivery(accepted="firing", accepted_at=preview.NOON)}
LATE = {PAGER: Delivery(failures=7, late_at=preview.NOON, last_error="503")}
REFUSED = {PAGER: Delivery(failed=True, failed_at=preview.NOON, last_error="401")}


def a_message(event: ChangeEvent = "created", **about: Any) -> Message:
    """ChangeEvent of the sample incident, with these fields changed."""
    due = preview.NOON + timedelta(minutes=3)
    incident = Incident.opened("i-1", preview.SAMPLE, preview.NOON, due_at=due, pager=PAGER)
    incident = replace(incident, **about)
    link = LINKS.url(incident.id, preview.NOON) if incident.can_be_acknowledged else None
    return Message(event, incident, preview.NOON, link)


def a_channel(url: str, **about: Any) -> AppriseChannel:
    return AppriseChannel(replace(ChannelSettings("ops", SecretStr(url)), **about))


@pytest.fixture
def service() -> Iterator[StandIn]:
    """A service that takes everything."""
    with StandIn().serving() as stand_in:
        yield stand_in
