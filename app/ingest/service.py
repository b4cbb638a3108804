"""Alerts become incidents: opened, joined, acknowledged or resolved; with Redis away, paged at once."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from app.bootstrap import Services
from app.delivery.pages import ATTEMPT_SECONDS, SIZE
from app.delivery.unclaimed import page_unstored
from app.domain.alert import Alert, Effect, End
from app.domain.incident import Incident
from app.domain.routing import OnCallNotConfigured, Options
from app.domain.state import Phase
from app.domain.timeline import rfc3339
from app.ingest.once import Once
from app.ingest.plan import Plan, Planner
from app.store import StoreRefusesWrites, StoreUnavailable, UnitOfWork
from app.telemetry import log

__all__ = ["OnCallNotConfigured", "Options", "Received", "ReceivedAlert", "receive"]

# How long a request waits for Redis before it pages directly, seconds in all.
STORE_SECONDS = 2.0
# And then for what can be read, where Redis only refuses.
READ_PATIENCE = 1.0
SENDERS_AT_ONCE = 8

DIRECT = uuid.UUID("5f1c2d0e-8a57-5b0c-9d3e-6c1b7a4f2e90")
"""Namespace of the deduplication keys of alerts that are paged without being stored."""

Became = Literal["created", "updated", "resolved", "acknowledged", "recorded", "escalated_directly"]


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


def receive(
    services: Services,
    messages: Sequence[ReceivedAlert],
    options: Options,
    sender: str | None = None,
    once: Once | None = None,
) -> list[Received]:
    """Store what each alert does to its problem, all or nothing, with its escalation scheduled.

    `sender`: whose incidents about refused webhooks are over, now that one was read. `once`: see its class.

    With Redis away, alerts that would have been escalated go to the provider at once, if that is configured.
    Raises `UnknownAlertSource`, `OnCallNotConfigured`, `KeyReused`; `StoreUnavailable` if nothing was done.
    """
    planner = Planner(services, options)
    messages = [replace(one, alert=one.alert.within(options.namespace)) for one in messages]
    try:
        with services.store.deadline(STORE_SECONDS):
            received = _store(services, messages, planner, sender, once)
    except StoreUnavailable as error:
        if services.config.oncall.when_redis_is_down == "reject":
            raise
        received = _escalate_directly(services, messages, planner, error)
    for one, message in zip(received, messages, strict=True):
        log.info(
            one.became,
            incident=one.incident.id if one.incident else None,
            source=message.alert.source,
            effect=message.alert.effect.value,
        )
    return received


def _store(
    services: Services,
    messages: Sequence[ReceivedAlert],
    planner: Planner,
    sender: str | None,
    once: Once | None,
) -> list[Received]:
    now = services.clock()
    # Made here, not in `work`: that may run more than once.
    fresh = [str(uuid.uuid4()) for _ in messages]

    def work(unit: UnitOfWork) -> list[Received]:
        if unit.became:
            return []
        if sender is not None:
            unit.read_webhook_of(sender)
        # A microsecond apart, so that lists show the incidents of one request in its order.
        received = [
            _apply(unit, message, fresh[n], now + timedelta(microseconds=n), planner)
            for n, message in enumerate(messages)
        ]
        if once is not None:
            unit.remember_request(once.became((one.became, one.incident) for one in received))
        return received

    identities = sorted({m.alert.identity for m in messages if m.alert.identity is not None})
    ends = sorted({m.alert.identity for m in messages if m.alert.identity and m.alert.can_be_late})
    if all(message.alert.effect is Effect.FIRING for message in messages):
        # A storm is made of new problems, so look whether one is known only if it can't be stored as new.
        unit = services.store.incidents.assume_new(identities, ends)
    else:
        unit = services.store.incidents.unit_of_work((), identities, ends=ends)
    unit.request = once.key if once is not None else ""
    received = services.update(work, unit)
    if once is not None and not received:
        return [Received(*one) for one in once.again(services, unit.became)]
    if sender is not None and all(one.incident is None for one in received):
        # Nothing was written that could have noted it as well.
        with suppress(StoreUnavailable):
            services.store.refused.read(sender)
    return received


def _apply(
    unit: UnitOfWork, message: ReceivedAlert, fresh_id: str, now: datetime, planner: Planner
) -> Received:
    alert = message.alert
    incident = unit.find(alert.identity, alert.marks)
    if alert.effect is Effect.FIRING:
        plan = planner.plan(alert, now, incident)
        if incident is None and (over := _late(unit, message, fresh_id, now, plan)):
            return Received("resolved", over)
        if incident is None:
            opened = plan.opened(fresh_id, alert, now)
            return Received("created", unit.save(_as_stored(unit, opened, message, now), message.payload))
        incident = plan.repeated(incident, alert, now)
        return Received("updated", unit.save(_as_stored(unit, incident, message, now), message.payload))
    if alert.effect is Effect.RESOLVED and alert.identity is not None:
        if alert.can_be_late:
            unit.remember_end(alert.identity, End(now, alert.said_at))
        # There may be a page that another process sent directly, and that is yet to be stored.
        unit.remember_end(alert.identity, End(now, None), _key(message))
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
    opened = Incident.opened(fresh_id, message.alert, now, due_at=None, pager=plan.decision.pager)
    opened = opened.noted(now, "note", f"the sender said at {rfc3339(end.at)} that it is over")
    return unit.save(opened.resolved(message.alert.source, now), message.payload)


def _as_stored(unit: UnitOfWork, incident: Incident, message: ReceivedAlert, now: datetime) -> Incident:
    incident = incident.noted(now, "repaired", message.repaired) if message.repaired else incident
    return incident.under(unit.silences, now)


def _escalate_directly(
    services: Services, messages: Sequence[ReceivedAlert], planner: Planner, why: StoreUnavailable
) -> list[Received]:
    firing = [message for message in messages if message.alert.effect is Effect.FIRING]
    deadline = time.monotonic() + ATTEMPT_SECONDS
    known, now = _readable(services, firing, why)

    def send(message: ReceivedAlert) -> Incident | None:
        incident = _to_page(known, message, now, planner)
        if incident is None or _held_later(services, message, planner, known, incident):
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


def _to_page(known: UnitOfWork, message: ReceivedAlert, now: datetime, planner: Planner) -> Incident | None:
    """The incident to page for at once, also what a rule would hold, as nothing can be made to wait.

    None where nobody is to be paged, or somebody has acknowledged it, or may until it is due.
    """
    alert, key = message.alert, _key(message)
    incident = known.find(alert.identity, alert.marks) or known.get(key)
    plan = planner.plan(alert, now, incident)
    if plan.decision.wait is None:
        return None
    if incident is not None and incident.phase is Phase.ACKNOWLEDGED:
        # What the acknowledgement does not cover pages.
        reopened = plan.repeated(incident, alert, now, at_once=True)
        if reopened.phase is Phase.ACKNOWLEDGED:
            return None
        key = reopened.id
    elif incident is not None and incident.phase is not Phase.RESOLVED:
        due_at = plan.repeated(incident, alert, now).due_at
        if incident.due_at is not None and incident.due_at > now and incident.due_at == due_at:
            return None
        key = incident.id
    return plan.opened(key, alert, now, at_once=True)


def _store_later(services: Services, message: ReceivedAlert, sent: Incident) -> None:
    """Once Redis takes writes: as an escalated incident, or as a repeat of the one with its ID."""

    def work(unit: UnitOfWork) -> object:
        return unit.save(_stored(unit, sent, message), message.payload)

    _write_later(services, message, work, sent.id, *sent.pagers)


def _held_later(
    services: Services, message: ReceivedAlert, planner: Planner, known: UnitOfWork, incident: Incident
) -> bool:
    """What a silence holds can wait for Redis, and must not be lost if its sender never repeats it."""
    key, now = _key(message), incident.created_at
    if incident.silence_in(known.silences, now) is None:
        return False

    def work(unit: UnitOfWork) -> object:
        return unit.get(key) or _apply(unit, message, key, now, planner)

    _write_later(services, message, work, key, "silenced")
    return True


def _write_later(
    services: Services, message: ReceivedAlert, work: Callable[[UnitOfWork], object], *key: str
) -> None:
    identities = [one for one in (message.alert.identity,) if one is not None]

    def write() -> None:
        unit = services.store.incidents.unit_of_work([key[0]], identities, ends=[_key(message)])
        services.update(work, unit)

    services.backlog.add(key, write, len(message.payload) + SIZE)


def _stored(unit: UnitOfWork, sent: Incident, message: ReceivedAlert) -> Incident:
    alert, at, end = message.alert, sent.changed_at, unit.end(_key(message))
    over = end is not None and end.at >= at
    stands = known = unit.get(sent.id)
    if known is None or known.phase is Phase.RESOLVED or known.next_id:
        stands = unit.find(sent.identity, alert.marks)
    if stands is not None and not over:
        # What an acknowledgement does not cover reopens it; what continues it may be what was paged.
        unit.save(stands.repeated(alert, at, due_at=at, pager=next(iter(sent.pagers)), asked=False))
    stored = unit.get(sent.id)
    if stored is not None and (stored.resolved_at is None or at <= stored.resolved_at):
        # Also one that is over, if that came after an earlier page of it, which another process had stored.
        return stored.sent_unclaimed(sent.pagers, at)
    if stored is not None:
        # Its alert may be open at other alert sources yet, which are sent the end of this one.
        still = {p: has for p, has in stored.pagers.items() if has.may_have_page and p not in sent.pagers}
        sent = replace(sent, pagers={**sent.pagers, **still})
    if end is not None and over:
        return sent.resolved(alert.source, end.at)
    if stands is None:
        return sent
    # It was reported to somebody else before this could be stored, and waits or is paged by itself.
    return replace(sent, identity=None).resolved(f"versus, since it is incident {stands.id} now", at)
