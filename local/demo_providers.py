"""Who pages in `make demo`: incident.io or, as DEMO_PROVIDER says, another provider; each is a stand-in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from local.other_providers import IncidentManager, PagerDuty, Receiver, ServiceNow
from local.simulator import Simulator

KEY = "demo-api-key"
PLACE = "demo-alert-source"
PLAN = "arn:aws:ssm-incidents::111122223333:response-plan/demo"
DEFAULT = "incident_io"


@dataclass(frozen=True, slots=True)
class DemoProvider:
    """A provider that is played, and what the service must know to page there."""

    called: str
    stand_in: Simulator
    settings: Mapping[str, Any]
    """Of its block in the configuration."""
    environ: Mapping[str, str] = field(default_factory=dict)


def demo_provider(name: str) -> DemoProvider:
    """The one with this name. Raises `RuntimeError` if there is none."""
    if name not in _MAKE:
        raise RuntimeError(f"DEMO_PROVIDER is {name!r}: it must be one of {', '.join(_MAKE)}.")
    return _MAKE[name]()


def _incident_io() -> DemoProvider:
    played = Simulator({KEY: {PLACE}})
    settings = {"api_key": KEY, "alert_source_config_id": PLACE, "base_url": played.base_url}
    return DemoProvider("incident.io", played, settings)


def _pagerduty() -> DemoProvider:
    played = PagerDuty({KEY: set()})
    return DemoProvider("PagerDuty", played, {"routing_key": KEY, "base_url": played.base_url})


def _servicenow() -> DemoProvider:
    played = ServiceNow(f"versus:{KEY}")
    settings = {"instance_url": played.base_url, "username": "versus", "password": KEY}
    return DemoProvider("ServiceNow", played, settings)


def _aws_incident_manager() -> DemoProvider:
    played = IncidentManager(PLAN)
    environ = {
        "AWS_ENDPOINT_URL": played.base_url,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": KEY,
        "AWS_DEFAULT_REGION": "eu-central-1",
    }
    return DemoProvider("AWS Incident Manager", played, {"response_plan_arn": PLAN}, environ)


def _webhook() -> DemoProvider:
    played = Receiver(KEY)
    return DemoProvider("The webhook", played, {"url": f"{played.base_url}/hook", "secret": KEY})


_MAKE: Mapping[str, Callable[[], DemoProvider]] = {
    DEFAULT: _incident_io,
    "pagerduty": _pagerduty,
    "servicenow": _servicenow,
    "aws_incident_manager": _aws_incident_manager,
    "webhook": _webhook,
}
