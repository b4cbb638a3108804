"""Texts of strangers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sanitize import lines, one_line

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


INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2064"
    "\u2066\u2067\u2068\u2069\u206a\u206f\u2800\u3164\ufe00\ufeff\uffa0\ufff9\ufffb\U000e0001\U000e0041\U000e0100"
)


@pytest.mark.parametrize("character", INVISIBLE, ids=lambda one: f"U+{ord(one):04X}")
def test_what_can_not_be_seen_is_removed(character: str) -> None:
    assert one_line(f"dis{character}k full", 40) == "disk full"
    assert lines(f"{character}disk\nfull{character}", 40) == "disk\nfull"
    assert one_line(character, 40) == ""


@pytest.mark.parametrize(
    "text",
    [
        "\u26a0\ufe0f full",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "1\ufe0f\u20e3",
    ],
)
def test_what_emoji_and_scripts_need_stays(text: str) -> None:
    assert one_line(text, 40) == text
    assert lines(text, 40) == text


def test_one_line_is_one_line() -> None:
    assert one_line(" a\n\n b\t c ", 20) == "a b c"


@given(ANY_TEXT, st.integers(1, 50))
def test_any_text_becomes_valid_and_short(text: str, limit: int) -> None:
    for result in (lines(text, limit), one_line(text, limit)):
        assert len(result) <= limit
        assert result.encode("utf-8").decode() == result
