"""Words that must not come back: each has a plainer one that a stranger knows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("app", "benchmarks", "config", "deploy", "docs", "local", "tasks", "tests")
KINDS = {".py", ".md", ".html", ".txt", ".css", ".js", ".lua", ".yaml", ".yml", ".conf", ".service", ".tpl"}
# What others wrote, and this list.
EXCEPT = ("tests/ingest/webhooks/payloads", "tests/deploy/schemas", "tests/test_words.py")

WORDS = {
    "agenda": "delivery queue",
    "all[- _]clear": "resolve event",
    "bell": "wake-up list",
    "entrance": "authenticator",
    "gateway(?![ _-]?secr|'s|<)": "services",
    "h[eo]lds? back|holding back|held back": "paused, deferred",
    "hold_back": "back_off",
    "in vain": "without success",
    "knock(s|ed|ing)?": "task, enqueue",
    "mend(s|ed)?": "fix",
    "news": "changes, events",
    "notices_waiting": "notifications_waiting",
    "owe[sd]?|owing": "to be sent",
    "page_now|paged_now": "escalate_now",
    "parked": "deferred",
    "second hand": "sweeper",
    "shall": "must",
    "teller": "printer",
    "(?-i:[Ww]akeup)(?!s)": "task_queue",
    "whoever": "anyone who",
}
# Exceptions say the noun.
NAMES = {
    "NoRoom": "ServerBusy",
    "NotAllowed": "InvalidTransition",
    "NotKept": "RejectedNotFound",
    "NotNow": "VerificationUnavailable",
    "NotOne": "AmbiguousId",
    "NotReady": "OnCallNotConfigured",
    "TooLate": "DeadlineExceeded",
}
# An underscore ends a word: `_agenda` is one too.
PATTERN = re.compile(
    rf"(?<![A-Za-z])(?i:{'|'.join(WORDS)})(?![a-z])|\b({'|'.join(NAMES)})\b",
)


def files() -> list[Path]:
    """Everything that people write here."""
    found = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*") if file.suffix in KINDS]
    found += [file for file in ROOT.glob("*") if file.suffix in KINDS and file.name != "CHANGELOG.md"]
    return [file for file in found if not str(file.relative_to(ROOT)).startswith(EXCEPT)]


def found_in(text: str) -> Iterator[str]:
    """The lines with such a word, each with its number."""
    for number, line in enumerate(text.splitlines(), 1):
        if found := PATTERN.search(line):
            yield f"{number}: {found[0]!r} in {line.strip()[:100]}"


def test_words_that_were_replaced_stay_away() -> None:
    paths = files()
    assert len(paths) > 400
    assert {str(file.relative_to(ROOT)): list(found_in(file.read_text())) for file in paths} == {
        str(file.relative_to(ROOT)): [] for file in paths
    }


@pytest.mark.parametrize(
    "line",
    ["self._agenda", "Gateway(config)", "the all-clear", "page_now()", "It shall", "raise NotNow('x')"],
)
def test_such_a_word_is_found(line: str) -> None:
    assert list(found_in(line))


@pytest.mark.parametrize(
    "line", ["gateway_secret", "X-Gateway-Secret", "recommend", "shallow", "wakeups", "FLUSHALL"]
)
def test_what_only_resembles_one_is_not(line: str) -> None:
    assert not list(found_in(line))
