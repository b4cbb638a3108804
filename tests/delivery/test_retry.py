"""Whether and when a failed attempt is followed by another: pauses, and giving up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.delivery.retry import NOTIFICATIONS, PAGES, RetryPolicy
from app.domain.delivery import Delivery, Outcome

NOW = datetime(2026, 3, 4, 3, 0, tzinfo=UTC)
TRY_AGAIN = Outcome("try_again", "500", "server_error")
MISCONFIGURED = Outcome("misconfigured", "404", "not_found")
BOTH = pytest.mark.parametrize("policy", [PAGES, NOTIFICATIONS], ids=["pages", "notifications"])


def seconds(policy: RetryPolicy, outcome: Outcome = TRY_AGAIN, **delivery: object) -> float | None:
    """How long after a failure the next attempt is; None if there is none."""
    again_at = policy.again_at(Delivery(**delivery), outcome, NOW)  # type: ignore[arg-type]
    return None if again_at is None else (again_at - NOW).total_seconds()


@pytest.mark.parametrize(
    ("policy", "growing"),
    [
        (PAGES, [1, 2, 4, 8, 16, 32, 60, 60, 60]),
        (NOTIFICATIONS, [5, 10, 20, 40, 80, 160, 300, 300]),
    ],
    ids=["pages", "notifications"],
)
def test_pauses_grow_to_the_longest_with_jitter(policy: RetryPolicy, growing: list[float]) -> None:
    for failures, pause in enumerate(growing):
        made = {policy.pause(failures, Outcome("try_again")).total_seconds() for _ in range(50)}
        assert all(0.75 * pause <= one <= 1.25 * pause for one in made)
        # A thousand that failed in the same second do not come back in the same second.
        assert len(made) > 40
        # The same, where the outcome says when.
        again = seconds(policy, failures=failures)
        assert again is not None
        assert 0.75 * pause <= again <= 1.25 * pause


@BOTH
@given(failures=st.integers(0, 10**6), not_before=st.none() | st.floats(0, 10**6))
def test_a_pause_is_never_less_than_was_asked_for_nor_more_than_it_may_be(
    policy: RetryPolicy, failures: int, not_before: float | None
) -> None:
    pause = policy.pause(failures, Outcome("try_again", not_before=not_before))
    asked = timedelta(seconds=not_before or 0)
    assert pause >= asked
    assert pause >= timedelta(seconds=0.75 * policy.first)
    assert pause <= max(asked, timedelta(seconds=1.25 * policy.longest))


@BOTH
def test_what_the_destination_asks_for_counts_if_it_is_longer(policy: RetryPolicy) -> None:
    long = Outcome("try_again", "429", "rate_limited", not_before=3600.0)
    assert seconds(policy, long, failures=3) == 3600.0
    short = Outcome("try_again", "429", "rate_limited", not_before=0.001)
    again = seconds(policy, short, failures=3)
    assert again is not None
    assert again >= 0.75 * policy.first * 2**3


def test_a_page_that_is_refused_for_good_is_tried_every_five_minutes_for_ever() -> None:
    for failing_since in (None, NOW, NOW - timedelta(days=30)):
        assert seconds(PAGES, MISCONFIGURED, failures=50, failing_since=failing_since) == 300.0


def test_a_notification_that_is_refused_for_good_is_tried_and_given_up_like_any_other() -> None:
    again = seconds(NOTIFICATIONS, MISCONFIGURED)
    assert again is not None
    assert 3.75 <= again <= 6.25
    hour = timedelta(hours=1)
    assert seconds(NOTIFICATIONS, MISCONFIGURED, failures=9, failing_since=NOW - hour) is None


@pytest.mark.parametrize(
    ("policy", "given_up_after"),
    [(PAGES, timedelta(hours=24)), (NOTIFICATIONS, timedelta(hours=1))],
    ids=["pages", "notifications"],
)
def test_it_is_given_up_so_long_after_the_first_failure(
    policy: RetryPolicy, given_up_after: timedelta
) -> None:
    check_pages = timedelta(microseconds=1)
    assert seconds(policy, failures=99, failing_since=NOW - given_up_after + check_pages) is not None
    assert seconds(policy, failures=99, failing_since=NOW - given_up_after) is None
    assert seconds(policy, failures=99, failing_since=NOW - given_up_after - check_pages) is None


@BOTH
def test_the_first_failure_is_never_the_last(policy: RetryPolicy) -> None:
    """However long nobody tried: what was due while no worker lived has its time all the same."""
    assert seconds(policy, failing_since=None) is not None
