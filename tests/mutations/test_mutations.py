"""Each mutation still applies and names tests that exist; and what counts as caught."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.chaos.checker import RULES
from tests.mutations.mutation import DoesNotApply, Mutation
from tests.mutations.table import MUTATIONS
from tests.mutations.trial import ROOT, run_tests

FEWEST = 14
FEWEST_BY_CHAOS = 6

A = Mutation("a", "One is two.", "one.py", "ONE = 1", "ONE = 2", ())


@cache
def parsed(program: str) -> str:
    """Many mutations are of the same file."""
    return ast.dump(ast.parse(program))


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one.name)
def test_it_applies_and_leaves_a_program(mutation: Mutation) -> None:
    text = (ROOT / mutation.file).read_text()
    mutated = mutation.mutated(text)
    assert mutated != text
    if mutation.file.endswith(".py"):
        assert ast.dump(ast.parse(mutated)) != parsed(text)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one.name)
def test_what_must_catch_it_exists(mutation: Mutation) -> None:
    for one in mutation.tests:
        path, _, name = one.partition("::")
        assert f"def {name}(" in (ROOT / path).read_text() if name else (ROOT / path).is_file()
    assert mutation.tests
    assert mutation.chaos is None or mutation.chaos.rule in [rule.__name__ for rule in RULES]


def test_there_are_enough_and_none_is_there_twice() -> None:
    assert len({one.name for one in MUTATIONS}) == len(MUTATIONS) >= FEWEST
    assert len([one for one in MUTATIONS if one.chaos]) >= FEWEST_BY_CHAOS


@pytest.mark.parametrize("text", ["TWO = 2\n", "ONE = 1\nONE = 1\n"])
def test_a_mutation_that_does_not_apply_exactly_once_is_an_error(text: str) -> None:
    with pytest.raises(DoesNotApply, match=r"'a' does not apply: its text is [02] times in one\.py"):
        A.mutated(text)


@pytest.mark.parametrize(
    ("test", "noticed", "what"),
    [
        ("def test_it() -> None: assert one.ONE == 1", False, "no test"),
        ("def test_it() -> None: assert one.ONE == 2", True, "test_one.py::test_it"),
        ("from one import TWO", None, "pytest ended with 2"),
        ("def test_it(unknown: int) -> None: pass", None, "pytest ended with 1"),
        ("", None, "pytest ended with 5"),
    ],
)
def test_only_a_test_that_fails_is_a_catch(
    test: str, noticed: bool | None, what: str, tmp_path: Path
) -> None:
    (tmp_path / "one.py").write_text("ONE = 1\n")
    (tmp_path / "test_one.py").write_text(f"import one\n{test}\n")
    found = run_tests(tmp_path, ["test_one.py"])
    assert found.noticed is noticed
    assert found.what.startswith(what)
