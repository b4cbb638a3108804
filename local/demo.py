"""`make demo`: see `local/two_stories.py`.

With DEMO_EXIT=1 in the environment it ends after the two stories, with 0 if both came out right.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import ExitStack
from typing import NoReturn


def main() -> int:
    """0 if both stories came out right."""
    # In silence, from the first moment on: to load everything takes half a second.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from local.two_stories import SECRET, Demo, Printer

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    with ExitStack() as stack:
        printer = Printer()
        try:
            demo = Demo(printer, stack)
            right = demo.run()
        except RuntimeError as error:
            print(error, file=sys.stderr)
            return 1
        if os.environ.get("DEMO_EXIT", "") not in ("", "0"):
            return 0 if right else 1
        printer.say(f"The dashboard: {demo.base} (any name, gateway secret: {SECRET}). Ctrl-C ends it.")
        address = f"{demo.base}/api/incidents?oncall_wait_minutes=0.2"
        printer.say(f"Try: curl -d '{{\"title\": \"Hello\"}}' '{address}'")
        threading.Event().wait()
    return 0


def _end(number: int, _: object) -> NoReturn:
    # The processes are ended in order, which a second Ctrl-C must not cut short.
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
