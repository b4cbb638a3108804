"""`make bench`: measures everything and prints one table; ends with 1 when a goal was missed.

`python -m benchmarks NAME …` measures these alone; `storm120` (25 minutes), `limits` (4), `overload`
(2), `million` (10) and `silences` (1) by hand only.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable

from benchmarks.channels import answers, beside_pages
from benchmarks.dashboard import dashboard
from benchmarks.growth import growth
from benchmarks.intake import latency, throughput
from benchmarks.limits import limits
from benchmarks.million import million
from benchmarks.overload import overload
from benchmarks.pages import lateness, start
from benchmarks.report import Row, machine, table
from benchmarks.retention import retention
from benchmarks.senders import normalise
from benchmarks.silences import silences
from benchmarks.stand_in import stand_in_alone
from benchmarks.storm120 import storm120

SECTIONS: dict[str, Callable[[], Iterable[Row]]] = {
    "stand_in": stand_in_alone,
    "normalise": normalise,
    "lateness": lateness,
    "start": start,
    "latency": latency,
    "channels": answers,
    "beside_pages": beside_pages,
    "throughput": throughput,
    "growth": growth,
    "retention": retention,
    "dashboard": dashboard,
}
BY_HAND: dict[str, Callable[[], Iterable[Row]]] = {
    "storm120": storm120,
    "limits": limits,
    "overload": overload,
    "million": million,
    "silences": silences,
}


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    known = SECTIONS | BY_HAND
    parser.add_argument("section", nargs="*", metavar="NAME", help=f"of {', '.join(known)}")
    names = parser.parse_args().section or list(SECTIONS)
    if unknown := [name for name in names if name not in known]:
        parser.error(f"there is no section {unknown[0]!r}: the sections are {', '.join(known)}")
    began = time.monotonic()
    on = machine()
    rows: list[Row] = []
    for name in names:
        for row in known[name]():
            print(f"{time.monotonic() - began:4.0f} s  {row.what}: {row.value}", file=sys.stderr, flush=True)
            rows.append(row)
    print(f"\n{on}\nin {time.monotonic() - began:.0f} s\n\n{table(rows)}")
    return 1 if any(row.met is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
