"""What an incident's life means in words: whether it paged and why, and what comes next."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.domain.explain import explain, next_step, verdict
from app.domain.incident import Incident
from tests.domain.test_incident import (
    ACKNOWLEDGED,
    ALERT,
    DUE,
    ESCALATED,
    FAILED,
    GIVEN_UP,
    IN_FLIGHT,
    LATER,
    LEASE,
    OPEN,
    PENDING,
    RESOLVED,
    RESOLVED_AFTER_PAGE,
    RETRYING,
)
from tests.fakes import INFRA, PAGER

ESCALATED_NOW = (
    OPEN.escalated_now("ops", DUE)
    .claimed(PAGER, "t", DUE, timedelta(seconds=15))
    .delivered(PAGER, "t", DUE, "202")
)


@pytest.mark.parametrize(
    ("incident", "words"),
    [
        (OPEN, "No page: the alert came in without on-call."),
        (PENDING, "Pages at "),
        (ACKNOWLEDGED, "Nobody was paged: acknowledged by ops."),
        (RESOLVED, "Nobody was paged: resolved before the page was due."),
        (ESCALATED, "because nobody had acknowledged it by then."),
        (ESCALATED_NOW, "because somebody requested the page."),
        (FAILED, "NOBODY WAS PAGED: 404"),
        (GIVEN_UP, "NOBODY WAS PAGED: 500"),
        (RESOLVED_AFTER_PAGE, "Paged through alert source 'default' at "),
    ],
)
def test_whether_it_paged_and_why(incident: Incident, words: str) -> None:
    assert words in verdict(incident, DUE - timedelta(seconds=1))


def test_it_names_the_alert_sources_that_took_the_page() -> None:
    failed = FAILED.repeated(ALERT, LATER, due_at=LATER, pager=INFRA, asked=True)
    other = failed.claimed(INFRA, "u", LATER, LEASE).delivered(INFRA, "u", LATER, "202")
    assert verdict(other, LATER).startswith("Paged through alert source 'infra' at ")
    retried = other.claimed(PAGER, "v", LATER, LEASE).delivered(PAGER, "v", LATER, "202")
    assert verdict(retried, LATER).startswith("Paged through alert source 'default' and 'infra' at ")


def test_what_is_due_and_has_not_left_is_told_so() -> None:
    assert "has not been accepted yet" in verdict(RETRYING, LATER)


@pytest.mark.parametrize(
    ("incident", "words"),
    [
        (OPEN, "Next: nothing; there is nothing to send to the provider."),
        (GIVEN_UP, "Next: nothing, until the alert is repeated or somebody requests the page."),
        (PENDING, "Next: the page is sent as soon as"),
        (IN_FLIGHT, "Next: the page is being sent. Without an answer it is sent again at "),
        (RETRYING, "Next: the page is sent at "),
        (RESOLVED_AFTER_PAGE, "Next: the resolve event is sent at "),
    ],
)
def test_what_comes_next(incident: Incident, words: str) -> None:
    assert next_step(incident, DUE).startswith(words)


def test_all_of_it_begins_with_the_verdict_and_ends_with_what_comes_next() -> None:
    lines = list(explain(GIVEN_UP, LATER))
    assert (lines[0], lines[-1]) == (verdict(GIVEN_UP, LATER), next_step(GIVEN_UP, LATER))
    assert len(lines) == len(GIVEN_UP.timeline) + 2
