"""Three thousand due at once, with no limit of our own: only incident.io's 429 tells when to stop.

It takes the two minutes that 1,200 events a minute make of 3,000.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from benchmarks.drain import attempts_per_incident, share_of_allowed
from benchmarks.report import percentile
from tests.stories import storm
from tests.stories.stack import Stack
from tests.stories.storm import PER_MINUTE, SOURCE, WORKERS


def test_an_answer_of_429_holds_back_everybody_who_would_get_the_same(own: Callable[..., Stack]) -> None:
    drained = storm.run(own(workers=WORKERS, incident_io=storm.settings(max_per_minute=0)))
    keys = Counter(event.body["deduplication_key"] for event in drained.events)
    assert set(keys) == set(drained.severities)
    assert max(keys.values()) == 1
    statuses = Counter(request.status for request in drained.requests)
    assert set(statuses) == {202, 429}
    assert attempts_per_incident(drained.requests, SOURCE) <= 1.5
    share = share_of_allowed(drained.events, PER_MINUTE)
    assert share >= 0.9
    late_for_most = percentile(drained.lateness_of_others(), 90)
    # Behind the storm it would be a minute.
    assert late_for_most < 10
