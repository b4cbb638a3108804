"""While Redis takes no writes: each worker pages what is due and can be read, in turn, without a claim."""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from app.bootstrap import Services
from app.delivery.page_job import LEASE
from app.delivery.unclaimed import page_stored
from app.domain.delivery import Delivery, Destination
from app.domain.incident import Incident
from app.domain.record import ITSELF
from app.store.delivery_queue import WINDOW_SECONDS
from app.telemetry import log
from tasks.slots import Slots
from tasks.stuck_pages import StuckPages

TURN = LEASE
"""For which the worker of rank 1 leaves an incident to that of rank 0."""
MOST = 20_000
"""Incidents that are remembered, and that are looked through for a pager."""
EACH = 8
MOST_AT_ONCE = 32


class ReadOnly:
    """That a page was sent can't be stored, so each worker remembers what it sent itself.

    All workers know the same others, those that lived when Redis last took a write; for each incident they
    have another order. One that is not known comes after all of them.
    """

    def __init__(self, services: Services, name: str, slots: Slots | None = None) -> None:
        self._services = services
        self._name = name
        self._slots = slots or Slots("read_only", each=EACH, most=MOST_AT_ONCE)
        self._stuck = StuckPages(services, slots)
        self._lock = threading.Lock()
        self._sending: set[str] = set()
        self.end()

    def end(self) -> None:
        """Redis takes writes: nothing more leaves without a claim."""
        self._since: datetime | None = None
        self._workers: Sequence[str] = ()
        self._due: dict[Destination, deque[str]] = {}
        self._left: dict[str, dict[Destination, Delivery]] = {}
        self._sent: defaultdict[str, deque[datetime]] = defaultdict(deque)
        self._paused: dict[Destination, datetime] = {}
        self._stuck.end()

    def page(self) -> None:
        """Hand out what is due; to be called again and again while writes are refused.

        Raises `StoreUnavailable` when Redis can't be read either.
        """
        now, store = self._services.clock(), self._services.store
        if self._since is None:
            log.error("paging_without_writes")
            self._since = now
        self._workers = store.read_only.workers()
        for pager in store.delivery_queue.pagers(now):
            self._due[pager] = queue = deque(store.read_only.due(pager, now, MOST))
            while self._since and queue and self._slots.acquire(pager):
                self._slots.run(pager, partial(self._work, pager), then=lambda: None)
        self._stuck.notify(now)

    def _work(self, pager: Destination) -> None:
        while (since := self._since) is not None and (queue := self._due.get(pager)):
            try:
                incident_id = queue.popleft()
            except IndexError:
                return
            turn = self._rank(incident_id) * TURN
            if self._services.clock() >= since + turn:
                with self._alone(incident_id) as alone:
                    if alone:
                        self._page(incident_id, since, turn)

    def _rank(self, incident_id: str) -> int:
        def place(name: str) -> bytes:
            return hashlib.sha256(f"{incident_id} {name}".encode()).digest()

        if self._name not in self._workers:
            return len(self._workers)
        return sorted(self._workers, key=place).index(self._name)

    @contextmanager
    def _alone(self, incident_id: str) -> Iterator[bool]:
        with self._lock:
            alone = incident_id not in self._sending
            self._sending.add(incident_id)
        try:
            yield alone
        finally:
            if alone:
                self._sending.discard(incident_id)

    def _page(self, incident_id: str, since: datetime, turn: timedelta) -> None:
        left = self._left.get(incident_id, {})
        # Nothing is claimed here that could compare the list of silences, so it must be the newest.
        silences = self._services.store.silences.read()
        unit = self._services.store.incidents.unit_of_work([incident_id], channels=True)
        stored = unit.get(incident_id)
        if stored is None or not (due := [step.at for _, step in stored.steps()]):
            return
        now = self._services.clock()
        incident = before = replace(stored, pagers={**stored.pagers, **left})
        if now < max(since, min(due)) + turn:
            return
        for pager, step in list(incident.steps()):
            if step.at > now or (step.event == "firing" and incident.silence_in(silences, now)):
                continue
            if pager == ITSELF:
                if step.event == "late":
                    incident = incident.became_late(now)
            elif self._may_leave(pager, now):
                incident = page_stored(self._services, unit, incident, pager, step)
                self._remember_pause(incident, pager)
            self._remember(incident)
        if incident.is_late and not before.is_late:
            self._stuck.add(incident)

    def _remember(self, incident: Incident) -> None:
        with self._lock:
            self._left[incident.id] = dict(incident.pagers)
            while len(self._left) > MOST:
                del self._left[next(iter(self._left))]

    def _remember_pause(self, incident: Incident, pager: Destination) -> None:
        delivery = incident.pagers[pager]
        if delivery.last_reason == "rate_limited" and delivery.retry_at is not None:
            self._paused[pager] = delivery.retry_at

    def _may_leave(self, pager: Destination, now: datetime) -> bool:
        """Within this worker's share of what is left of the limits; then it is counted."""
        if now < self._paused.get(pager, now):
            return False
        limits, workers = self._services.limits(pager), len({*self._workers, self._name})
        room = self._services.store.read_only.room(pager, limits, now)
        with self._lock:
            for name, _ in limits:
                while self._sent[name] and self._sent[name][0] < now - timedelta(seconds=WINDOW_SECONDS):
                    self._sent[name].popleft()
            shares = [max(1, left // workers) if left > 0 else 0 for left in room]
            if any(len(self._sent[n]) >= share for (n, _), share in zip(limits, shares, strict=True)):
                return False
            for name, _ in limits:
                self._sent[name].append(now)
        return True
