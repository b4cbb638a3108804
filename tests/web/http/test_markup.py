"""Text in pages: what becomes a link, what becomes a time, and that nothing else becomes HTML."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

import pytest
from markupsafe import escape

from app.web.http.markup import away, linked, time_tag, timed

TODAY = date(2026, 3, 4)


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("Runbook: https://wiki.example.com/a?b=1&c=2.", ["https://wiki.example.com/a?b=1&c=2"]),
        ("(see http://a.example/x_(y))", ["http://a.example/x_(y)"]),
        ("[graph](https://a.example/d#e), HTTPS://B.example", ["https://a.example/d#e", "HTTPS://B.example"]),
        ("<https://a.example/x>", ["https://a.example/x"]),
        ('"url": "https://a.example/x\\nnext"', ["https://a.example/x"]),
        ("https://a.example/\u202egnp.exe", ["https://a.example/"]),
        ("javascript:alert(1) data:text/html,x //a.example ftp://a.example www.a.example", []),
        ("javascript:https://a.example/%0aalert(1)", ["https://a.example/%0aalert(1)"]),
        ("https:// http://?x https://[", []),
        ("", []),
    ],
)
def test_addresses_of_the_web_become_links(text: str, addresses: list[str]) -> None:
    html = str(linked(text))
    hrefs = re.findall(r'<a href="([^"]*)" rel="noopener noreferrer nofollow">', html)
    assert hrefs == [str(escape(address)) for address in addresses]
    # Without the tags, it is the text and nothing but the text.
    assert re.sub(r"<a [^>]*>|</a>", "", html) == str(escape(text))


@pytest.mark.parametrize(
    "text",
    [
        '"><script>alert(1)</script>',
        'https://a.example/"onmouseover="alert(1)',
        "https://a.example/'><img src=x onerror=alert(1)>",
        "https://a.example/<script>alert(1)</script>",
        "&lt;script&gt; https://a.example/&quot;",
        "2026-03-04T03:00:00Z<b>",
    ],
)
def test_no_text_becomes_html(text: str) -> None:
    for html in (str(linked(text)), str(timed(text, TODAY))):
        rest = re.sub(r'<a href="[^"<>]*" rel="noopener noreferrer nofollow">|</a>', "", html)
        rest = re.sub(r'<time datetime="[0-9TZ:-]*">|</time>', "", rest)
        assert not set(rest) & set("<>\"'")


def test_a_time_is_utc_with_its_date_unless_it_is_of_today() -> None:
    at = datetime(2026, 3, 4, 15, 4, 59, tzinfo=UTC)
    assert time_tag(at, TODAY) == '<time datetime="2026-03-04T15:04:59Z" data-ago>15:04\xa0UTC</time>'
    assert ">4 Mar 15:04\xa0UTC<" in time_tag(at, date(2026, 3, 5), ago=False)
    assert ">15:04\xa0UTC<" in time_tag("2026-03-04T15:04:59.123Z", TODAY)


def test_the_times_of_a_sentence_are_shown_like_all_others() -> None:
    shown = timed(
        "Pages at 2026-03-04 03:10:00 UTC, or 2026-03-04T03:20:00.000Z; 2026-99-99T03:20:00Z.", TODAY
    )
    assert re.sub(r"<[^>]*>", "", shown) == "Pages at 03:10\xa0UTC, or 03:20\xa0UTC; 2026-99-99T03:20:00Z."
    assert shown.count("<time") == 2


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(180, "in 3 min"), (0, "0 s ago"), (-59, "59 s ago"), (-7200, "2 h ago"), (200_000, "in 2 days")],
)
def test_how_far_away_a_moment_is(seconds: float, words: str) -> None:
    assert away(seconds) == words
