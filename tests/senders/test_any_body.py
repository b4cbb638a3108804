"""Whatever JSON object arrives, it becomes an alert that can be stored, shown and sent."""

from __future__ import annotations

from datetime import UTC
from time import process_time
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.alert import SEVERITIES, Alert, Effect
from app.senders import read

Body = dict[str, Any]

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None, categories=None))
    | st.sampled_from(
        ["firing", "resolved", "critical", "{EVENT.ID}", "0001-01-01T00:00:00Z", "http://[", "\ud800"]
    )
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)

KNOWN = [
    *(
        "title",
        "name",
        "message",
        "text",
        "Logs",
        "severity",
        "priority",
        "service",
        "labels",
        "tags",
        "source",
    ),
    *(
        "status",
        "state",
        "started_at",
        "date",
        "url",
        "link",
        "fingerprint",
        "deduplication_key",
        "description",
    ),
]
GROUP = [
    *("receiver", "status", "alerts", "groupLabels", "commonLabels", "commonAnnotations", "externalURL"),
    *("version", "groupKey", "truncatedAlerts", "orgId", "title", "state"),
]
ALERT = ["status", "labels", "annotations", "startsAt", "generatorURL", "fingerprint", "dashboardURL"]
LABELS = ["alertname", "severity", "service", "pod", "summary", "description", "runbook_url"]


def object_of(names: list[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Body]:
    return st.dictionaries(st.sampled_from(names) | st.text(max_size=3), values, max_size=8)


labels = object_of(LABELS, scalars)
alerts = st.lists(object_of(ALERT, anything | labels) | scalars, max_size=3)
groups = st.builds(
    lambda body, listed, grouping: {**body, "alerts": listed, **grouping},
    object_of(GROUP, anything | labels),
    alerts,
    st.sampled_from(
        [{"receiver": "r"}, {"groupKey": "k"}, {"groupLabels": {}}, {"receiver": "r", "orgId": 1}]
    ),
)


def check(alert: Alert) -> None:
    assert 0 < len(alert.title) <= 255
    for line in filter(None, (alert.title, alert.source, alert.service)):
        assert len(line.splitlines()) == 1
        assert line == line.strip()
        assert len(line) <= 255
    assert len(alert.description) <= 16_000
    assert alert.effect in (Effect.FIRING, Effect.RESOLVED)
    assert alert.severity in (None, *SEVERITIES)
    assert alert.source_url is None or urlsplit(alert.source_url).scheme in ("http", "https")
    assert alert.started_at is None or alert.started_at.tzinfo is UTC
    assert len(alert.labels) <= 64
    assert all(0 < len(name) <= 128 and 0 < len(value) <= 1_024 for name, value in alert.labels.items())
    for words in (alert.title, alert.source, alert.service or "", alert.description, alert.source_url or ""):
        assert b"\0" not in words.encode()
    "".join((*alert.labels, *alert.labels.values())).encode()


@settings(deadline=None)
@given(st.dictionaries(st.text(), anything, max_size=6))
def test_any_object_becomes_an_alert(body: Body) -> None:
    check(read(body))


@settings(deadline=None)
@given(object_of(KNOWN, anything))
def test_known_names_may_hold_anything(body: Body) -> None:
    check(read(body))


@settings(deadline=None, max_examples=200)
@given(groups)
def test_a_group_of_alerts_may_be_full_of_holes(body: Body) -> None:
    alert = read(body)
    assert alert.source in ("alertmanager", "grafana")
    check(alert)


@settings(deadline=None)
@given(object_of(KNOWN, anything))
def test_the_same_body_is_always_read_the_same(body: Body) -> None:
    assert read(body) == read(dict(body))


def test_depth_does_not_matter() -> None:
    nested: Any = "deep"
    for _ in range(900):
        nested = [{"a": nested}]
    for name in ("x", "title", "labels", "alerts", "details"):
        check(read({name: nested, "receiver": "r"}))
    hole = {"labels": nested, "annotations": {"summary": nested}}
    check(read({"receiver": "r", "alerts": [hole, hole], "commonAnnotations": {"summary": nested}}))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(body, id=name)
        for name, body in {
            "many alerts": {"receiver": "r", "alerts": [{"labels": {"a": "1"}}] * 50_000},
            "empty alerts": {"receiver": "r", "alerts": [{}] * 250_000},
            "many labels": {
                "receiver": "r",
                "alerts": [{}],
                "groupLabels": {str(n): "v" for n in range(70_000)},
            },
            "many fields": {str(n): n for n in range(70_000)},
            "many tags": {"tags": ":," * 500_000},
            "blanks": {"title": " " * 500_000 + "x", "message": "\n" * 500_000 + "x"},
            "unclosed placeholder": {"title": "{{a" * 300_000, "deduplication_key": "{A." * 300_000},
            "control characters": {"title": "\x00" * 500_000, "message": "\u200b" * 300_000},
            "a long number": {"started_at": "1" * 1_000_000},
        }.items()
    ],
)
def test_a_body_of_a_mebibyte_is_read_at_once(body: Body) -> None:
    begun = process_time()
    alert = read(body)
    assert process_time() - begun < 1
    check(alert)
