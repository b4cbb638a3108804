"""Query parameters that API and dashboard share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict

from app.domain.state import State
from app.store import Search
from app.web.http.parameters import BadParameter, limit_of, search_of
from tests.fakes import Clock
from tests.web.conftest import Report

Pairs = list[tuple[str, str]]


def of(*pairs: tuple[str, str]) -> Search:
    return search_of(MultiDict(list(pairs)))


@pytest.mark.parametrize(
    ("pairs", "search"),
    [
        ([], Search()),
        (
            [(name, "") for name in ("state", "severity", "service", "source", "q", "since", "until")],
            Search(),
        ),
        ([("state", "open")], Search(states=frozenset({State.OPEN}))),
        ([("state", "open,failed")], Search(states=frozenset({State.OPEN, State.FAILED}))),
        ([("state", "open"), ("state", "failed")], Search(states=frozenset({State.OPEN, State.FAILED}))),
        ([("state", ",open,,open,")], Search(states=frozenset({State.OPEN}))),
        ([("severity", "critical,low")], Search(severities=frozenset({"critical", "low"}))),
        ([("service", " payments "), ("source", "grafana")], Search(service="payments", source="grafana")),
        ([("q", "disk full")], Search(words="disk full")),
        ([("q", "a"), ("q", "a")], Search(words="a")),
        ([("unknown", "x")], Search()),
    ],
)
def test_a_search_is_what_the_parameters_say(pairs: Pairs, search: Search) -> None:
    assert of(*pairs) == search


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2026-03-04T03:00:00Z", datetime(2026, 3, 4, 3, tzinfo=UTC)),
        ("2026-03-04t03:00:00.25z", datetime(2026, 3, 4, 3, 0, 0, 250_000, tzinfo=UTC)),
        ("2026-03-04T05:00:00+02:00", datetime(2026, 3, 4, 3, tzinfo=UTC)),
        # A plus sign that was not escaped.
        ("2026-03-04T05:00:00 02:00", datetime(2026, 3, 4, 3, tzinfo=UTC)),
        ("2026-03-03T22:00-05:00", datetime(2026, 3, 4, 3, tzinfo=UTC)),
        # As a person types it, or a form's field sends it.
        ("2026-03-04T03:00", datetime(2026, 3, 4, 3, tzinfo=UTC)),
        ("2026-03-04 03:00", datetime(2026, 3, 4, 3, tzinfo=UTC)),
        (" 2026-03-04 ", datetime(2026, 3, 4, tzinfo=UTC)),
    ],
)
def test_a_time_is_read(value: str, moment: datetime) -> None:
    assert of(("since", value), ("until", value)) == Search(since=moment, until=moment)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("state", "pendign", "The state 'pendign' does not exist: use one or several of open, pending"),
        ("state", "open,x", "The state 'x' does not exist"),
        ("severity", "urgent", "The severity 'urgent' does not exist: use one or several of critical, high"),
        ("since", "yesterday", "The parameter since is 'yesterday': it must be a time in UTC as RFC 3339"),
        ("until", "2026-02-30", "The parameter until is '2026-02-30'"),
        ("until", "2026-03-04T25:00:00Z", "for example 2026-03-04T03:00:00Z"),
        ("since", "0001-01-01T00:00:00+14:00", "The parameter since"),
        ("since", "1772593200", "The parameter since"),
        ("since", "20260304", "The parameter since"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(name: str, value: str, sentence: str) -> None:
    with pytest.raises(BadParameter) as stated:
        of((name, value))
    assert sentence in str(stated.value)
    assert str(stated.value).endswith(".")


@pytest.mark.parametrize("name", ["service", "source", "q", "since", "until"])
def test_what_can_only_have_one_value_is_given_once(name: str) -> None:
    with pytest.raises(BadParameter, match=f"The parameter {name} was given 2 different values: give one"):
        of((name, "2026-03-04"), (name, "2026-03-05"))


@given(st.lists(st.tuples(st.sampled_from(["state", "severity", "since", "until", "limit"]), st.text())))
def test_whatever_is_sent_is_read_or_refused_in_one_line(pairs: Pairs) -> None:
    args = MultiDict(pairs)
    assert all(len(stated.splitlines()) <= 1 for stated in (refusal(args, search_of), refusal(args, a_limit)))


def a_limit(args: MultiDict[str, str]) -> int:
    return limit_of(args, 50, 500)


def refusal(args: MultiDict[str, str], read: Callable[[MultiDict[str, str]], object]) -> str:
    """The sentence, empty if there is none."""
    try:
        read(args)
    except BadParameter as stated:
        return str(stated)
    return ""


def test_the_list_has_every_filter(admin: FlaskClient, report: Report, clock: Clock) -> None:
    report(title="old", severity="critical", service="db", source="cron")
    clock.wind(hours=1)
    report(title="low", severity="low", service="web", source="grafana")
    report(title="mine", severity="critical", service="web", source="grafana")
    report({"oncall_enable": "false"}, title="open", severity="critical", service="web", source="grafana")

    def listed(**query: str) -> set[str]:
        answer = admin.get("/api/incidents", query_string=query)
        assert answer.status_code == 200, answer.text
        return {incident["title"] for incident in answer.get_json()["incidents"]}

    assert listed(state="pending,open") == {"old", "low", "mine", "open"}
    assert listed(severity="low,high") == {"low"}
    assert listed(service="DB") == {"old"}
    assert listed(source="cron") == {"old"}
    assert listed(since="2026-03-04T03:30:00Z") == {"low", "mine", "open"}
    assert listed(until="2026-03-04T03:30:00Z") == {"old"}
    assert listed(state="pending", severity="critical", service="web", q="mi") == {"mine"}
