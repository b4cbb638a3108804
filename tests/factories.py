"""Builds what many tests need; what a test does not name does not matter to it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.bootstrap import Services
from app.domain.alert import Alert
from app.domain.delivery import Destination
from app.domain.incident import Incident
from app.ingest.service import Options, ReceivedAlert, receive
from tests.fakes import EPOCH, PAGER


def an_alert(**about: Any) -> Alert:
    """A firing alert."""
    return Alert(**{"title": "Disk full", "source": "grafana", **about})


def opened(
    incident_id: str = "id",
    at: datetime = EPOCH,
    *,
    due_at: datetime | None = None,
    pager: Destination = PAGER,
    **about: Any,
) -> Incident:
    """An incident that such an alert opens then; it is stored nowhere."""
    return Incident.opened(incident_id, an_alert(**about), at, due_at=due_at, pager=pager)


def receive_one(
    services: Services, *, payload: str = "{}", wait: float | None = None, **about: Any
) -> Incident:
    """The incident that a webhook with such an alert opens; it waits for so many minutes."""
    [received] = receive(services, [ReceivedAlert(an_alert(**about), payload)], Options(wait_minutes=wait))
    assert received.incident is not None
    return received.incident
