"""Whatever is silenced, ended, repeated and interrupted, and in whatever order: nothing is lost."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from datetime import datetime

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app import actions, silences
from app.bootstrap import Services
from app.delivery import pages
from app.domain.delivery import InvalidTransition
from app.domain.incident import Incident
from app.domain.state import State
from app.store import Search, Store, StoreUnavailable
from tests.factories import receive_one
from tests.fakes import EPOCH, Clock, RecordingProvider

MOVES = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(("report", "deliver", "acknowledge", "resolve")), st.integers(0, 2)),
        st.tuples(st.just("silence"), st.sampled_from((1, 5, 30))),
        st.tuples(st.just("end"), st.integers(0, 3)),
        st.tuples(st.just("die"), st.integers(0, 3)),
        st.tuples(st.just("wind"), st.sampled_from((1, 4, 31))),
    ),
    min_size=3,
    max_size=15,
)


def settled_until_it_died(services: Services, batches: int) -> None:
    """A process that is killed after so many batches; its right to settle runs out."""
    left, bring = [batches], silences._bring_in_line

    def dies(*args: object) -> int:
        left[0] -= 1
        if left[0] < 0:
            raise StoreUnavailable("killed")
        return bring(*args)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(silences, "_bring_in_line", dies)
        patch.setattr(silences, "BATCH", 1)
        with suppress(StoreUnavailable):
            silences.settle(services)
    services.store.silences.release()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(MOVES)
def test_what_is_still_there_pages_once_no_silence_holds_it_and_never_before(
    services: Services,
    redis_url: str,
    clock: Clock,
    provider: RecordingProvider,
    moves: list[tuple[str, int]],
) -> None:
    redis.Redis.from_url(redis_url).flushall()
    clock.now = EPOCH
    provider.events.clear()
    # Two processes, which read the list at different times.
    both = [dataclasses.replace(services, store=Store(redis_url)) for _ in range(2)]
    quiet = EPOCH
    active: dict[str, datetime] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(silences, "_settle_at_once", lambda _: None)
        for n, (move, which) in enumerate(moves):
            process, ids = both[n % 2], [one.id for one in _all(services)]
            paged = len(provider.events)
            match move:
                case "report":
                    receive_one(process, wait=2, service="checkout", identity=str(which))
                case "silence":
                    made = silences.make(
                        process, {"service": "check*"}, minutes=which, until=None, comment="x", by="y"
                    )
                    active[made.id] = made.until
                case "end" if active:
                    ended = list(active)[which % len(active)]
                    silences.end(process, ended, "y")
                    del active[ended]
                case "die":
                    settled_until_it_died(process, which)
                case "wind":
                    clock.wind(minutes=which)
                case "acknowledge" | "resolve" if ids:
                    act = actions.acknowledge if move == "acknowledge" else actions.resolve
                    with suppress(InvalidTransition):
                        act(process, ids[which % len(ids)], "y")
                case "deliver":
                    for incident_id in ids:
                        pages.deliver(process, incident_id)
            quiet = max((until for until in active.values() if until > clock.now), default=clock.now)
            if quiet > clock.now:
                assert not [event for event in provider.events[paged:] if event.kind == "firing"]
        clock.now = quiet
        silences.settle(services)
        clock.wind(minutes=2, seconds=1)
        for one in _all(services):
            pages.deliver(services, one.id)
    assert {one.state for one in _all(services)} <= {State.ESCALATED, State.ACKNOWLEDGED, State.RESOLVED}
    assert services.store.silences.unsettled(clock.now) == []


def _all(services: Services) -> list[Incident]:
    return services.store.incidents.page(Search(), 100, None).incidents
