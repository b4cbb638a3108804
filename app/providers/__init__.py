"""How somebody is paged: what an event and an outcome are, and the table of providers.

A new provider is one file with a class that has `send` and `budgets`, and one line in the table.
"""

from collections.abc import Callable

from app.providers.event import Budget, Event, Outcome, Provider, Verdict
from app.providers.incident_io import IncidentIo
from config import Config

__all__ = ["PROVIDERS", "Budget", "Event", "Outcome", "Provider", "Verdict", "provider_for"]

PROVIDERS: dict[str, Callable[[Config], Provider]] = {"incident_io": IncidentIo}


def provider_for(config: Config) -> Provider:
    """The provider that the configuration names."""
    # The name of a provider that only the Go edition has passes while on-call is off; then nothing is sent.
    return PROVIDERS.get(config.oncall.provider, IncidentIo)(config)
