"""What a provider says became of a page that it took, and when it is asked; pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

CHECKS = (timedelta(seconds=5), timedelta(seconds=15), timedelta(seconds=45))
"""After the page was taken."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What became of a page."""

    finding: Literal["notified", "nobody_yet", "no_alert", "unknown"]
    """`unknown`: the answer was not understood, or there was none; nothing follows from it."""
    detail: str = ""
    """One sentence for the timeline; free of secrets."""
