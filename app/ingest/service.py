"""Alerts become incidents: opened, joined, acknowledged or resolved; with Redis away, paged at once."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from app.bootstrap import Services
from app.delivery.pages import ATTEMPT_SECONDS, deliver_unstored
from app.domain.alert import Alert, Effect
from app.domain.delivery import Destination
from app.domain.incident import Incident
from app.domain.subscription import Subscription
from app.store import StoreUnavailable, UnitOfWork
from app.telemetry import log
from config import OnCall

# How long a request waits for Redis before it pages directly, seconds in all.
STORE_SECONDS = 2.0
SENDERS_AT_ONCE = 8

DIRECT = uuid.UUID("5f1c2d0e-8a57-5b0c-9d3e-6c1b7a4f2e90")
"""Namespace of the deduplication keys of alerts that are paged without being stored."""

Became = Literal["created", "updated", "resolved", "acknowledged", "recorded", "escalated_directly"]


class OnCallNotConfigured(Exception):
    """On-call was asked for, and the configuration has no credentials for it."""


@dataclass(frozen=True, slots=True)
class Options:
    """What one request asks for; None leaves it to the configuration."""

    oncall_enable: bool | None = None
    wait_minutes: float | None = None
    alert_source: str | None = None
    channels: tuple[Destination, ...] | None = None
    mail_subject: str | None = None


@dataclass(frozen=True, slots=True)
class ReceivedAlert:
    """One alert and the sender's body that it was read from, as JSON."""

    alert: Alert
    payload: str
    repaired: str = ""
    """What was wrong with the body, if it was broken JSON."""


@dataclass(frozen=True, slots=True)
class Received:
    """What one alert became; the incident is None for an event about nothing that is known."""

    became: Became
    incident: Incident | None


@dataclass(frozen=True, slots=True)
class Plan:
    """When the incidents of one request page, through which alert source, and who is notified."""

    wait: timedelta | None
    """None: never."""
    pager: Destination
    asked: bool
    """The request names the pager."""
    subscriptions: tuple[Subscription, ...] = ()
    mail_subject: str | None = None
    fallback: tuple[Destination, ...] = ()
    late_after: timedelta | None = None

    def due_at(self, now: datetime) -> datetime | None:
        return None if self.wait is None else now + self.wait


def receive(services: Services, messages: Sequence[ReceivedAlert], options: Options) -> list[Received]:
    """Store what each alert does to its problem, all or nothing, with its escalation scheduled.

    With Redis away, alerts that would have been escalated go to the provider at once, if that is configured.
    Raises `UnknownAlertSource`, `OnCallNotConfigured`, and `StoreUnavailable` when nothing could be done.
    """
    plan = _plan(services, options)
    try:
        with services.store.deadline(STORE_SECONDS):
            received = _store(services, messages, plan)
    except StoreUnavailable:
        if services.config.oncall.when_redis_is_down == "reject":
            raise
        received = _escalate_directly(services, messages, plan)
    for one, message in zip(received, messages, strict=True):
        log.info(
            one.became,
            incident=one.incident.id if one.incident else None,
            source=message.alert.source,
            effect=message.alert.effect.value,
        )
    return received


def _plan(services: Services, options: Options) -> Plan:
    oncall = services.config.oncall
    name = options.alert_source
    if name is not None:
        # Even when nobody will be paged: a wrong name is found now, not at 3 a.m.
        name = oncall.incident_io.alert_source(name).name
    return Plan(
        _wait(oncall, options),
        services.pager(name or "default"),
        asked=name is not None,
        subscriptions=services.channels.subscriptions(options.channels),
        mail_subject=options.mail_subject,
        fallback=tuple(Destination(one) for one in oncall.fallback),
        late_after=timedelta(minutes=oncall.late_after_minutes),
    )


def _wait(oncall: OnCall, options: Options) -> timedelta | None:
    wanted = oncall.by_default if options.oncall_enable is None else options.oncall_enable
    if not wanted:
        return None
    if not oncall.ready:
        raise OnCallNotConfigured(
            "oncall_enable=true was asked for, but on-call is not configured: "
            "set oncall.enable and oncall.incident_io in the configuration file."
        )
    minutes = oncall.wait_minutes if options.wait_minutes is None else options.wait_minutes
    return timedelta(minutes=minutes)


def _store(services: Services, messages: Sequence[ReceivedAlert], plan: Plan) -> list[Received]:
    now = services.clock()
    # Made here, not in `work`: that may run more than once.
    fresh = [str(uuid.uuid4()) for _ in messages]

    def work(unit: UnitOfWork) -> list[Received]:
        # A microsecond apart, so that lists show the incidents of one request in its order.
        return [
            _apply(unit, message, fresh[n], now + timedelta(microseconds=n), plan)
            for n, message in enumerate(messages)
        ]

    identities = sorted({m.alert.identity for m in messages if m.alert.identity is not None})
    if all(message.alert.effect is Effect.FIRING for message in messages):
        # A storm is made of new problems, so look whether one is known only if it can't be stored as new.
        return services.update(work, services.store.incidents.assume_new(identities))
    return services.update(work, identities=identities)


def _apply(unit: UnitOfWork, message: ReceivedAlert, fresh_id: str, now: datetime, plan: Plan) -> Received:
    alert = message.alert
    incident = unit.find(alert.identity)
    if alert.effect is Effect.FIRING:
        due_at = plan.due_at(now)
        if incident is None:
            opened = Incident.opened(
                fresh_id,
                alert,
                now,
                due_at=due_at,
                pager=plan.pager,
                subscriptions=plan.subscriptions,
                mail_subject=plan.mail_subject,
                fallback=plan.fallback,
                late_after=plan.late_after,
            )
            return Received("created", unit.save(_noted(opened, message, now), message.payload))
        incident = incident.repeated(alert, now, due_at=due_at, pager=plan.pager, asked=plan.asked)
        return Received("updated", unit.save(_noted(incident, message, now), message.payload))
    if incident is None:
        return Received("recorded", None)
    if alert.effect is Effect.RESOLVED:
        return Received("resolved", unit.save(incident.resolved(alert.source, now)))
    if alert.effect is Effect.ACKNOWLEDGED:
        return Received("acknowledged", unit.save(incident.acknowledged(alert.source, now)))
    return Received("recorded", unit.save(incident.commented(alert, now)))


def _noted(incident: Incident, message: ReceivedAlert, now: datetime) -> Incident:
    return incident.noted(now, "repaired", message.repaired) if message.repaired else incident


def _escalate_directly(services: Services, messages: Sequence[ReceivedAlert], plan: Plan) -> list[Received]:
    firing = [m for m in messages if m.alert.effect is Effect.FIRING] if plan.wait is not None else []
    # Redis's clock is away with it.
    now = datetime.now(UTC)
    deadline = time.monotonic() + ATTEMPT_SECONDS

    def send(message: ReceivedAlert) -> Incident | None:
        # The same problem again, or the same body, must be the same alert at the provider.
        key = str(uuid.uuid5(DIRECT, message.alert.identity or message.payload))
        incident = Incident.opened(key, message.alert, now, due_at=now, pager=plan.pager)
        return deliver_unstored(services, incident, now, deadline)

    with ThreadPoolExecutor(SENDERS_AT_ONCE) as senders:
        sent = [incident for incident in senders.map(send, firing) if incident is not None]
    if len(sent) < len(messages):
        # What could not be sent, and what only Redis could have taken: the sender must repeat the whole.
        raise StoreUnavailable(
            "Redis can't be reached, and the alert could not be sent to the provider instead."
        )
    return [Received("escalated_directly", incident) for incident in sent]
