"""Hours of the week: across midnight, daylight saving, and on some days alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.hours import DAYS, Hours
from config.values import InvalidValue

BERLIN = "Europe/Berlin"
NIGHT = {"from": "20:00", "to": "08:00", "time_zone": BERLIN}
FRIDAY_NIGHT = {"days": ["fri"], "from": "22:00", "to": "07:00", "time_zone": BERLIN}
WEEKEND = {"days": ["sat", "sun"], "time_zone": BERLIN}


@pytest.mark.parametrize(
    ("written", "now", "end"),
    [
        (NIGHT, "2026-03-04T19:59:59+01:00", None),
        (NIGHT, "2026-03-04T20:00:00+01:00", "2026-03-05T08:00:00+01:00"),
        (NIGHT, "2026-03-05T07:59:59+01:00", "2026-03-05T08:00:00+01:00"),
        (NIGHT, "2026-03-05T08:00:00+01:00", None),
        # The night that has an hour less, and the one that has one more.
        (NIGHT, "2026-03-28T23:00:00+01:00", "2026-03-29T08:00:00+02:00"),
        (NIGHT, "2026-10-24T23:00:00+02:00", "2026-10-25T08:00:00+01:00"),
        # 02:30 is left out that night, and is there twice in the other one.
        ({**NIGHT, "to": "02:30"}, "2026-03-29T00:00:00+01:00", "2026-03-29T03:30:00+02:00"),
        ({**NIGHT, "to": "02:30"}, "2026-10-25T00:00:00+02:00", "2026-10-25T02:30:00+02:00"),
        ({**NIGHT, "to": "02:30"}, "2026-10-25T02:15:00+01:00", None),
        (FRIDAY_NIGHT, "2026-03-06T23:00:00+01:00", "2026-03-07T07:00:00+01:00"),
        (FRIDAY_NIGHT, "2026-03-07T06:00:00+01:00", "2026-03-07T07:00:00+01:00"),
        (FRIDAY_NIGHT, "2026-03-06T06:00:00+01:00", None),
        (FRIDAY_NIGHT, "2026-03-07T23:00:00+01:00", None),
        (WEEKEND, "2026-03-07T00:00:00+01:00", "2026-03-08T00:00:00+01:00"),
        (WEEKEND, "2026-03-06T23:59:00+01:00", None),
        ({"from": "9:00", "to": "24:00", "time_zone": "UTC"}, "2026-03-04T23:59:59Z", "2026-03-05T00:00:00Z"),
        ({"from": "9:00", "to": "17:00", "time_zone": "Asia/Kolkata"}, "2026-03-04T08Z", "2026-03-04T11:30Z"),
    ],
)  # fmt: skip
def test_it_knows_when_the_hours_end(written: dict[str, object], now: str, end: str | None) -> None:
    found = Hours.read(written).end_of(datetime.fromisoformat(now).astimezone(UTC))
    assert found == (end and datetime.fromisoformat(end))
    assert Hours.read(Hours.read(written).written()) == Hours.read(written)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"time_zone": "Europe/Berln"}, "has 'Europe/Berln' as its time_zone, which does not exist"),
        ({"time_zone": "../etc/passwd"}, "has '../etc/passwd' as its time_zone, which does not exist"),
        ({"time_zone": "Europe"}, "has 'Europe' as its time_zone, which does not exist"),
        ({"time_zone": None}, "must have a time zone such as Europe/Berlin as its time_zone"),
        ({"from": "25:00"}, 'must have a time of the day such as "20:00" as its from'),
        ({"from": "24:00"}, 'must have a time of the day such as "20:00" as its from'),
        ({"to": "8"}, 'must have a time of the day such as "20:00" as its to'),
        ({"to": None}, "has only one of from and to: give both, or days alone for whole days"),
        ({"to": "20:00"}, "has the same time as from and to: leave both out for whole days"),
        ({"from": None, "to": None}, "says neither from when to when nor on which days"),
        ({"from": "00:00", "to": "24:00"}, "is all of the week: leave it out for all times"),
        ({"days": ["mon", "tues"]}, "has 'tues' among its days: write a list of mon, tue, wed"),
        ({"until": "8:00"}, "has 'until', which is not there: it has days, from, to, time_zone"),
    ],
)
def test_it_refuses_in_a_sentence(changed: dict[str, object], sentence: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        Hours.read({**NIGHT, **changed})
    assert str(caught.value).startswith(sentence)


def test_it_must_be_a_mapping() -> None:
    with pytest.raises(InvalidValue, match=r"must be a mapping such as \{from"):
        Hours.read("20:00")


@given(
    st.lists(st.sampled_from(DAYS), min_size=1, max_size=6, unique=True),
    st.integers(0, 23),
    st.integers(0, 23),
    st.sampled_from([BERLIN, "UTC", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia"]),
    st.datetimes(datetime(2011, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_hours_end_within_two_days_and_never_in_the_past(
    days: list[str], begin: int, end: int, zone: str, now: datetime
) -> None:
    if begin == end:
        end = (end + 1) % 24
    written = {"days": days, "from": f"{begin}:00", "to": f"{end}:00", "time_zone": zone}
    found = Hours.read(written).end_of(now)
    assert found is None or now < found <= now + timedelta(days=2)
