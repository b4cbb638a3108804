"""Pages while Redis takes no writes: sent at once, in the request of the webhook, and stored once it does."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from app.bootstrap import Services
from app.delivery.page_job import ATTEMPT_SECONDS, SIZE
from app.delivery.unclaimed import page_unstored
from app.domain.alert import Effect
from app.domain.incident import Incident
from app.domain.state import Phase
from app.ingest.effects import Received, ReceivedAlert, apply
from app.ingest.plan import Planner
from app.store import StoreRefusesWrites, StoreUnavailable, UnitOfWork

# How long a request waits for what can be read, where Redis only refuses writes.
READ_SECONDS = 1.0
SENDERS_AT_ONCE = 8


def escalate_directly(
    services: Services, messages: Sequence[ReceivedAlert], planner: Planner, why: StoreUnavailable
) -> list[Received]:
    """Page for each alert that fires. Raises `StoreUnavailable` unless that is all that they ask for.

    `why`: what Redis said.
    """
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
        with suppress(StoreUnavailable), services.store.deadline(READ_SECONDS):
            now = services.clock()
            services.store.silences.read()
            return services.store.incidents.unit_of_work([m.direct_key for m in messages], identities), now
    # Redis's clock is away with it.
    return UnitOfWork(), datetime.now(UTC)


def _to_page(known: UnitOfWork, message: ReceivedAlert, now: datetime, planner: Planner) -> Incident | None:
    """The incident to page for at once, also what a rule would hold, as nothing can be made to wait.

    None where nobody is to be paged, or somebody has acknowledged it, or may until it is due.
    """
    alert, key = message.alert, message.direct_key
    incident = known.find(alert.identity, alert.marks) or known.get(key)
    plan = planner.plan(alert, now, incident)
    if plan.decision.wait is None:
        return None
    if incident is not None and incident.phase is Phase.ACKNOWLEDGED:
        # What the acknowledgement does not cover pages.
        reopened = plan.at_once.repeated(incident, alert, now)
        if reopened.phase is Phase.ACKNOWLEDGED:
            return None
        key = reopened.id
    elif incident is not None and incident.phase is not Phase.RESOLVED:
        due_at = plan.repeated(incident, alert, now).due_at
        if incident.due_at is not None and incident.due_at > now and incident.due_at == due_at:
            return None
        key = incident.id
    return plan.at_once.opened(key, alert, now)


def _store_later(services: Services, message: ReceivedAlert, sent: Incident) -> None:
    """Once Redis takes writes: as an escalated incident, or as a repeat of the one with its ID."""

    def work(unit: UnitOfWork) -> object:
        return unit.save(_stored(unit, sent, message), message.payload)

    _write_later(services, message, work, sent.id, *sent.pagers)


def _held_later(
    services: Services, message: ReceivedAlert, planner: Planner, known: UnitOfWork, incident: Incident
) -> bool:
    """What a silence holds can wait for Redis, and must not be lost if its sender never repeats it."""
    key, now = message.direct_key, incident.created_at
    if incident.silence_in(known.silences, now) is None:
        return False

    def work(unit: UnitOfWork) -> object:
        return unit.get(key) or apply(unit, message, key, now, planner)

    _write_later(services, message, work, key, "silenced")
    return True


def _write_later(
    services: Services, message: ReceivedAlert, work: Callable[[UnitOfWork], object], *key: str
) -> None:
    identities = [one for one in (message.alert.identity,) if one is not None]

    def write() -> None:
        unit = services.store.incidents.unit_of_work([key[0]], identities, ends=[message.direct_key])
        services.update(work, unit)

    services.backlog.add(key, write, len(message.payload) + SIZE)


def _stored(unit: UnitOfWork, sent: Incident, message: ReceivedAlert) -> Incident:
    alert, at, end = message.alert, sent.changed_at, unit.end(message.direct_key)
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
