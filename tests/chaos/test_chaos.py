"""A short run, as `make chaos` makes longer ones: nothing is lost, nobody is woken for nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import report
from tests.chaos.plan import plan
from tests.chaos.run import run

SECONDS = 40


@pytest.mark.parametrize("seed", [63])
def test_whatever_breaks_every_promise_is_kept(seed: int, tmp_path: Path) -> None:
    result = run(plan(seed, SECONDS), tmp_path)
    assert result.violations == [], report.accusation(result)
    # And the outage at the end, in which the fallback pages.
    assert len(result.history.faults) == len(result.plan.faults) + 1 > 1
    assert sum(event.accepted for event in result.history.events) > 0
