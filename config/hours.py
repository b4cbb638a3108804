"""Hours of the week in a time zone, across midnight and daylight saving."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from config.values import InvalidValue

RIGHT = 'a mapping such as {from: "20:00", to: "08:00", time_zone: Europe/Berlin}'
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)", re.ASCII)
_MIDNIGHT = "24:00"
_KEYS = ("days", "from", "to", "time_zone")
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Hours:
    """From one time of the day to another, on some days or on all."""

    begin: time
    end: time
    """At or before `begin`: on the next day."""
    time_zone: str
    days: tuple[str, ...] = DAYS
    """Of `DAYS`, those on which the hours begin."""

    @staticmethod
    def read(value: object) -> Hours:
        """From the mapping that the configuration file has.

        Raises `InvalidValue`, whose text goes on with a sentence that begins with what holds the mapping.
        """
        if not isinstance(value, Mapping):
            raise InvalidValue(f"must be {RIGHT}")
        if wrong := next((key for key in value if key not in _KEYS), None):
            raise InvalidValue(f"has {str(wrong)[:40]!r}, which is not there: it has {', '.join(_KEYS)}")
        days = _days(value.get("days") or list(DAYS))
        begin, end = value.get("from") or None, value.get("to") or None
        if (begin is None) != (end is None):
            raise InvalidValue("has only one of from and to: give both, or days alone for whole days")
        if begin is None and len(days) == len(DAYS):
            raise InvalidValue("says neither from when to when nor on which days: leave it out for all times")
        read = Hours(_time("from", begin or "00:00"), _time("to", end or _MIDNIGHT), _zone(value), days)
        if read.begin == read.end and end not in (None, _MIDNIGHT):
            raise InvalidValue("has the same time as from and to: leave both out for whole days")
        if read.begin == read.end and len(days) == len(DAYS):
            raise InvalidValue("is all of the week: leave it out for all times")
        return read

    def end_of(self, now: datetime) -> datetime | None:
        """When the hours end in which this moment is, UTC; None outside of them."""
        today = now.astimezone(_zone_info(self.time_zone)).date()
        ends = (self._end_of(day, now) for day in (today - _DAY, today))
        return max((end for end in ends if end is not None), default=None)

    def _end_of(self, day: date, now: datetime) -> datetime | None:
        if DAYS[day.weekday()] not in self.days:
            return None
        last = day if self.begin < self.end else day + _DAY
        # Of a time that the clock shows twice, this is the first; of one that it leaves out, an hour later.
        begin, end = (self._utc(*when) for when in ((day, self.begin), (last, self.end)))
        return end if begin <= now < end else None

    def _utc(self, day: date, at: time) -> datetime:
        return datetime.combine(day, at, _zone_info(self.time_zone)).astimezone(UTC)

    def written(self) -> dict[str, object]:
        """As `read` takes it."""
        end = self.end.strftime("%H:%M") if self.begin != self.end else _MIDNIGHT
        begin = self.begin.strftime("%H:%M")
        return {"days": list(self.days), "from": begin, "to": end, "time_zone": self.time_zone}


def _days(value: object) -> tuple[str, ...]:
    given = value.split(",") if isinstance(value, str) else value
    named = {str(day).strip().lower() for day in given} if isinstance(given, list) else {""}
    if wrong := next(iter(sorted(named - set(DAYS))), None):
        raise InvalidValue(f"has {wrong[:40]!r} among its days: write a list of {', '.join(DAYS)}")
    return tuple(day for day in DAYS if day in named)


def _time(key: str, value: object) -> time:
    if value == _MIDNIGHT and key == "to":
        return time(0)
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise InvalidValue(f'must have a time of the day such as "20:00" as its {key}')
    return time(int(found[1]), int(found[2]))


def _zone(value: Mapping[object, object]) -> str:
    name = value.get("time_zone")
    if not isinstance(name, str) or not name:
        raise InvalidValue("must have a time zone such as Europe/Berlin as its time_zone")
    try:
        _zone_info(name)
    except (ValueError, OSError):
        raise InvalidValue(
            f"has {name[:60]!r} as its time_zone, which does not exist: write one such as Europe/Berlin"
        ) from None
    return name


@lru_cache(maxsize=100)
def _zone_info(name: str) -> ZoneInfo:
    # ZoneInfoNotFoundError is a KeyError.
    try:
        return ZoneInfo(name)
    except KeyError as error:
        raise ValueError(name) from error
