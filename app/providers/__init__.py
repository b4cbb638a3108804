"""How somebody is paged: what an event and an outcome are, and the table of providers.

A new provider is one file with a class that has `send` and `budgets`, and one line in the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from app.providers.aws_incident_manager import AwsIncidentManager
from app.providers.event import Budget, Event, Outcome, Provider, Verdict
from app.providers.incident_io import IncidentIo
from app.providers.pagerduty import PagerDuty
from app.providers.servicenow import ServiceNow
from app.providers.webhook import Webhook
from config import Config

__all__ = ["PROVIDERS", "Budget", "Event", "Outcome", "Provider", "Verdict", "make_providers"]

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
