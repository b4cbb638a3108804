"""Services with rules, as the configuration file would have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from app.bootstrap import Services
from config.hours import Hours
from config.match import Match
from config.rules import Rule

NIGHT = {
    "name": "not at night",
    "match": {"severity": ["low", "info"]},
    "hours": {"from": "20:00", "to": "08:00", "time_zone": "Europe/Berlin"},
    "enable": False,
}


def rule(about: Mapping[str, Any]) -> Rule:
    """A rule as the file has it."""
    read = {**about, "match": Match.read(about["match"])}
    if "hours" in about:
        read["hours"] = Hours.read(about["hours"])
    return Rule(**read)


def with_rules(services: Services, rules: Sequence[Mapping[str, Any]], **oncall: Any) -> Services:
    """The same services, with these rules and settings of `oncall`."""
    ruled = {str(place): rule(one) for place, one in enumerate(rules)}
    changed = services.config.oncall.model_copy(update={"rules": ruled, **oncall})
    return replace(services, config=services.config.model_copy(update={"oncall": changed}))
