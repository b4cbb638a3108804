"""The delayed task: one incident's knock."""

from __future__ import annotations

from celery import Celery

from app import wakeup
from app.deliver import deliver
from app.gateway import Gateway


def register(celery: Celery, gateway: Gateway) -> None:
    """Make the worker answer knocks."""

    @celery.task(name=wakeup.DELIVER)
    def knock(incident_id: str, alert_source: str | None = None, title: str | None = None) -> None:
        deliver(gateway, incident_id, alert_source, title)
