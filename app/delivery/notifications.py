"""Notifications: what is due for a channel, of one incident or as a summary."""

from __future__ import annotations

from app.bootstrap import Services
from app.delivery.notification_job import NotificationJob
from app.delivery.service import deliver
from app.delivery.summaries import SummaryJob
from app.domain.delivery import Destination
from app.store import SUMMARY


def notify(services: Services, channel: Destination, incident_id: str) -> None:
    """Notify the channel of what it has not heard of this incident, or, for `SUMMARY`, of all that waits.

    Raises `app.store.StoreUnavailable`.
    """
    if incident_id == SUMMARY:
        deliver(SummaryJob(services, channel), services.clock)
        return
    unit = services.store.incidents.unit_of_work([incident_id], channels=True)
    if unit.get(incident_id) is None:
        services.store.notifications.remove(channel, incident_id)
        return
    deliver(NotificationJob(services, unit, incident_id, channel), services.clock)
