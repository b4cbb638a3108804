"""What `make release` checks before it makes anything, and what the source archive is."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from app import __version__
from local.release import CHART, ROOT, mistakes, sections, source_archive

CHANGELOG = """# Changelog

## [Unreleased]

## [1.0.0] - 2026-12-24

### Added

- Everything.

## [0.9.0] - 2026-01-02

- Less.
"""
NUMBERS = "version: 1.0.0\nappVersion: '1.0.0'\n"


def test_a_tree_that_is_ready_has_no_mistakes() -> None:
    assert mistakes("1.0.0", CHANGELOG, NUMBERS, ["v0.9.0"], []) == []
    assert sections(CHANGELOG, "1.0.0") == [("2026-12-24", "### Added\n\n- Everything.")]
    assert sections(CHANGELOG, "0.9.0") == [("2026-01-02", "- Less.")]


@pytest.mark.parametrize(
    ("version", "changelog", "chart", "tags", "changed", "sentence"),
    [
        (
            "1.0b",
            CHANGELOG.replace("1.0.0", "1.0b"),
            "{version: 1.0b, appVersion: 1.0b}",
            [],
            [],
            "three numbers",
        ),
        ("1.0.0", CHANGELOG, NUMBERS, ["v1.0.0"], [], "The tag v1.0.0 is there already"),
        ("1.0.0", CHANGELOG, "version: 1.0.0\nappVersion: '0.9.0'", [], [], f"{CHART} has another"),
        ("1.0.0", CHANGELOG.replace("1.0.0", "1.0.1"), NUMBERS, [], [], "one section `## [1.0.0] - <date>`"),
        ("1.0.0", CHANGELOG.replace("0.9.0", "1.0.0"), NUMBERS, [], [], "must have one section"),
        ("1.0.0", CHANGELOG.replace(" - 2026-12-24", ""), NUMBERS, [], [], "must have one section"),
        ("1.0.0", CHANGELOG.replace("2026-12-24", "soon"), NUMBERS, [], [], "must have one section"),
        ("1.0.0", "## [1.0.0] - 2026-12-24\n\n## [0.9.0]\n\n- Less.\n", NUMBERS, [], [], "and a text"),
        ("1.0.0", CHANGELOG.replace("d]", "d]\n\n- New."), NUMBERS, [], [], "still has changes under"),
        ("1.0.0", CHANGELOG, NUMBERS, [], ["setup.cfg"], "Not committed: setup.cfg."),
    ],
)
def test_each_mistake_is_one_sentence(
    version: str, changelog: str, chart: str, tags: list[str], changed: list[str], sentence: str
) -> None:
    [said] = mistakes(version, changelog, chart, tags, changed)
    assert sentence in said


def test_the_chart_has_the_version_of_the_code_and_nobody_else_names_it() -> None:
    wrong = mistakes(
        __version__, f"## [{__version__}] - 2026-12-24\n- x\n", (ROOT / CHART).read_text(), [], []
    )
    assert wrong == []
    files = ("setup.cfg", "app.json", "compose.yaml", "README.md")
    assert [name for name in files if __version__ in (ROOT / name).read_text()] == []


def test_the_source_archive_is_the_commit_with_its_tests(tmp_path: Path) -> None:
    with tarfile.open(source_archive("HEAD", "versus-incident-1.0.0", tmp_path)) as archive:
        names = set(archive.getnames())
    wanted = {"Makefile", "app/store/lua/commit.lua", "tests/conftest.py", "Procfile"}
    assert {f"versus-incident-1.0.0/{name}" for name in wanted} <= names
