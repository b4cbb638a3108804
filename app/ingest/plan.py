"""What becomes of each alert of a request: the decision of rules and parameters, and what goes with it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from app.bootstrap import Services
from app.domain.alert import Alert, most_severe
from app.domain.delivery import Destination
from app.domain.incident import Incident
from app.domain.record import Reopening
from app.domain.routing import Decision, Options, check, decide
from app.domain.subscription import Subscription


@dataclass(frozen=True, slots=True)
class Plan:
    """When one alert pages, through which alert source, and who is notified."""

    decision: Decision
    subscriptions: tuple[Subscription, ...] = ()
    mail_subject: str | None = None
    fallback: tuple[Destination, ...] = ()
    late_after: timedelta | None = None
    reopening: Reopening = field(default_factory=Reopening)

    @property
    def at_once(self) -> Plan:
        """The same without a wait, for what can't be stored."""
        return replace(self, decision=replace(self.decision, wait=timedelta(0), held_until=None))

    def opened(self, incident_id: str, alert: Alert, now: datetime) -> Incident:
        """A new incident."""
        decision = self.decision
        return Incident.opened(
            incident_id,
            alert,
            now,
            due_at=decision.due_at(now),
            held_until=decision.held_until,
            rule=decision.rule,
            pager=decision.pager,
            subscriptions=self.subscriptions,
            mail_subject=self.mail_subject,
            fallback=self.fallback,
            late_after=self.late_after,
            reopening=self.reopening,
        )

    def repeated(self, incident: Incident, alert: Alert, now: datetime) -> Incident:
        """The incident, reported again."""
        decision = self.decision
        return incident.repeated(
            alert,
            now,
            due_at=decision.due_at(now),
            held_until=decision.held_until,
            rule=decision.rule,
            pager=decision.pager,
            asked=decision.asked,
        )


class Planner:
    """Plans for the alerts of one request."""

    def __init__(self, services: Services, options: Options) -> None:
        """Raises `UnknownAlertSource` and `OnCallNotConfigured`."""
        check(options, services.config.oncall)
        self._services = services
        self._options = options

    def plan(self, alert: Alert, now: datetime, known: Incident | None = None) -> Plan:
        """The plan for one alert; `known`: the incident of its problem, which is never less severe."""
        oncall = self._services.config.oncall
        if known is not None:
            alert = replace(alert, severity=most_severe(alert.severity, known.severity))
        decision = decide(alert, self._options, oncall, now)
        return Plan(
            decision,
            subscriptions=self._services.channels.subscriptions(decision.channels),
            mail_subject=self._options.mail_subject,
            fallback=tuple(Destination(one) for one in oncall.fallback),
            late_after=timedelta(minutes=oncall.late_after_minutes),
            reopening=Reopening(oncall.reopen_on, timedelta(minutes=oncall.reopen_after_minutes) or None),
        )
