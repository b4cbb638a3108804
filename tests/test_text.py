"""Texts of strangers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.text import lines, one_line

ANY_TEXT = st.text(st.characters(exclude_categories=()))


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("short", 10, "short"),
        ("exactly ten", 11, "exactly ten"),
        ("a long text", 6, "a lon…"),
        ("cut at a blank", 7, "cut at…"),
        ("right \u202eto left", 40, "right to left"),
        ("line\r\nline\rline", 20, "line\nline\nline"),
        ("tab\tstays, \x1b[31mred\x00 goes", 40, "tab\tstays, [31mred goes"),
        ("lone \ud800 surrogate", 40, "lone  surrogate"),
        ("**Markdown** & <html>", 40, "**Markdown** & <html>"),
    ],
)
def test_it_cuts_but_does_not_mangle(text: str, limit: int, expected: str) -> None:
    assert lines(text, limit) == expected


def test_one_line_is_one_line() -> None:
    assert one_line(" a\n\n b\t c ", 20) == "a b c"


@given(ANY_TEXT, st.integers(1, 50))
def test_any_text_becomes_valid_and_short(text: str, limit: int) -> None:
    for result in (lines(text, limit), one_line(text, limit)):
        assert len(result) <= limit
        assert result.encode("utf-8").decode() == result
