"""Alerts become incidents: opened, joined, acknowledged or resolved; with Redis away, paged at once."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from app.bootstrap import Services
from app.domain.alert import Alert, Effect
from app.domain.routing import OnCallNotConfigured, Options
from app.ingest.direct import escalate_directly
from app.ingest.effects import Received, ReceivedAlert, apply
from app.ingest.once import Once
from app.ingest.plan import Planner
from app.store import StoreUnavailable, UnitOfWork
from app.telemetry import log

__all__ = ["OnCallNotConfigured", "Options", "Received", "ReceivedAlert", "receive"]

STORE_SECONDS = 2.0
"""For which a request waits for Redis, in all, before it pages directly."""


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
        received = escalate_directly(services, messages, planner, error)
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
            apply(unit, message, fresh[n], now + timedelta(microseconds=n), planner)
            for n, message in enumerate(messages)
        ]
        if once is not None:
            unit.remember_request(once.became((one.became, one.incident) for one in received))
        return received

    unit = _unit_of_work(services, [message.alert for message in messages])
    unit.request = once.key if once is not None else ""
    received = services.update(work, unit)
    if once is not None and not received:
        return [Received(*one) for one in once.again(services, unit.became)]
    if sender is not None and all(one.incident is None for one in received):
        # Nothing was written that could have noted it as well.
        with suppress(StoreUnavailable):
            services.store.refused.read(sender)
    return received


def _unit_of_work(services: Services, alerts: Sequence[Alert]) -> UnitOfWork:
    identities = sorted({alert.identity for alert in alerts if alert.identity is not None})
    ends = sorted({alert.identity for alert in alerts if alert.identity and alert.can_be_late})
    if all(alert.effect is Effect.FIRING for alert in alerts):
        # A storm is made of new problems, so check whether one is known only if it can't be stored as new.
        return services.store.incidents.assume_new(identities, ends)
    return services.store.incidents.unit_of_work((), identities, ends=ends)
