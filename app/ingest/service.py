"""Alerts become incidents: opened, joined, acknowledged or resolved; with Redis away, paged at once."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Literal

from app.bootstrap import Services
from app.delivery.pages import ATTEMPT_SECONDS, SIZE
from app.delivery.unclaimed import page_unstored
from app.domain.alert import Alert, Effect, End
from app.domain.delivery import Destination
from app.domain.incident import Incident
from app.domain.record import Reopening
from app.domain.state import Phase
from app.domain.subscription import Subscription
from app.domain.timeline import rfc3339
from app.store import StoreRefusesWrites, StoreUnavailable, UnitOfWork
from app.telemetry import log
from config import OnCall

# How long a request waits for Redis before it pages directly, seconds in all.
STORE_SECONDS = 2.0
# And then for what can be read, where Redis only refuses.
READ_PATIENCE = 1.0
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
    """Its name, or that of what another provider has instead."""
    provider: str | None = None
    """Whose it is; None: the configured one's."""
    channels: tuple[Destination, ...] | None = None
    mail_subject: str | None = None
    namespace: str | None = None
    """Keeps apart identities that are the same in several installations."""


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
    reopening: Reopening = field(default_factory=Reopening)

    def due_at(self, now: datetime) -> datetime | None:
        return None if self.wait is None else now + self.wait

    def opened(self, incident_id: str, alert: Alert, now: datetime, due_at: datetime | None) -> Incident:
        return Incident.opened(
            incident_id,
            alert,
            now,
            due_at=due_at,
            pager=self.pager,
            subscriptions=self.subscriptions,
            mail_subject=self.mail_subject,
            fallback=self.fallback,
            late_after=self.late_after,
            reopening=self.reopening,
        )


def receive(
    services: Services, messages: Sequence[ReceivedAlert], options: Options, sender: str | None = None
) -> list[Received]:
    """Store what each alert does to its problem, all or nothing, with its escalation scheduled.

    `sender`: whose incidents about refused webhooks are over, now that one was read.
    With Redis away, alerts that would have been escalated go to the provider at once, if that is configured.
    Raises `UnknownAlertSource`, `OnCallNotConfigured`, and `StoreUnavailable` when nothing could be done.
    """
    plan = _plan(services, options)
    messages = [replace(one, alert=one.alert.within(options.namespace)) for one in messages]
    try:
        with services.store.deadline(STORE_SECONDS):
            received = _store(services, messages, plan, sender)
    except StoreUnavailable as error:
        if services.config.oncall.when_redis_is_down == "reject":
            raise
        received = _escalate_directly(services, messages, plan, error)
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
    # Even when nobody will be paged: a wrong name is found now, not at 3 a.m.
    name = options.alert_source
    asked = None if name is None else oncall.pager(options.provider or oncall.provider, name)
    return Plan(
        _wait(oncall, options),
        services.pager() if asked is None else Destination(asked),
        asked is not None,
        subscriptions=services.channels.subscriptions(options.channels),
        mail_subject=options.mail_subject,
        fallback=tuple(Destination(one) for one in oncall.fallback),
        late_after=timedelta(minutes=oncall.late_after_minutes),
        reopening=Reopening(oncall.reopen_on, timedelta(minutes=oncall.reopen_after_minutes) or None),
    )


def _wait(oncall: OnCall, options: Options) -> timedelta | None:
    wanted = oncall.by_default if options.oncall_enable is None else options.oncall_enable
    if not wanted:
        return None
    if not oncall.ready:
        raise OnCallNotConfigured(
            "oncall_enable=true was asked for, but on-call is not configured: "
            f"set oncall.enable and oncall.{oncall.provider} in the configuration file."
        )
    minutes = oncall.wait_minutes if options.wait_minutes is None else options.wait_minutes
    return timedelta(minutes=minutes)


def _store(
    services: Services, messages: Sequence[ReceivedAlert], plan: Plan, sender: str | None
) -> list[Received]:
    now = services.clock()
    # Made here, not in `work`: that may run more than once.
    fresh = [str(uuid.uuid4()) for _ in messages]

    def work(unit: UnitOfWork) -> list[Received]:
        if sender is not None:
            unit.read_webhook_of(sender)
        # A microsecond apart, so that lists show the incidents of one request in its order.
        return [
            _apply(unit, message, fresh[n], now + timedelta(microseconds=n), plan)
            for n, message in enumerate(messages)
        ]

    identities = sorted({m.alert.identity for m in messages if m.alert.identity is not None})
    ends = sorted({m.alert.identity for m in messages if m.alert.identity and m.alert.can_be_late})
    if all(message.alert.effect is Effect.FIRING for message in messages):
        # A storm is made of new problems, so look whether one is known only if it can't be stored as new.
        unit = services.store.incidents.assume_new(identities, ends)
    else:
        unit = services.store.incidents.unit_of_work((), identities, ends=ends)
    received = services.update(work, unit)
    if sender is not None and all(one.incident is None for one in received):
        # Nothing was written that could have noted it as well.
        with suppress(StoreUnavailable):
            services.store.refused.read(sender)
    return received


def _apply(unit: UnitOfWork, message: ReceivedAlert, fresh_id: str, now: datetime, plan: Plan) -> Received:
    alert = message.alert
    incident = unit.find(alert.identity, alert.marks)
    if alert.effect is Effect.FIRING:
        due_at = plan.due_at(now)
        if incident is None and (over := _late(unit, message, fresh_id, now, plan)):
            return Received("resolved", over)
        if incident is None:
            opened = plan.opened(fresh_id, alert, now, due_at)
            return Received("created", unit.save(_as_stored(unit, opened, message, now), message.payload))
        incident = incident.repeated(alert, now, due_at=due_at, pager=plan.pager, asked=plan.asked)
        return Received("updated", unit.save(_as_stored(unit, incident, message, now), message.payload))
    if alert.effect is Effect.RESOLVED and alert.can_be_late:
        unit.remember_end(alert.identity, End(now, alert.said_at))
    if incident is None:
        return Received("recorded", None)
    if alert.effect is Effect.RESOLVED:
        return Received("resolved", unit.save(incident.resolved(alert.source, now)))
    if alert.effect is Effect.ACKNOWLEDGED:
        return Received("acknowledged", unit.save(incident.acknowledged(alert.source, now)))
    if alert.effect is Effect.UNACKNOWLEDGED:
        return Received("updated", unit.save(incident.unacknowledged(alert.source, now)))
    return Received("recorded", unit.save(incident.commented(alert, now)))


def _late(
    unit: UnitOfWork, message: ReceivedAlert, fresh_id: str, now: datetime, plan: Plan
) -> Incident | None:
    """The incident of a problem that is known to be over: it wakes nobody."""
    end = unit.end(message.alert.identity)
    if end is None or not message.alert.was_over(end, now):
        return None
    opened = Incident.opened(fresh_id, message.alert, now, due_at=None, pager=plan.pager)
    opened = opened.noted(now, "note", f"the sender said at {rfc3339(end.at)} that it is over")
    return unit.save(opened.resolved(message.alert.source, now), message.payload)


def _as_stored(unit: UnitOfWork, incident: Incident, message: ReceivedAlert, now: datetime) -> Incident:
    incident = incident.noted(now, "repaired", message.repaired) if message.repaired else incident
    return incident.under(unit.silences, now)


def _escalate_directly(
    services: Services, messages: Sequence[ReceivedAlert], plan: Plan, why: StoreUnavailable
) -> list[Received]:
    firing = [m for m in messages if m.alert.effect is Effect.FIRING] if plan.wait is not None else []
    deadline = time.monotonic() + ATTEMPT_SECONDS
    known, now = _readable(services, firing, why)

    def send(message: ReceivedAlert) -> Incident | None:
        incident = _to_page(known, message, now, plan)
        if incident is None or _held_later(services, message, plan, known, incident):
            return None
        sent = page_unstored(services, incident, now, deadline)
        if sent is not None:
            _store_later(services, message, sent)
        return sent

    with ThreadPoolExecutor(SENDERS_AT_ONCE) as senders:
        sent = [incident for incident in senders.map(send, firing) if incident is not None]
    if len(sent) < len(messages):
        # What could not be sent, and what only Redis could have taken: the sender must repeat the whole.
        raise StoreUnavailable(f"{why} What is not paged directly can't be stored now: send it again.")
    return [Received("escalated_directly", incident) for incident in sent]


def _readable(
    services: Services, messages: Sequence[ReceivedAlert], why: StoreUnavailable
) -> tuple[UnitOfWork, datetime]:
    """What is stored about these problems, as far as it can be read, and the time."""
    identities = sorted({m.alert.identity for m in messages if m.alert.identity is not None})
    if isinstance(why, StoreRefusesWrites):
        with suppress(StoreUnavailable), services.store.deadline(READ_PATIENCE):
            now = services.clock()
            services.store.silences.read()
            return services.store.incidents.unit_of_work([_key(m) for m in messages], identities), now
    # Redis's clock is away with it.
    return UnitOfWork(), datetime.now(UTC)


def _key(message: ReceivedAlert) -> str:
    # The same problem again, or the same body, must be the same alert at the provider.
    identity, installation = message.alert.identity, message.alert.installation or ""
    return str(uuid.uuid5(DIRECT, identity + installation if identity else message.payload))


def _to_page(known: UnitOfWork, message: ReceivedAlert, now: datetime, plan: Plan) -> Incident | None:
    """The incident to page for at once; None where somebody has acknowledged it, or may until it is due."""
    alert, key = message.alert, _key(message)
    incident = known.find(alert.identity, alert.marks) or known.get(key)
    if incident is not None and incident.phase is Phase.ACKNOWLEDGED:
        # What the acknowledgement does not cover pages at once, as nothing can be made to wait.
        reopened = incident.repeated(alert, now, due_at=now, pager=plan.pager, asked=plan.asked)
        if reopened.phase is Phase.ACKNOWLEDGED:
            return None
        key = reopened.id
    elif incident is not None and incident.phase is not Phase.RESOLVED:
        if incident.due_at is not None and incident.due_at > now:
            return None
        key = incident.id
    return plan.opened(key, alert, now, due_at=now)


def _store_later(services: Services, message: ReceivedAlert, sent: Incident) -> None:
    """Once Redis takes writes: as an escalated incident, or as a repeat of the one with its ID."""

    def work(unit: UnitOfWork) -> object:
        return unit.save(_stored(unit, sent, message.alert), message.payload)

    _write_later(services, message, work, sent.id, *sent.pagers)


def _held_later(
    services: Services, message: ReceivedAlert, plan: Plan, known: UnitOfWork, incident: Incident
) -> bool:
    """What a silence holds can wait for Redis, and must not be lost if its sender never repeats it."""
    key, now = _key(message), incident.created_at
    if incident.silence_in(known.silences, now) is None:
        return False

    def work(unit: UnitOfWork) -> object:
        return unit.get(key) or _apply(unit, message, key, now, plan)

    _write_later(services, message, work, key, "silenced")
    return True


def _write_later(
    services: Services, message: ReceivedAlert, work: Callable[[UnitOfWork], object], *key: str
) -> None:
    identities = [one for one in (message.alert.identity,) if one is not None]
    write = partial(services.update, work, ids=[key[0]], identities=identities)
    services.backlog.add(key, write, len(message.payload) + SIZE)


def _stored(unit: UnitOfWork, sent: Incident, alert: Alert) -> Incident:
    at = sent.changed_at
    known, other = unit.get(sent.id), unit.find(sent.identity, alert.marks)
    if known is not None and known.phase is not Phase.RESOLVED:
        repeated = known.repeated(alert, at, due_at=at, pager=next(iter(sent.pagers)), asked=False)
        return repeated.sent_unclaimed(sent.pagers, at)
    if known is not None and known.resolved_at is not None and at <= known.resolved_at:
        # Another process had stored an earlier page of it, and the resolve came after both.
        return known.sent_unclaimed(sent.pagers, at)
    if other is not None:
        # It was reported to somebody else before this could be stored, and waits or is paged by itself.
        return replace(sent, identity=None).resolved(f"versus, since it is incident {other.id} now", at)
    return sent
