"""Hooks of Sentry beyond the samples."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.alert import Effect
from app.ingest.webhooks import read
from tests.ingest.webhooks.samples import SAMPLES, alert_of

Body = dict[str, Any]

ISSUE = alert_of("sentry_01_issue_created").identity

LEGACY: Body = {
    "id": "5123456789",
    "project": "checkout-web",
    "project_slug": "checkout-web",
    "url": "https://sentry.io/organizations/acme/issues/5123456789/",
    "culprit": "POST /api/cart",
    "message": "",
    "level": "error",
    "event": {
        "event_id": "e4874d66",
        "title": "KeyError: cart_id",
        "timestamp": 1772623500.677,
        "tags": [["environment", "production"]],
    },
}


def test_the_legacy_plugin_speaks_of_the_same_issue() -> None:
    alert = read(LEGACY)
    assert (alert.source, alert.title, alert.severity) == ("sentry", "KeyError: cart_id", "high")
    assert (alert.service, alert.source_url) == ("checkout-web", LEGACY["url"])
    assert alert.labels == {"environment": "production"}
    assert alert.identity == ISSUE


def test_the_legacy_plugin_may_leave_out_the_slug_and_never_resolves() -> None:
    alert = read(
        {**LEGACY, "project_slug": None, "status": "resolved", "event": {"event_id": "e"}, "message": "m"}
    )
    assert (alert.service, alert.title, alert.effect) == ("checkout-web", "m", Effect.FIRING)


def event_alert(**changes: object) -> Body:
    body = SAMPLES["sentry_02_event_alert_same_issue"]["body"]
    return {**body, "data": {**body["data"], "event": {**body["data"]["event"], **changes}}}


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"issue_id": None}, True),
        ({"issue_id": 5123456789, "issue_url": None}, True),
        ({"issue_id": None, "issue_url": "https://sentry.io/api/0/issues/5123456789"}, True),
        ({"issue_id": None, "issue_url": "https://sentry.io/api/0/issues/"}, False),
        ({"issue_id": None, "issue_url": None}, False),
    ],
)
def test_an_alert_about_an_event_finds_its_issue(changes: Body, same: bool) -> None:
    alert = read(event_alert(**changes))
    assert alert.source == "sentry"
    assert alert.identity == (ISSUE if same else None)


def test_a_metric_alert_is_no_issue_of_the_same_number() -> None:
    issue = {"action": "created", "data": {"issue": {"id": "4", "title": "x"}}}
    assert read(issue).identity != alert_of("sentry_05_metric_warning").identity


@pytest.mark.parametrize(
    ("hook", "effect"),
    [
        *((hook, Effect.NOTE) for hook in ("installation", "error", "comment", "seer", "something-new")),
        *((hook, Effect.FIRING) for hook in ("issue", "event_alert", "metric_alert")),
    ],
)
def test_other_hooks_are_notes_but_a_problem_that_is_not_understood_pages(hook: str, effect: Effect) -> None:
    alert = read({"action": "created", "data": {"x": 1}}, {"Sentry-Hook-Resource": hook})
    assert (alert.source, alert.effect, alert.identity) == ("sentry", effect, None)
    assert hook in alert.heading


def test_a_hook_is_known_without_its_header() -> None:
    body = {"action": "created", "installation": {"uuid": "u"}, "actor": {}, "data": {"comment": "looking"}}
    assert (read(body).source, read(body).effect) == ("sentry", Effect.NOTE)


def test_an_issue_without_its_id_is_still_a_problem() -> None:
    alert = read(
        {"action": "created", "data": {"issue": {"title": "Oh no"}}}, {"Sentry-Hook-Resource": "issue"}
    )
    assert (alert.source, alert.title, alert.effect, alert.identity) == (
        "sentry",
        "Oh no",
        Effect.FIRING,
        None,
    )
