"""Channels that record, and what the tests of notifications do with them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pydantic import SecretStr

from app import actions, serializers
from app.bootstrap import Services
from app.delivery.notifications import notify
from app.delivery.pages import deliver
from app.destinations.channels import Channels
from app.domain.alert import Alert, Severity
from app.domain.delivery import Destination, Outcome
from app.domain.incident import Incident
from app.ingest.service import Options, ReceivedAlert, receive
from app.store import UnitOfWork
from config import ChannelSettings
from tests.fakes import Clock, RecordingChannel

OPS = Destination("ops")
MAIL = Destination("mail")
REFUSED = Outcome("try_again", "connection refused")
WRONG_KEY = Outcome("misconfigured", "401", "unauthorized")


def settings(name: str, **about: Any) -> ChannelSettings:
    return dataclasses.replace(ChannelSettings(name, SecretStr("json://localhost")), **about)


def with_two_channels(services: Services, ops: RecordingChannel, mail: RecordingChannel) -> Services:
    """Of which only `ops` is notified unless the other is asked for."""
    channels = Channels([settings("ops"), settings("mail", default=False)], {"ops": ops, "mail": mail})
    return dataclasses.replace(services, channels=channels)


def create_many(
    services: Services,
    count: int,
    identity: str | None = None,
    severity: Severity | None = None,
    channels: Sequence[str] | None = None,
) -> list[Incident]:
    """So many incidents of one request, due in three minutes."""
    # A moment apart from others, so that the order is known.
    if isinstance(services.clock, Clock):
        services.clock.wind(milliseconds=1)
    alert = Alert(title="Disk full", source="generic", identity=identity, severity=severity)
    asked = None if channels is None else tuple(map(Destination, channels))
    received = receive(services, [ReceivedAlert(alert, "{}")] * count, Options(channels=asked))
    incidents = [one.incident for one in received if one.incident is not None]
    assert len(incidents) == count
    return incidents


def create(services: Services, *args: Any, **options: Any) -> Incident:
    [incident] = create_many(services, 1, *args, **options)
    return incident


def due(services: Services) -> list[tuple[Destination, str]]:
    """What would be handed out now, channel and incident; it is not handed out again for a while."""
    queues = services.store.notifications
    return [(one, i) for one in queues.channels() for i in queues.next(one, services.clock(), 10_000)]


def notify_all(services: Services) -> None:
    """Everybody who is to be notified now."""
    for channel, incident_id in due(services):
        notify(services, channel, incident_id)


def timeline(services: Services, incident: Incident, event: str) -> list[str]:
    """The lines about this event, as they are shown."""
    stored = services.store.incidents.require(incident.id)
    return [e.detail for e in serializers.with_notifications(services, stored).timeline if e.event == event]


# -- what happens to an incident --------------------------------------------------------------------------


def page(services: Services, incident: Incident) -> None:
    deliver(services, incident.id)


def acknowledge(services: Services, incident: Incident) -> None:
    actions.acknowledge(services, incident.id, "somebody")


def resolve(services: Services, incident: Incident) -> None:
    actions.resolve(services, incident.id, "somebody")


def after_reading(services: Services, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """What happens between the next check at incidents and what is decided from it."""
    incidents = services.store.incidents
    unit_of_work = incidents.unit_of_work

    def read(*args: Any, **about: Any) -> UnitOfWork:
        monkeypatch.setattr(incidents, "unit_of_work", unit_of_work)
        unit = unit_of_work(*args, **about)
        happens()
        return unit

    monkeypatch.setattr(incidents, "unit_of_work", read)
