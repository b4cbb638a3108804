"""Delivers: claim a step, send it, record how it ended and when the next attempt is.

The one way in which anything leaves: pages and resolve events (`app/delivery/page_job.py`), notifications
(`app/delivery/notification_job.py`) and a storm's summaries (`app/delivery/summaries.py`) differ in what they
read and send, not in how they are delivered.
"""

from __future__ import annotations

import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime, timedelta

from app.domain.delivery import InvalidTransition, Outcome, Step
from app.telemetry import log

# A lease is longer than an attempt may take by this many seconds, so that it only runs out on a dead worker;
# what has not left by then must not leave at all.
MARGIN = 2.0


class Job(ABC):
    """Something that may have a step to deliver. Its methods raise `StoreUnavailable`."""

    lease: timedelta

    @abstractmethod
    def next_step(self) -> Step | None:
        """What is to be sent next, as it was read."""

    def postpone(self, step: Step | None) -> None:  # noqa: B027
        """It is not to be sent now: let the queue say when to check it again, where it does not yet."""

    def acquire(self, step: Step, token: str) -> bool:
        """Permission to send it now, where the queue did not see to the limits of the destination."""
        return True

    @abstractmethod
    def claim(self, token: str) -> Step:
        """Reserve the step, as it is by now, for this worker. Raises `InvalidTransition` if none is due."""

    @abstractmethod
    def send(self, step: Step, deadline: float) -> Outcome:
        """Send it; never raises for what the network or the destination does.

        `deadline` (of `time.monotonic()`, seconds): nothing is sent after it, and no answer awaited.
        """

    @abstractmethod
    def record(self, step: Step, token: str, outcome: Outcome, now: datetime) -> None:
        """Write how it ended, and when the next attempt is."""


def deliver(job: Job, clock: Callable[[], datetime]) -> None:
    """Send what is to be sent, if it is due and nobody else is sending it.

    1. Ask for permission; without it, the queue hands the job out again.
    2. Claim the step for a lease.
    3. Send, and record the outcome with the time of the next attempt.

    Called at any time, by any number of workers at once. Raises `app.store.StoreUnavailable`: then the lease
    runs out, and the step is sent again.
    """
    step = job.next_step()
    if step is None or step.at > clock():
        job.postpone(step)
        return
    token = secrets.token_hex(8)
    if not job.acquire(step, token):
        return
    deadline = time.monotonic() + job.lease.total_seconds() - MARGIN
    try:
        step = job.claim(token)
    except InvalidTransition:
        # Acknowledged, resolved or claimed by another worker since it was read.
        return
    outcome = job.send(step, deadline)
    try:
        job.record(step, token, outcome, clock())
    except InvalidTransition as error:
        log.warning("attempt_not_recorded", reason=str(error))
