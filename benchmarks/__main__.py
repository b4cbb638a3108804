"""`make bench`: measures everything and prints one table; ends with 1 when a goal was missed."""

from __future__ import annotations

import sys
import time

from benchmarks.intake import latency, throughput
from benchmarks.pages import lateness, start
from benchmarks.report import Row, machine, table
from benchmarks.senders import normalise
from benchmarks.storm import storm

SECTIONS = (normalise, lateness, start, storm, latency, throughput)


def main() -> int:
    """The exit code."""
    began = time.monotonic()
    on = machine()
    rows: list[Row] = []
    for section in SECTIONS:
        for row in section():
            print(f"{time.monotonic() - began:4.0f} s  {row.what}: {row.value}", file=sys.stderr, flush=True)
            rows.append(row)
    print(f"\n{on}\n\n{table(rows)}")
    return 1 if any(row.met is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
