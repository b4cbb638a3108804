"""Draws how each measure grows with what is pending: several small panels over one logarithmic axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot
from matplotlib.axes import Axes

from local.processes import ROOT

PICTURE = Path("docs/images/growth.png")
COLUMNS = 3
INK = "#1f2937"
COLORS = ("#2563eb", "#d97706")


@dataclass(frozen=True)
class Panel:
    """One measure at each level; `lines` by their names, an empty one where there is a single line."""

    title: str
    unit: str
    lines: Mapping[str, Sequence[float]]


def draw(levels: Sequence[int], panels: Sequence[Panel], caption: str) -> None:
    """Write the picture."""
    rows = -(-len(panels) // COLUMNS)
    figure, axes = pyplot.subplots(rows, COLUMNS, figsize=(11, 2.9 * rows + 0.4), squeeze=False)
    for panel, place in zip(panels, axes.flat, strict=True):
        _panel(place, levels, panel)
    figure.supxlabel(f"incidents pending\n{caption}", fontsize=9, color=INK)
    figure.tight_layout()
    figure.savefig(ROOT / PICTURE, dpi=110, facecolor="white")
    pyplot.close(figure)


def _panel(axes: Axes, levels: Sequence[int], panel: Panel) -> None:
    for (name, values), color in zip(panel.lines.items(), COLORS, strict=False):
        axes.plot(levels, values, marker="o", markersize=4, color=color, label=name or None)
    axes.set_title(panel.title + (f", {panel.unit}" if panel.unit else ""), fontsize=10, color=INK)
    axes.set_xscale("log")
    axes.set_xticks(levels, [_short(level) for level in levels], fontsize=8)
    axes.minorticks_off()
    # From nothing, so that what is flat looks flat.
    axes.set_ylim(0, 1.25 * max(max(values) for values in panel.lines.values()))
    axes.tick_params(axis="y", labelsize=8)
    axes.grid(axis="y", color="#e5e7eb")
    axes.spines[["top", "right"]].set_visible(False)
    if len(panel.lines) > 1:
        axes.legend(fontsize=8, frameon=False)


def _short(level: int) -> str:
    return f"{level // 1000}k" if level >= 1_000 else str(level)
