"""What several incidents have in common, as patterns of a silence."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.domain.alert import SEVERITIES, facts_of
from app.domain.silence import MOST_VALUES, common, pattern_of
from config.match import LONGEST_PATTERN, Match

TEXTS = st.one_of(
    st.text(min_size=1, max_size=40), st.text(alphabet="a* ?[\n\r\x85\u2028=", min_size=1, max_size=300)
)


@given(TEXTS)
def test_a_pattern_is_one_line_and_matches_its_value(value: str) -> None:
    pattern = pattern_of(value)
    assert len(pattern) <= LONGEST_PATTERN
    assert pattern == pattern.strip()
    assert len(pattern.splitlines()) == 1
    assert Match.read({"service": pattern}).matches({"service": value})


@given(
    st.lists(
        st.builds(
            lambda labels, service, severity, title: facts_of(
                labels, source="generic", service=service, severity=severity, title=title
            ),
            st.dictionaries(st.sampled_from("abc"), TEXTS, max_size=3),
            st.none() | TEXTS,
            st.none() | st.sampled_from(SEVERITIES),
            TEXTS,
        ),
        min_size=1,
        max_size=6,
    )
)
def test_what_they_have_in_common_matches_each_of_them(every: list[dict[str, str]]) -> None:
    found = common(every)
    assert not found.left_out
    match = Match.read({name: list(patterns) for name, patterns in found.patterns.items()})
    assert all(match.matches(facts) for facts in every)


def test_a_field_that_differs_too_much_is_named_and_left_out() -> None:
    every = [facts_of({"pod": str(n)}, source="generic", title="Down") for n in range(MOST_VALUES + 1)]
    found = common(every)
    assert found.patterns == {"source": ["generic"], "title": ["Down"]}
    assert found.left_out == ["label.pod"]
    assert common(every[1:]).left_out == []


def test_one_match_never_has_more_patterns_than_it_may() -> None:
    every = [
        facts_of({f"label-{name}": str(n) for name in range(20)}, source="generic", title="Down")
        for n in range(MOST_VALUES)
    ]
    found = common(every)
    Match.read({name: list(patterns) for name, patterns in found.patterns.items()})
    assert len(found.left_out) == 11
