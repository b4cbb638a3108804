"""Growing pauses between one try in vain and the next, for pages and for messages alike."""

from __future__ import annotations

import random
from datetime import timedelta


def pause(failures: int, *, first: float, longest: float, not_before: float | None) -> timedelta:
    """How long to wait after a failure, with `failures` others in a row before it: from `first` on, twice as
    long each time, up to `longest`, all in seconds; never less than `not_before`, which the other side asked
    for."""
    growing = min(longest, first * 2 ** min(failures, 10))
    # Jitter keeps a thousand failed attempts from coming back in the same second.
    jittered = growing * random.uniform(0.75, 1.25)  # noqa: S311
    return timedelta(seconds=max(jittered, not_before or 0.0))
