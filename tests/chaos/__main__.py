"""`python -m tests.chaos`: one run. 0: all well; 1: a rule was broken; 2: nothing could be said."""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sys
from pathlib import Path

from tests.chaos import report
from tests.chaos.plan import plan
from tests.chaos.platform import NotStarted
from tests.chaos.run import SETTLED_WITHIN, run


def main() -> int:
    """Run as told on the command line."""
    # Ends like Ctrl-C: with everything that was started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    options = _options()
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    seconds = options.minutes * 60 if options.seconds is None else options.seconds
    print(f"seed {seed}: again with `make chaos SEED={seed} MINUTES={seconds / 60:g}`", flush=True)
    try:
        result = run(plan(seed, seconds), options.folder, options.settle)
    except NotStarted as error:
        print(f"The harness could not run: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 2
    numbers = report.summary(result)
    print(report.described(numbers))
    if options.record is not None:
        with options.record.open("a") as file:
            file.write(json.dumps(numbers) + "\n")
    if result.violations:
        print(report.accusation(result))
        return 1
    if options.folder is None:
        shutil.rmtree(result.folder)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="the same seed is the same schedule; default: a random one")
    parser.add_argument("--minutes", type=float, default=2.0, help="how long faults and load last")
    parser.add_argument("--seconds", type=float, help="the same, in seconds")
    parser.add_argument(
        "--settle", type=float, default=SETTLED_WITHIN, help="seconds to wait for what is still to be sent"
    )
    parser.add_argument("--record", type=Path, metavar="FILE", help="append the numbers as one line of JSON")
    parser.add_argument("--folder", type=Path, help="where logs and history go; default: a temporary folder")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
