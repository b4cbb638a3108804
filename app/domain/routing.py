"""What follows from an alert: whether, when and through whom it pages, and who is notified; pure.

The first rule of the configuration that matches decides; what the request asks for wins over it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.alert import VERSUS, Alert
from app.domain.delivery import Destination
from app.domain.timeline import rfc3339
from config import OnCall
from config.rules import Rule

LONGEST_HOLD = timedelta(days=8)
"""However many rules hold an alert one after the other."""


class OnCallNotConfigured(Exception):
    """On-call was asked for, and the configuration has no credentials for it."""


@dataclass(frozen=True, slots=True)
class Options:
    """What one request asks for; None leaves it to the rules and the configuration."""

    oncall_enable: bool | None = None
    wait_minutes: float | None = None
    alert_source: str | None = None
    """Its name, or that of what another provider has instead."""
    provider: str | None = None
    """Whose it is; None: the configured one's."""
    channels: tuple[Destination, ...] | None = None
    mail_subject: str | None = None
    namespace: str | None = None
    """Keeps apart identities that are the same in several installations."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from one alert."""

    rule: str | None
    """The name of the rule that decides; None: none matches."""
    wait: timedelta | None
    """The time to acknowledge; None: nobody is paged."""
    held_until: datetime | None
    """The wait begins then, not at once; UTC."""
    pager: Destination
    asked: bool
    """The request or the rule names the pager."""
    channels: tuple[Destination, ...] | None
    """Notified instead of the default ones."""

    def due_at(self, now: datetime) -> datetime | None:
        """When it pages unless somebody acknowledges."""
        return None if self.wait is None else (self.held_until or now) + self.wait

    def __str__(self) -> str:
        """What follows, for people, such as `pages through infra after 3 minutes`."""
        if self.wait is None:
            return "pages nobody"
        held = f"is held until {rfc3339(self.held_until)}, then " if self.held_until else ""
        minutes = self.wait / timedelta(minutes=1)
        after = f"after {minutes:g} minute{'' if minutes == 1 else 's'}" if minutes else "at once"
        return f"{held}pages through {self.pager.alert_source} {after} unless acknowledged"


def check(options: Options, oncall: OnCall) -> None:
    """Whether what the request asks for can be done. Raises `UnknownAlertSource`, `OnCallNotConfigured`.

    Even when nobody will be paged: a wrong name is found now, not at 3 a.m.
    """
    _asked_for(options, oncall)
    wanted = oncall.by_default if options.oncall_enable is None else options.oncall_enable
    if wanted and not oncall.ready:
        raise OnCallNotConfigured(
            "oncall_enable=true was asked for, but on-call is not configured: "
            f"set oncall.enable and oncall.{oncall.provider} in the configuration file."
        )


def decide(alert: Alert, options: Options, oncall: OnCall, now: datetime) -> Decision:
    """What follows from this alert if it comes in at this time."""
    rules = oncall.rules.values()
    facts = alert.facts if rules else {}
    rule = _first(rules, facts, now)
    wait = _wait(alert, rule, options, oncall)
    named = _asked_for(options, oncall) or (rule and rule.pager(oncall.provider))
    channels = options.channels
    if channels is None and rule is not None and rule.channels is not None:
        channels = tuple(map(Destination, rule.channels))
    return Decision(
        rule=rule.name if rule else None,
        wait=wait,
        held_until=None if wait is None else _held_until(alert, rules, facts, options, now),
        pager=Destination(named or f"{oncall.provider}/default"),
        asked=named is not None,
        channels=channels,
    )


def _asked_for(options: Options, oncall: OnCall) -> str | None:
    name = options.alert_source
    return None if name is None else oncall.pager(options.provider or oncall.provider, name)


def _first(rules: Iterable[Rule], facts: dict[str, str], now: datetime) -> Rule | None:
    return next((rule for rule in rules if rule.applies(facts, now)), None)


def _wait(alert: Alert, rule: Rule | None, options: Options, oncall: OnCall) -> timedelta | None:
    enabled = oncall.by_default
    # What the service reports of itself is never switched off by a rule; one that holds switches nothing off.
    if rule is not None and rule.enable is not None and not rule.holds and alert.source != VERSUS:
        enabled = rule.enable
    if options.oncall_enable is not None:
        enabled = options.oncall_enable
    if not enabled:
        return None
    stated = (options.wait_minutes, rule.wait_minutes if rule else None, oncall.wait_minutes)
    return timedelta(minutes=next(minutes for minutes in stated if minutes is not None))


def _held_until(
    alert: Alert, rules: Iterable[Rule], facts: dict[str, str], options: Options, now: datetime
) -> datetime | None:
    """The end of the hours in which it is held, and of those that hold it next, without a gap."""
    if options.oncall_enable is not None or alert.source == VERSUS:
        return None
    until, most = now, now + LONGEST_HOLD
    while until < most:
        rule = _first(rules, facts, until)
        end = rule.end_of_hours(until) if rule is not None and rule.holds else None
        if end is None:
            break
        until = min(end, most)
    return until if until > now else None
