"""`python -m tests.mutations`: 0: each mutation was caught; 1: one survived; 2: nothing could be said."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tests.mutations.mutation import DoesNotApply, Mutation
from tests.mutations.table import MUTATIONS
from tests.mutations.trial import ROOT, Finding, copied, run_chaos, run_tests

Row = tuple[str, str, str, str]
AT_ONCE = 2
HEAD: Row = ("mutation", "what it breaks", "caught by", "seconds")


def main() -> int:
    """Run as told on the command line."""
    # Ends like Ctrl-C: with everything that was started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    options = _options()
    chosen = [one for one in MUTATIONS if not options.names or one.name in options.names]
    try:
        for one in chosen:
            one.mutated((ROOT / one.file).read_text())
    except DoesNotApply as error:
        print(error, file=sys.stderr)
        return 2
    if not _all_is_well_without(chosen, chaos=options.chaos):
        return 2
    rows, noticed = [HEAD], []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for row, found in pool.map(partial(_tried, chaos=options.chaos), chosen):
            print(f"{row[0]} | {row[1]} | {row[2]} | {row[3]}", flush=True)
            rows.append(row)
            noticed.append(found)
    print("\n" + _table(rows))
    print(f"\n{noticed.count(True)} of {len(chosen)} mutations were caught.")
    if None in noticed:
        return 2
    return 0 if all(noticed) else 1


def _options() -> argparse.Namespace:
    names = [one.name for one in MUTATIONS]
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"these alone, of {', '.join(names)}")
    parser.add_argument("--chaos", action="store_true", help="chaos has to catch those that say so, too")
    options = parser.parse_args()
    if unknown := set(options.names) - set(names):
        parser.error(f"there is no mutation {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    return options


def _all_is_well_without(chosen: Sequence[Mutation], *, chaos: bool) -> bool:
    """Whether nothing is found in a copy without a mutation: else what is found with one proves nothing."""
    seeds = {one.chaos.seed for one in chosen if one.chaos} if chaos else set()
    with copied() as folder:
        findings = [run_tests(folder, sorted({name for one in chosen for name in one.tests}), whole=True)]
    for seed in sorted(seeds):
        with copied() as folder:
            findings.append(run_chaos(folder, seed))
    wrong = [found for found in findings if found.noticed is not False]
    for found in wrong:
        print(f"Without any mutation: {found.what}", file=sys.stderr)
    return not wrong


def _tried(mutation: Mutation, *, chaos: bool) -> tuple[Row, bool | None]:
    """The row of the table, and whether all that had to notice did."""
    began = time.monotonic()
    with copied(mutation) as folder:
        findings = [run_tests(folder, mutation.tests)]
        if chaos and mutation.chaos is not None:
            findings.append(run_chaos(folder, mutation.chaos.seed, mutation.chaos.rule))
    row = (mutation.name, mutation.breaks, "; ".join(map(_told, findings)), f"{time.monotonic() - began:.0f}")
    noticed = [found.noticed for found in findings]
    return row, None if None in noticed else all(noticed)


def _told(found: Finding) -> str:
    if found.noticed is None:
        print(found.what, file=sys.stderr)
    return found.what if found.noticed else f"NOT CAUGHT ({found.what.partition(':')[0]})"


def _table(rows: Sequence[Row]) -> str:
    """As Markdown."""
    head, *body = (f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows)
    return "\n".join((head, "|---|---|---|---|", *body))


if __name__ == "__main__":
    sys.exit(main())
