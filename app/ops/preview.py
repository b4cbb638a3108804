"""What a channel's messages look like, before one is needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from app.bootstrap import Services
from app.destinations.base import Message, Summary
from app.domain.alert import Alert
from app.domain.delivery import Outcome
from app.domain.incident import Incident
from app.domain.subscription import ChangeEvent

NOON = datetime(2026, 3, 4, 3, 0, tzinfo=UTC)
SAMPLE = Alert(
    title="Disk almost full on db-1",
    source="alertmanager",
    description="/var is 92 % full and grows by 1 % an hour.",
    severity="high",
    service="checkout",
    source_url="https://alerts.example.com/1",
)
SAMPLE_ID = "3f0c4a52-8a59-4e0e-9d1f-6f4c2d7a9b10"


def messages(services: Services, alert: Alert) -> Iterator[Message]:
    """A message for each change of an incident that this alert opens."""
    due, pager = NOON + timedelta(minutes=3), services.pager()
    refused = Outcome("misconfigured", "incident.io answered 401: the API key is wrong.", "unauthorized")
    opened = Incident.opened(SAMPLE_ID, alert, NOON, due_at=due, pager=pager)
    claimed = opened.claimed(pager, "t", due, timedelta(seconds=15))
    paged = claimed.delivered(pager, "t", due, "202")
    failed = claimed.refused(pager, "t", due, refused, due + timedelta(minutes=5))
    unanswered = Outcome("try_again", "incident.io answered 503: it is not available.", "server_error")
    trying = claimed.refused(pager, "t", due, unanswered, due + timedelta(seconds=40))
    late = trying.became_late(due + timedelta(minutes=2))
    acknowledged = opened.acknowledged("Dana in Slack", NOON + timedelta(minutes=1), minutes=120)
    worse, later = replace(alert, severity="critical"), NOON + timedelta(minutes=40)
    lives: list[tuple[ChangeEvent, Incident]] = [
        ("created", opened),
        ("severity_raised", replace(opened, severity="critical")),
        ("acknowledged", acknowledged),
        ("reopened", acknowledged.repeated(worse, later, due_at=None, pager=pager, asked=False)),
        ("escalated", paged),
        ("late", late),
        ("failed", failed),
        ("resolved", paged.resolved(alert.source, due + timedelta(minutes=9))),
    ]
    for event, incident in lives:
        now = incident.changed_at
        link = services.links.url(incident.id, now) if incident.can_be_acknowledged else None
        yield Message(event, incident, now, link)


def summary(services: Services, alert: Alert) -> Summary:
    """The message of a storm of such alerts."""
    incident = next(messages(services, alert)).incident
    return Summary(
        [("created", incident)] * 3, 57, [("created", 57)], NOON, f"{services.config.public_base}/"
    )
