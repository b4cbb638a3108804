"""Rules that decide what follows from an alert: settings, and what is wrong with several of them together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field

from config.block import Block
from config.hours import RIGHT as HOURS
from config.hours import Hours
from config.match import RIGHT as MATCH
from config.match import Match
from config.values import SWITCH, Name, Setting, Words

LONGEST_NAME = 100


class Rule(Block):
    """For some alerts, perhaps at some hours: whether, when and through whom somebody is paged."""

    name: Annotated[
        Name,
        Field(min_length=1, max_length=LONGEST_NAME),
        Setting("a text of one line, up to 100 characters"),
    ]
    match: Annotated[Match, Setting(MATCH)]
    hours: Annotated[Hours | None, Setting(HOURS)] = None
    enable: Annotated[bool | None, Setting(SWITCH)] = None
    """False: nobody is paged; with `hours`, not before they end."""
    wait_minutes: Annotated[
        float | None,
        Field(ge=0, le=10080, allow_inf_nan=False),
        Setting("a number of minutes from 0 to 10080 (a week)"),
    ] = None
    alert_source: Annotated[str | None, Setting("the name of an alert source")] = None
    """Of the configured provider, or what that has instead."""
    provider: Annotated[str | None, Setting("a destination such as pagerduty/infra")] = None
    channels: Annotated[Words | None, Setting("a list of channels, such as ops, db")] = None
    """Notified instead of the default ones."""

    @property
    def holds(self) -> bool:
        """Whether it puts off what would page, until its hours end."""
        return self.hours is not None and self.enable is False

    def applies(self, facts: dict[str, str], now: datetime) -> bool:
        """Whether it decides for an alert with these facts at this time, if no earlier one does."""
        return self.match.matches(facts) and (self.hours is None or self.hours.end_of(now) is not None)

    def end_of_hours(self, now: datetime) -> datetime | None:
        """When the hours end in which this moment is."""
        return self.hours.end_of(now) if self.hours else None

    def pager(self, provider: str) -> str | None:
        """The destination that it names, if any; `provider`: the configured one."""
        if self.alert_source is not None:
            return f"{provider}/{self.alert_source}".lower()
        return self.provider.lower() if self.provider is not None else None

    def takes_all_of(self, later: Rule) -> bool:
        """Whether the later one can never decide, since this one always does before."""
        return (
            bool(self.match.conditions)
            and self.hours in (None, later.hours)
            and self.match.covers(later.match)
        )


@dataclass(frozen=True, slots=True)
class Known:
    """What rules may name."""

    provider: str
    pagers: tuple[str, ...]
    channels: tuple[str, ...]
    ready: bool
    """The configured provider can page."""


def wrong_with(rules: Mapping[str, Rule], known: Known) -> Iterator[tuple[str, str, str]]:
    """The place of a rule in the list, one of its keys, and the rest of the sentence."""
    earlier: list[Rule] = []
    for place, rule in rules.items():
        for key, text in (*_wrong_alone(rule), *_wrong_names(rule, known)):
            yield place, key, text
        if any(one.name == rule.name for one in earlier):
            yield place, "name", "is the name of an earlier rule too: give each rule a name of its own"
        if before := next((one for one in earlier if one.takes_all_of(rule)), None):
            yield (
                place,
                "match",
                f"can never decide, as the earlier rule {before.name!r} takes all that it matches: "
                "put the narrower one first, or remove one",
            )
        earlier.append(rule)


def _wrong_alone(rule: Rule) -> Iterator[tuple[str, str]]:
    if not rule.match.conditions:
        yield "match", 'must have at least one condition; every alert is {source: "*"}'
    if rule.alert_source is not None and rule.provider is not None:
        yield "provider", "is there beside alert_source: name one place to page, not two"
    if rule.enable is False and rule.hours is None:
        for key in ("wait_minutes", "alert_source", "provider"):
            if getattr(rule, key) is not None:
                yield (
                    key,
                    "is without effect while enable is false, as nobody is ever paged: remove one of them",
                )


def _wrong_names(rule: Rule, known: Known) -> Iterator[tuple[str, str]]:
    pager = rule.pager(known.provider)
    key = "alert_source" if rule.alert_source is not None else "provider"
    if pager is not None and pager not in known.pagers:
        names = ", ".join(known.pagers) or "none, as none is configured"
        if key == "alert_source":
            own = (one.partition("/")[2] for one in known.pagers if one.startswith(f"{known.provider}/"))
            names = ", ".join(own) or "none, as none is configured"
        given = rule.alert_source if key == "alert_source" else rule.provider
        yield key, f"is {(given or '')[:100]!r}, which is not there: the names are {names}"
    if rule.enable and pager is None and not known.ready:
        yield (
            "enable",
            f"is true, but on-call is not configured: set oncall.{known.provider}",
        )
    for channel in rule.channels or ():
        if channel not in known.channels:
            names = ", ".join(known.channels) or "none, as none is configured"
            yield "channels", f"has {channel[:100]!r}, which is not there: the names are {names}"
