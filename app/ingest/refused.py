"""Incidents about webhooks that were refused, each until a webhook of the same sender is read."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any

from app import actions
from app.bootstrap import Services
from app.domain.alert import own_identity
from app.domain.incident import Incident
from app.ingest.own_incident import report
from app.ingest.service import OnCallNotConfigured, Options
from app.store import UnitOfWork
from app.store.refused import OTHERS, Kind, key_of
from config import UnknownAlertSource

JOINS_A_SECOND = 5
"""So many refused webhooks a process adds to one incident; what is beyond is only kept, and counted there."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A webhook that was refused; no text of it holds a secret."""

    kind: Kind
    sender: str
    """A digest of its address and User-Agent."""
    error: str
    description: str
    details: Mapping[str, Any]
    """For the dashboard alone."""


@dataclass(slots=True)
class _Joined:
    count: int = 0
    incident_id: str | None = None


class RefusedReports:
    """Reports refused webhooks as incidents; a flood of them is no flood of writes to one incident."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = Lock()
        self._second = 0
        self._joined: dict[str, _Joined] = {}
        """By key of the incident, within this second."""

    def report(self, refused: Refused, asked: Iterable[Options]) -> str | None:
        """Open an incident, or join one; its ID, if it is known.

        `asked`: the first of these that is right says who is paged and notified. Raises `StoreUnavailable`.
        """
        own_key = key_of(refused.kind, refused.sender)
        key, is_open = self._services.store.refused.admit(own_key, self._services.clock())
        joined = self._join(key)
        if is_open and joined.count > JOINS_A_SECOND:
            return joined.incident_id
        for options in asked:
            with suppress(UnknownAlertSource, OnCallNotConfigured):
                joined.incident_id = self._report(key, refused, options).id
                break
        return joined.incident_id

    def _join(self, key: str) -> _Joined:
        with self._lock:
            if (second := int(time.monotonic())) != self._second:
                self._second, self._joined = second, {}
            joined = self._joined.setdefault(key, _Joined())
            joined.count += 1
            return joined

    def _report(self, key: str, refused: Refused, options: Options) -> Incident:
        return report(
            self._services,
            key,
            f"Webhook refused: {refused.error}",
            refused.description,
            details=refused.details,
            options=options,
        )


def resolve_replayed(services: Services, incident_id: str, by: str) -> None:
    """Resolve the incident about a webhook that was taken after all; one about many senders stays.

    Raises `StoreUnavailable`.
    """
    incident = services.store.incidents.get(incident_id)
    if incident is not None and incident.identity != own_identity(OTHERS):
        actions.resolve(services, incident_id, f"{by}, who had the webhook taken")


def resolve_over(services: Services) -> None:
    """Resolve the incidents whose sender sent something readable, or nothing wrong for a day.

    Raises `StoreUnavailable`.
    """
    refused, now = services.store.refused, services.clock()
    maybe = refused.over(now)
    if not maybe:
        return
    unit = services.store.incidents.unit_of_work(identities=list(maybe))
    seen = {identity: unit.find(identity) for identity in maybe}
    # Asked once more: one may have been refused while they were read. What is written later is a conflict.
    over = refused.over(now)

    def work(unit: UnitOfWork) -> None:
        for identity, by in over.items():
            incident = unit.find(identity)
            if incident is not None and incident == seen.get(identity):
                unit.save(incident.resolved(by, now))

    services.update(work, unit)
    refused.forget([identity for identity in over if identity in seen and seen[identity] is None])
