"""Which alerts and incidents a rule or a silence is about: fields, and patterns for what they hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import translate
from functools import lru_cache

from config.values import SEVERITIES, InvalidValue

RIGHT = "a mapping such as {service: checkout, severity: [low, info]}"
LABEL = "label."
FIELDS = ("source", "service", "severity", "title", "namespace")
_ALL_FIELDS = f"{', '.join(FIELDS)} and {LABEL}<name>"
_NEVER_EMPTY = ("source", "title")

LONGEST_PATTERN = 256
MOST_PATTERNS = 500
"""In one match, over all of its fields."""


@dataclass(frozen=True, slots=True)
class Match:
    """What must be so of an alert or an incident; every condition must hold."""

    conditions: tuple[tuple[str, tuple[str, ...]], ...]
    """Fields, and the patterns of which one must fit what the field holds."""

    @staticmethod
    def read(value: object) -> Match:
        """From a mapping of fields to a text or a list of texts, as YAML or JSON have it.

        Raises `InvalidValue`, whose text goes on with a sentence that begins with what holds the mapping.
        """
        if not isinstance(value, Mapping):
            raise InvalidValue(f"must be {RIGHT}")
        read = Match(tuple(_condition(field, given) for field, given in value.items()))
        fields = [field for field, _ in read.conditions]
        if twice := next((field for field in fields if fields.count(field) > 1), None):
            raise InvalidValue(f"has {twice} twice, as names are compared without regard to case: remove one")
        if sum(len(patterns) for _, patterns in read.conditions) > MOST_PATTERNS:
            raise InvalidValue(f"has more than {MOST_PATTERNS} patterns: use wildcards, or divide it")
        return read

    def matches(self, facts: Mapping[str, str]) -> bool:
        """Whether all conditions hold; `facts` are those of an alert or an incident (`Alert.facts`).

        A field that is not among them counts as empty.
        """
        return all(_any_fits(patterns, facts.get(field, "")) for field, patterns in self.conditions)

    @property
    def is_everything(self) -> bool:
        """Whether nothing can be said that it does not match: no condition, or `*` alone in each."""
        return all(_always(field, patterns) for field, patterns in self.conditions)

    def covers(self, other: Match) -> bool:
        """Whether it matches all that the other does; False where the patterns do not show it."""
        theirs = dict(other.conditions)
        return all(
            _always(field, mine)
            or (field in theirs and all(any(_includes(one, it) for one in mine) for it in theirs[field]))
            for field, mine in self.conditions
        )

    def written(self) -> dict[str, list[str]]:
        """As `read` takes it."""
        return {field: list(patterns) for field, patterns in self.conditions}

    def __str__(self) -> str:
        """In words, such as `severity low or info, label.env prod`."""
        shown = (f"{field} {' or '.join(p or '(none)' for p in some)}" for field, some in self.conditions)
        return ", ".join(shown) or "everything"


def _condition(given: object, value: object) -> tuple[str, tuple[str, ...]]:
    field = _field(given)
    patterns = [value] if isinstance(value, str) else value
    if not isinstance(patterns, list) or not patterns:
        raise InvalidValue(f"must have a text or a list of texts as its {field}")
    return field, tuple(dict.fromkeys(_pattern(field, one) for one in patterns))


def _field(given: object) -> str:
    name = str(given).casefold()
    if name in FIELDS or (name.startswith(LABEL) and name != LABEL):
        return name
    near = get_close_matches(name[:100], (*FIELDS, LABEL + "name"), n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise InvalidValue(f"has {str(given)[:100]!r}, which is no field: {hint}The fields are {_ALL_FIELDS}")


def _pattern(field: str, pattern: object) -> str:
    if not isinstance(pattern, str):
        raise InvalidValue(f"must have a text or a list of texts as its {field}")
    if len(pattern) > LONGEST_PATTERN:
        raise InvalidValue(f"has a pattern of more than {LONGEST_PATTERN} characters as its {field}")
    if field == "severity" and not any(_fits(pattern, one) for one in ("", *SEVERITIES)):
        known = ", ".join(SEVERITIES)
        raise InvalidValue(f"has {pattern!r} as its severity, which no alert can have: there are {known}")
    if field in _NEVER_EMPTY and not pattern:
        raise InvalidValue(f"has an empty text as its {field}, which no alert can have")
    return pattern


def _any_fits(patterns: tuple[str, ...], text: str) -> bool:
    return any(_fits(pattern, text) for pattern in patterns)


def _fits(pattern: str, text: str) -> bool:
    return _compiled(pattern).match(text) is not None


@lru_cache(maxsize=10_000)
def _compiled(pattern: str) -> re.Pattern[str]:
    # What `translate` makes never tries a star again once the next piece was found: the time is linear in the
    # length of the text. Its only other special character is the bracket.
    return re.compile(translate(pattern.replace("[", "[[]")), re.IGNORECASE)


def _always(field: str, patterns: tuple[str, ...]) -> bool:
    if field == "severity":
        return all(_any_fits(patterns, one) for one in ("", *SEVERITIES))
    most = 1 if field in _NEVER_EMPTY else 0
    return any("*" in one and not one.strip("*?") and one.count("?") <= most for one in patterns)


def _includes(one: str, other: str) -> bool:
    """Whether the first pattern fits all that the second does; False where that is not certain."""
    if one == other:
        return True
    # A question mark stands for one character, which a star of the other may not be.
    return _fits(one, other) and not ("?" in one and "*" in other)
