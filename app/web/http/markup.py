"""Text in pages: addresses become links, and times become what a browser shows in its own time zone."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from urllib.parse import urlsplit

from flask import Flask
from markupsafe import Markup, escape

# Without quotes, brackets of HTML, backslashes (escapes in JSON), and characters that turn text around.
ADDRESS = re.compile(
    r"\bhttps?://[^\s<>\"'`\\\x00-\x1f\x7f\u200b-\u200f\u2028-\u202e\u2066-\u2069]+", re.IGNORECASE
)
CLOSING = {")": "(", "]": "[", "}": "{"}

# As `app.domain.timeline` writes them: RFC 3339, and for people.
MOMENT = re.compile(r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d{1,6})?Z| \d\d:\d\d:\d\d UTC)")

UNITS = ((86_400, "day"), (3_600, "h"), (60, "min"), (1, "s"))


def linked(text: str) -> Markup:
    """The text, escaped, with its http and https addresses as links. Nothing else in it becomes HTML."""
    pieces, end = [], 0
    for found in ADDRESS.finditer(text):
        address = _trimmed(found[0])
        if not _has_host(address):
            continue
        pieces += [escape(text[end : found.start()]), _link(address)]
        end = found.start() + len(address)
    return Markup("").join([*pieces, escape(text[end:])])


def time_tag(at: datetime | str, today: date, ago: bool = True, now: datetime | None = None) -> Markup:
    """A moment in UTC; a script shows it in the reader's time zone, and if `ago` how far away it is.

    `at` may be RFC 3339 or what `app.domain.timeline.clock` writes. The date is left out if it is today's.
    `now`: how far away it is stands there without a script, too.
    """
    if isinstance(at, str):
        at = datetime.fromisoformat(at.replace(" UTC", "Z"))
    at = at.astimezone(UTC)
    shown = f"{at:%H:%M} UTC" if at.date() == today else f"{at.day} {at:%b %H:%M} UTC"
    if now is not None:
        shown += f", {away((at - now).total_seconds())}"
    return Markup('<time datetime="{}"{}>{}</time>').format(
        f"{at:%Y-%m-%dT%H:%M:%SZ}", Markup(" data-ago") if ago else "", shown.replace(" UTC", "\xa0UTC")
    )


def away(seconds: float) -> str:
    """How far away a moment is, as `static/time.js` says it: "in 3 min", "2 h ago"."""
    size, unit = next((pair for pair in UNITS if abs(seconds) >= pair[0]), UNITS[-1])
    count = int(abs(seconds) // size)
    words = f"{count} {unit}{'s' if unit == 'day' and count > 1 else ''}"
    return f"in {words}" if seconds > 0 else f"{words} ago"


def timed(text: str, today: date) -> Markup:
    """The text, escaped, with its full times as `time_tag` shows them."""
    pieces, end = [], 0
    for found in MOMENT.finditer(text):
        try:
            tag = time_tag(found[0], today, ago=False)
        except ValueError:
            continue
        pieces += [escape(text[end : found.start()]), tag]
        end = found.end()
    return Markup("").join([*pieces, escape(text[end:])])


def register(app: Flask) -> None:
    """Give them to the templates."""
    app.add_template_filter(linked)
    app.add_template_filter(timed)
    app.add_template_global(time_tag)


def _link(address: str) -> Markup:
    return Markup('<a href="{0}" rel="noopener noreferrer nofollow">{0}</a>').format(address)


def _trimmed(address: str) -> str:
    """Without the punctuation of the sentence around it."""
    while address:
        last = address[-1]
        opening = CLOSING.get(last)
        if last not in ".,;:!?*_" and (opening is None or address.count(opening) >= address.count(last)):
            break
        address = address[:-1]
    return address


def _has_host(address: str) -> bool:
    try:
        return bool(urlsplit(address).hostname)
    except ValueError:
        return False
