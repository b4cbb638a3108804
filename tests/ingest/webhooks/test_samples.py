"""Every sample body is read as its `expect` says."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from app.domain.alert import Alert
from app.ingest.webhooks import read
from tests.ingest.webhooks.samples import ACCEPTED, ARRAYS, OBJECTS, SAMPLES, alert_of, elements

PLAIN = ("title", "severity", "service", "source", "source_url")


def check(alert: Alert, expect: dict[str, Any]) -> None:
    for name in PLAIN:
        if name in expect:
            assert getattr(alert, name) == expect[name], name
    if "status" in expect:
        assert alert.effect == expect["status"]
    if "started_at" in expect:
        reported = expect["started_at"]
        assert alert.started_at == (None if reported is None else datetime.fromisoformat(reported))
    assert alert.labels.items() >= expect.get("labels_contain", {}).items()
    for words in expect.get("title_contains", ()):
        assert words in (alert.title or "")
    for words in expect.get("description_contains", ()):
        assert words in alert.description
    assert alert.heading


def check_identity(alert: Alert, expect: dict[str, Any]) -> None:
    if "identity" in expect:
        assert (alert.identity is not None) == (expect["identity"] == "present")
    for other in expect.get("identity_same_as", ()):
        assert alert.identity is not None
        assert alert.identity == alert_of(other).identity
    for other in expect.get("identity_differs_from", ()):
        unlike = alert_of(other)
        assert alert.identity != unlike.identity or set(alert.marks).isdisjoint(unlike.marks)


@pytest.mark.parametrize("name", OBJECTS)
def test_a_sample_is_read_as_expected(name: str) -> None:
    alert, expect = alert_of(name), SAMPLES[name]["expect"]
    check(alert, expect)
    check_identity(alert, expect)


@pytest.mark.parametrize("name", ARRAYS)
def test_each_element_of_an_array_is_read_as_expected(name: str) -> None:
    sample = SAMPLES[name]
    alerts = [read(element, sample["headers"]) for element in elements(name)]
    assert len(alerts) == sample["expect"]["count"]
    for alert, expect in zip(alerts, sample["expect"]["incidents"], strict=True):
        check(alert, {"source": sample["sender"], **expect})
        check_identity(alert, expect)


@pytest.mark.parametrize("name", ACCEPTED)
def test_the_body_alone_decides_and_not_the_headers(name: str) -> None:
    for element in elements(name):
        assert read(element) == read(element, SAMPLES[name]["headers"])


@pytest.mark.parametrize("name", ACCEPTED)
def test_an_explicit_key_wins_for_every_sender(name: str) -> None:
    for element in elements(name):
        # In an envelope of SNS the message is the body.
        explicit = read({**element, "deduplication_key": "k", "Message": "text"})
        assert explicit.identity == read({"deduplication_key": "k"}).identity


@pytest.mark.parametrize("name", ACCEPTED)
def test_no_secret_of_a_sample_is_in_its_alert(name: str) -> None:
    for element in elements(name):
        for secret in SAMPLES[name]["expect"].get("secret_absent", ()):
            assert secret not in repr(read(element))
