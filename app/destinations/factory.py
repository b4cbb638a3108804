"""Makes the providers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from app.destinations.aws_incident_manager import AwsIncidentManager
from app.destinations.base import Provider
from app.destinations.incident_io.provider import IncidentIo
from app.destinations.pagerduty import PagerDuty
from app.destinations.servicenow import ServiceNow
from app.destinations.webhook import Webhook
from config import Config

PROVIDERS: tuple[Callable[[Config], Provider], ...] = (
    IncidentIo,
    PagerDuty,
    ServiceNow,
    AwsIncidentManager,
    Webhook,
)


def make_providers(config: Config) -> Mapping[str, Provider]:
    """All of them, by the name in destinations; those without credentials say so when asked to send."""
    return {provider.name: provider for provider in (make(config) for make in PROVIDERS)}
