"""Whether a failed attempt is followed by another, and when; one decision for pages and notifications."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.delivery import Delivery, Outcome


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Pauses between attempts, in seconds, and when to stop."""

    first: float
    longest: float
    misconfigured: float | None
    """Between attempts that a person has to make possible; None: as after any failure, and as long."""
    give_up_after: timedelta
    """Counted from the first failure."""

    def again_at(self, delivery: Delivery, outcome: Outcome, now: datetime) -> datetime | None:
        """The next attempt after one that failed, None when there is none.

        `delivery` is as it was claimed: with the failures that came before.
        """
        if outcome.verdict == "final":
            return None
        if outcome.verdict == "misconfigured" and self.misconfigured is not None:
            return now + timedelta(seconds=self.misconfigured)
        since = delivery.failing_since
        if since is not None and now - since >= self.give_up_after:
            return None
        return now + self.pause(delivery.failures, outcome)

    def pause(self, failures: int, outcome: Outcome) -> timedelta:
        """After a failure, with `failures` others in a row before it: twice as long each time, up to
        `longest`, and never less than the seconds that the destination asked for; exactly those where it had
        nothing against this event, but against their number."""
        if outcome.back_off_all:
            return timedelta(seconds=self.first if outcome.not_before is None else outcome.not_before)
        growing = min(self.longest, self.first * 2 ** min(failures, 10))
        # Jitter keeps a thousand failed attempts from coming back in the same second.
        jittered = growing * random.uniform(0.75, 1.25)  # noqa: S311
        return timedelta(seconds=max(jittered, outcome.not_before or 0.0))


PAGES = RetryPolicy(first=1.0, longest=60.0, misconfigured=300.0, give_up_after=timedelta(hours=24))
NOTIFICATIONS = RetryPolicy(first=5.0, longest=300.0, misconfigured=None, give_up_after=timedelta(hours=1))
