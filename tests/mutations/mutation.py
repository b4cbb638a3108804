"""What a mutation is: one promise broken by one small change, and who is expected to notice."""

from __future__ import annotations

from dataclasses import dataclass


class DoesNotApply(Exception):
    """The text that a mutation replaces is not there, or is there more than once; says which and where."""


@dataclass(frozen=True, slots=True)
class Chaos:
    """A chaos run that finds it out by itself: seed, and the rule that is broken then."""

    seed: int
    rule: str


@dataclass(frozen=True, slots=True)
class Mutation:
    """`before` becomes `after` in `file`; `tests` and, for some, `chaos` must see it."""

    name: str
    breaks: str
    """In one sentence, what is not true any more."""
    file: str
    before: str
    after: str
    tests: tuple[str, ...]
    """What pytest must run: the cheapest that is expected to fail."""
    chaos: Chaos | None = None

    def mutated(self, text: str) -> str:
        """The text of `file` with the mutation in it. Raises `DoesNotApply`."""
        found = text.count(self.before)
        if found != 1:
            raise DoesNotApply(
                f"The mutation {self.name!r} does not apply: its text is {found} times in {self.file}, "
                "not once. If the code has changed, change tests/mutations/table.py with it."
            )
        return text.replace(self.before, self.after)
