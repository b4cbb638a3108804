"""What commands write: JSON for programs, a table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from app.sanitize import one_line
from app.telemetry import redactor
from config import Config

CELL = 100


def printer(config: Config) -> Callable[[str], None]:
    """Writes lines as they come, without secrets."""
    redact = redactor(config.secrets())

    def report(line: str) -> None:
        sys.stdout.write(f"{redact(line)}\n")
        sys.stdout.flush()

    return report


def write_json(values: Iterable[Any]) -> None:
    """A JSON object a line."""
    sys.stdout.write("".join(f"{json.dumps(value)}\n" for value in values))


def write_table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, shrinks: str = "") -> None:
    """A table for eyes, without the control characters that strangers may have sent.

    `shrinks`: the column that is cut where the terminal is too narrow; without one, cells are folded.
    """
    cells = [[one_line(cell, CELL) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        sys.stdout.write("".join("\t".join(row) + "\n" for row in cells))
        return
    # Costs a tenth of a second, so a pipe must not wait for it.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for heading in headings:
        # Only columns that may wrap give way.
        table.add_column(heading, overflow="fold", no_wrap=bool(shrinks) and heading != shrinks)
    for row in cells:
        # As text: a stranger's square brackets are no mark-up.
        texts = dict(zip(headings, map(Text, row), strict=True))
        if shrinks:
            texts[shrinks].no_wrap, texts[shrinks].overflow = True, "ellipsis"
        table.add_row(*texts.values())
    Console().print(table)
