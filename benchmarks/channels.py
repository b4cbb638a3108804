"""Whether channels make senders or pages wait."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack

from benchmarks.intake import RATE, SHORT, WARM_UP, bodies, closed_loop, on_schedule
from benchmarks.pages import crowd
from benchmarks.report import Row, at_most, percentile, spread
from benchmarks.service import Service
from tests.destinations.standin import StandIn

WELL = 4
SECONDS = 8
GOAL = 1.3

CROWD = 500
CROWD_ROUNDS = 3
FLOOD, FLOOD_AT_ONCE = 5_000, 500
PAGES_GOAL = 1.2


def answers() -> Iterable[Row]:
    """With four channels that take everything and one that hangs, against none.

    One after the other, since channels that are notified take their share of the cores meanwhile.
    """
    with ExitStack() as parts:
        services = [parts.enter_context(StandIn().serving()) for _ in range(WELL + 1)]
        services[-1].hangs.set()
        alone = _took(())
        telling = _took([f"json://127.0.0.1:{one.port}/x" for one in services])
        if not all(one.got for one in services):
            raise RuntimeError("somebody was told nothing")
    for percent in (50, 99):
        ratio = percentile(telling, percent) / percentile(alone, percent)
        shown = f"{ratio:.2f} ({spread(telling, 'ms', 1000)} against {spread(alone, 'ms', 1000)})"
        what = f"p{percent} of webhooks at {RATE} a second, five channels of which one hangs, against none"
        yield at_most(what, ratio, GOAL, "", shown=shown)


def _took(channels: Sequence[str]) -> list[float]:
    with Service(channels=channels) as service:
        service.start_worker()
        service.ready()
        closed_loop(service.client, SHORT, bodies(WARM_UP))
        return on_schedule(service.client, SECONDS)


def beside_pages() -> Iterable[Row]:
    """A crowd of pages with five channels, of which one hangs and one is flooded, against none."""
    with ExitStack() as parts:
        services = [parts.enter_context(StandIn().serving()) for _ in range(WELL + 1)]
        services[-1].hangs.set()
        rounds = range(CROWD_ROUNDS)
        late = [(_late(()), _late([f"json://127.0.0.1:{one.port}/x" for one in services])) for _ in rounds]
    ratio = statistics.median(percentile(told, 99) / percentile(alone, 99) for alone, told in late)
    shown = f"{ratio:.2f} ({spread(late[-1][1], 's')} against {spread(late[-1][0], 's')} in the last round)"
    what = f"p99 of {CROWD} pages due at once, a channel hangs and one has {FLOOD:,} incidents, against none"
    yield at_most(f"{what} (median of {CROWD_ROUNDS} rounds)", ratio, PAGES_GOAL, "", shown=shown)


def _late(channels: Sequence[str]) -> list[float]:
    with Service(channels=channels) as service:
        service.start_worker()
        service.ready()
        flooded = {"channels": "c0"} if channels else {}
        due = time.time() + 8
        for _ in range(FLOOD // FLOOD_AT_ONCE):
            service.client.report(
                [{"title": "Disk full"}] * FLOOD_AT_ONCE, 0, oncall_enable="false", **flooded
            )
        return crowd(service, CROWD, 50, due)
