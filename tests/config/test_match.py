"""A match: what it takes, what it refuses, and what it says of an alert and of its incident."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.alert import Alert
from app.domain.delivery import Destination
from app.domain.incident import Incident
from config.match import LONGEST_PATTERN, Match
from config.values import InvalidValue

ALERT = Alert(
    title="Disk almost full on db-1",
    source="alertmanager",
    severity="low",
    service="checkout",
    labels={"Env": "Prod", "env": "second", "team": "a*b"},
    namespace="eu-1",
)
NOW = datetime(2026, 3, 4, 3, 0, tzinfo=UTC)
INCIDENT = Incident.opened("1", ALERT, NOW, due_at=None, pager=Destination("incident_io/default"))

CASES: list[tuple[dict[str, str | list[str]], bool]] = [
    ({}, True),
    ({"severity": "low"}, True),
    ({"severity": ["info", "LOW"]}, True),
    ({"severity": ["info", "high"]}, False),
    ({"severity": "low", "service": "payments*"}, False),
    ({"severity": "low", "service": "check*"}, True),
    ({"Service": "CHECK???"}, True),
    ({"service": "check??"}, False),
    ({"title": "*full*db-?"}, True),
    ({"title": "full"}, False),
    ({"title": "disk [almost] full*"}, False),
    ({"label.env": "prod"}, True),
    ({"label.ENV": "second"}, False),
    ({"label.team": "a*b"}, True),
    ({"label.gone": ""}, True),
    ({"label.gone": "?*"}, False),
    ({"label.gone": "*"}, True),
    ({"namespace": "eu-*"}, True),
    ({"namespace": ""}, False),
    ({"source": "alertmanager"}, True),
    ({"source": "grafana"}, False),
]


@pytest.mark.parametrize(("written", "fits"), CASES, ids=str)
def test_it_matches_the_alert_and_the_incident_alike(written: dict[str, str | list[str]], fits: bool) -> None:
    match = Match.read(written)
    assert match.matches(ALERT.facts) is fits
    assert match.matches(INCIDENT.facts) is fits
    assert Match.read(match.written()) == match


def test_an_alert_without_a_title_has_the_one_of_its_incident() -> None:
    bare = Alert(title=None, source="zabbix")
    assert Match.read({"title": "incident from zabbix", "service": "", "severity": ""}).matches(bare.facts)


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("low", "must be a mapping such as {service: checkout, severity: [low, info]}"),
        ({"servce": "a"}, "has 'servce', which is no field: did you mean service? The fields are source, "),
        ({"label.": "a"}, "has 'label.', which is no field"),
        ({1: "a"}, "has '1', which is no field"),
        ({"service": []}, "must have a text or a list of texts as its service"),
        ({"service": 5}, "must have a text or a list of texts as its service"),
        ({"service": [5]}, "must have a text or a list of texts as its service"),
        ({"service": "a" * 257}, "has a pattern of more than 256 characters as its service"),
        ({"service": [str(n) for n in range(501)]}, "has more than 500 patterns"),
        ({"severity": "hihg"}, "has 'hihg' as its severity, which no alert can have: there are critical, "),
        ({"source": ""}, "has an empty text as its source, which no alert can have"),
        ({"label.a": "x", "LABEL.A": "y"}, "has label.a twice"),
    ],
)
def test_it_refuses_in_a_sentence(written: object, sentence: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        Match.read(written)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("written", "everything"),
    [
        ({}, True),
        ({"service": "*"}, True),
        ({"service": ["a", "**"], "label.a": "*"}, True),
        ({"title": "?*"}, True),
        ({"source": ["*?"]}, True),
        ({"severity": ["critical", "high", "medium", "low", "info", ""]}, True),
        ({"service": "?*"}, False),
        ({"title": "??*"}, False),
        ({"service": "*", "source": "zabbix"}, False),
        ({"severity": ["critical", "high", "medium", "low", "info"]}, False),
    ],
)
def test_it_knows_that_it_matches_everything(written: dict[str, object], everything: bool) -> None:
    assert Match.read(written).is_everything is everything


def test_it_says_in_words_what_it_matches() -> None:
    match = Match.read({"severity": ["low", "info"], "label.env": "prod", "service": ""})
    assert str(match) == "severity low or info, label.env prod, service (none)"
    assert str(Match.read({})) == "everything"


PATTERNS = st.text("ab*?[", max_size=5)
TEXTS = st.text("abAB[*?\n", max_size=6)


@given(PATTERNS, TEXTS)
def test_a_pattern_fits_what_the_obvious_expression_fits(pattern: str, text: str) -> None:
    parts = {"*": "(?s:.*)", "?": "(?s:.)"}
    obvious = "".join(parts.get(character, re.escape(character)) for character in pattern)
    fits = re.fullmatch(obvious, text, re.IGNORECASE) is not None
    assert Match.read({"service": pattern}).matches({"service": text}) is fits


@given(PATTERNS, PATTERNS, TEXTS)
def test_what_one_covers_matches_nothing_that_the_one_does_not(one: str, other: str, text: str) -> None:
    wide, narrow = Match.read({"service": one}), Match.read({"service": other, "label.a": "x"})
    facts = {"service": text, "label.a": "x"}
    if wide.covers(narrow) and narrow.matches(facts):
        assert wide.matches(facts)


@pytest.mark.parametrize(
    ("one", "other", "covers"),
    [
        ({}, {"service": "a"}, True),
        ({"service": "a*"}, {"service": ["ab*", "AC"]}, True),
        ({"service": ["a", "b"]}, {"service": "b", "severity": "low"}, True),
        ({"service": "a"}, {"service": ["a", "b"]}, False),
        ({"service": "?"}, {"service": "*"}, False),
        ({"service": "a", "severity": "low"}, {"service": "a"}, False),
        ({"service": "a", "title": "*"}, {"service": "a"}, True),
    ],
)
def test_it_knows_what_it_covers(one: dict[str, object], other: dict[str, object], covers: bool) -> None:
    assert Match.read(one).covers(Match.read(other)) is covers


def test_time_is_linear_where_stars_could_be_tried_again_and_again() -> None:
    # Ends within a moment, or not within the age of the universe.
    pattern = "*a" * (LONGEST_PATTERN // 2)
    assert not Match.read({"title": pattern}).matches({"title": "a" * 50_000 + "b"})
