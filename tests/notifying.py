"""Channels that record, and what the tests of notifications do with them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pydantic import SecretStr

from app import actions, shown
from app.alert import Alert, Severity
from app.channels import Channels
from app.delivery import Destination, Outcome
from app.gateway import Gateway
from app.incident import Incident
from app.notify import notify
from app.page import deliver
from app.receive import Message, Options, receive
from app.store import UnitOfWork
from config import ChannelSettings
from tests.fakes import Clock, RecordingChannel

OPS = Destination("ops")
MAIL = Destination("mail")
REFUSED = Outcome("try_again", "connection refused")
WRONG_KEY = Outcome("misconfigured", "401", "unauthorized")


def settings(name: str, **about: Any) -> ChannelSettings:
    return dataclasses.replace(ChannelSettings(name, SecretStr("json://localhost")), **about)


def with_two_channels(gateway: Gateway, ops: RecordingChannel, mail: RecordingChannel) -> Gateway:
    """Of which only `ops` is notified unless the other is asked for."""
    channels = Channels([settings("ops"), settings("mail", default=False)], {"ops": ops, "mail": mail})
    return dataclasses.replace(gateway, channels=channels)


def create_many(
    gateway: Gateway,
    count: int,
    identity: str | None = None,
    severity: Severity | None = None,
    channels: Sequence[str] | None = None,
) -> list[Incident]:
    """So many incidents of one request, due in three minutes."""
    # A moment apart from others, so that the order is known.
    if isinstance(gateway.clock, Clock):
        gateway.clock.wind(milliseconds=1)
    alert = Alert(title="Disk full", source="generic", identity=identity, severity=severity)
    asked = None if channels is None else tuple(map(Destination, channels))
    received = receive(gateway, [Message(alert, "{}")] * count, Options(channels=asked))
    incidents = [one.incident for one in received if one.incident is not None]
    assert len(incidents) == count
    return incidents


def create(gateway: Gateway, *args: Any, **options: Any) -> Incident:
    [incident] = create_many(gateway, 1, *args, **options)
    return incident


def due(gateway: Gateway) -> list[tuple[Destination, str]]:
    """What would be handed out now, channel and incident; it is not handed out again for a while."""
    queues = gateway.store.notifications
    return [(one, i) for one in queues.channels() for i in queues.next(one, gateway.clock(), 10_000)]


def notify_all(gateway: Gateway) -> None:
    """Everybody who is to be notified now."""
    for channel, incident_id in due(gateway):
        notify(gateway, channel, incident_id)


def timeline(gateway: Gateway, incident: Incident, event: str) -> list[str]:
    """The lines about this event, as they are shown."""
    stored = gateway.store.incidents.need(incident.id)
    return [e.detail for e in shown.with_notifications(gateway, stored).timeline if e.event == event]


# -- what happens to an incident --------------------------------------------------------------------------


def page(gateway: Gateway, incident: Incident) -> None:
    deliver(gateway, incident.id)


def acknowledge(gateway: Gateway, incident: Incident) -> None:
    actions.acknowledge(gateway, incident.id, "somebody")


def resolve(gateway: Gateway, incident: Incident) -> None:
    actions.resolve(gateway, incident.id, "somebody")


def after_reading(gateway: Gateway, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """What happens between the next look at incidents and what is decided from it."""
    incidents = gateway.store.incidents
    unit_of_work = incidents.unit_of_work

    def read(*args: Any, **about: Any) -> UnitOfWork:
        monkeypatch.setattr(incidents, "unit_of_work", unit_of_work)
        unit = unit_of_work(*args, **about)
        happens()
        return unit

    monkeypatch.setattr(incidents, "unit_of_work", read)
