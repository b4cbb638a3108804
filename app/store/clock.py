"""The service's own time: Redis's, one for every host, and a correction for the steps of Redis's clock.

`clock` (hash): the `correction`, seconds; `v`, its number and a random word; `vetoed` where a process took
back what another had taken for a step, because its own host had stood still.
"""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from app.store.connection import PREFIX, Connection, StoreUnavailable
from app.store.transaction import committing
from app.telemetry import log

CLOCK = PREFIX + "clock"

# The host's clock is trusted for as long as it takes to drift by nothing that matters.
TRUSTED = 5.0
STEP = 2.0
"""Seconds by which a clock must step to be corrected; what is less is drift."""
SHORT = 1.0
"""Seconds that an answer may take to be compared with: this process may have been stopped meanwhile."""
WITNESS = 30.0
"""Seconds after which a process knows Redis's clock well enough to contradict another one."""


def even_seconds() -> float:
    """Seconds that go on evenly while this process is stopped; where the system can, also while it sleeps."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


@dataclass(frozen=True, slots=True)
class _Reading:
    """Between what two limits Redis's clock was ahead of `even_seconds`, and how it was to be corrected."""

    low: float
    high: float
    correction: float
    version: str
    vetoed: bool

    @property
    def number(self) -> int:
        """How many corrections there had been."""
        number = self.version.partition("-")[0]
        return int(number) if number.isdecimal() else 0

    def beyond(self, low: float, high: float) -> float:
        """Seconds between this and the other limits; 0 where they meet."""
        return max(0.0, self.low - high) + min(0.0, self.high - low)


class Clock:
    """Time that goes on evenly. Its methods raise `StoreUnavailable`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._commit = committing(connection)
        self._lock = threading.Lock()
        self._offset = float("-inf")
        self._checked = float("-inf")
        self._known: _Reading | None = None
        self._known_since = 0.0
        self._doubted = ""
        """The version of a correction after which time did not go on evenly."""

    @property
    def correction(self) -> float:
        """Seconds that were added to Redis's time when it was last read."""
        return 0.0 if self._known is None else self._known.correction

    def now(self) -> datetime:
        """The service's time, UTC."""
        if even_seconds() - self._checked > TRUSTED:
            self.check()
        return datetime.fromtimestamp(even_seconds() + self._offset, UTC)

    def check(self) -> None:
        """Read Redis's time. If it has stepped, correct it for all processes."""
        asked = even_seconds()
        # redis-py turns the time into two integers: seconds, microseconds.
        (version, correction, vetoed), (seconds, microseconds) = self._connection.calls(
            [("HMGET", CLOCK, "v", "correction", "vetoed"), ("TIME",)]
        )
        answered, stated = even_seconds(), seconds + microseconds / 1e6
        reading = _Reading(
            stated - answered, stated - asked, float(correction or 0), version or "", bool(vetoed)
        )
        with self._lock:
            if asked < self._checked:
                # Another thread asked later and has its answer already.
                return
            self._checked = answered
            step = self._taken(reading, answered)
        if step is not None:
            self._correct(reading, step)

    def _taken(self, reading: _Reading, now: float) -> float | None:
        """Seconds by which the clock is to be corrected, or None: then the reading counts."""
        known = self._known
        if known is not None:
            if reading.high - reading.low > SHORT:
                return None
            more = reading.correction - known.correction
            beyond = reading.beyond(known.low - more, known.high - more)
            if abs(beyond) > STEP:
                if self._is_to_correct(reading, known, now):
                    return (known.low + known.high - reading.low - reading.high) / 2 - more
                if self._is_another_step(reading, known):
                    # Others may know better, and correct it, too; if none has by the next reading, we do.
                    self._doubted = reading.version
                    return None
        # An answer says no more than between which limits the time is: what was known stands between them.
        least, most = reading.low + reading.correction, reading.high + reading.correction
        self._offset = min(max(self._offset, least), most)
        if reading.high - reading.low <= SHORT:
            self._known_since = now if known is None else self._known_since
            self._known = reading
        return None

    def _is_to_correct(self, reading: _Reading, known: _Reading, now: float) -> bool:
        """Nobody did since, or who did was wrong: Redis's clock did not step, its host stood still."""
        if reading.version in (known.version, self._doubted, "") or reading.number < known.number:
            # A lower number is of an old backup.
            return True
        # Who stood still took Redis to be ahead. Of a step back, this process may know nothing only because
        # it began after it, while Redis took no writes.
        stood_still = reading.correction < known.correction and _is_steady(reading, known)
        return stood_still and not reading.vetoed and now - self._known_since > WITNESS

    @staticmethod
    def _is_another_step(reading: _Reading, known: _Reading) -> bool:
        """Redis's clock stepped again after somebody had corrected a step."""
        return not reading.vetoed and not _is_steady(reading, known)

    def _correct(self, reading: _Reading, step: float) -> None:
        correction = reading.correction + step
        known = self._known.version if self._known is not None else ""
        number = 1 + max(reading.number, self._known.number if self._known is not None else 0)
        contradicts = "" if reading.version in ("", self._doubted, known) else "1"
        version = f"{number}-{secrets.token_hex(8)}"
        fields = ("v", version, "correction", repr(correction), "vetoed", contradicts)
        try:
            done = self._commit(fields[1], [(CLOCK, "v", reading.version)], [("HSET", CLOCK, *fields)])
        except StoreUnavailable:
            # Time goes on evenly here; it is tried again with the next reading.
            return
        if done:
            log.error("redis_clock_stepped", by=round(-step, 3), correction=round(correction, 3))


def _is_steady(reading: _Reading, known: _Reading) -> bool:
    return abs(reading.beyond(known.low, known.high)) <= STEP
