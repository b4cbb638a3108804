"""Whatever JSON object arrives, it becomes an alert that can be stored, shown and sent."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import UTC
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.alert import SEVERITIES, Alert, Effect
from app.ingest.webhooks import read, redact
from app.web.http.body import MAX_BODY
from tests.ingest.webhooks.conftest import Service
from tests.ingest.webhooks.samples import ACCEPTED, SAMPLES, elements
from tests.ingest.webhooks.worst import WORST

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
    assert 0 < len(alert.heading) <= 255
    for line in filter(None, (alert.heading, alert.source, alert.service)):
        assert len(line.splitlines()) == 1
        assert line == line.strip()
        assert len(line) <= 255
    assert len(alert.description) <= 16_000
    assert alert.effect in Effect
    assert alert.severity in (None, *SEVERITIES)
    assert alert.source_url is None or urlsplit(alert.source_url).scheme in ("http", "https")
    assert alert.started_at is None or alert.started_at.tzinfo is UTC
    assert len(alert.labels) <= 64
    assert all(0 < len(name) <= 128 and 0 < len(value) <= 1_024 for name, value in alert.labels.items())
    for words in (
        alert.heading,
        alert.source,
        alert.service or "",
        alert.description,
        alert.source_url or "",
    ):
        assert b"\0" not in words.encode()
    "".join((*alert.labels, *alert.labels.values())).encode()


@given(st.dictionaries(st.text(), anything, max_size=6))
def test_any_object_becomes_an_alert(body: Body) -> None:
    check(read(body))


@given(object_of(KNOWN, anything))
def test_known_names_may_hold_anything(body: Body) -> None:
    check(read(body))


@settings(max_examples=200)
@given(groups)
def test_a_group_of_alerts_may_be_full_of_holes(body: Body) -> None:
    alert = read(body)
    assert alert.source in ("alertmanager", "grafana")
    check(alert)


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


@pytest.mark.parametrize("name", WORST)
def test_a_body_of_a_mebibyte_is_read(name: str) -> None:
    raw = json.dumps(WORST[name], separators=(",", ":"), ensure_ascii=False).encode()
    assert len(raw) <= MAX_BODY
    check(read(WORST[name]))


# -- bodies that are nearly those of a known sender -------------------------------------------------------

BODIES = [element for name in ACCEPTED for element in elements(name)]
ENVELOPE = SAMPLES["sns_07_plain_text"]["body"]


@st.composite
def near_misses(draw: st.DrawFn) -> Body:
    """A sample with some of its values gone, of another type, or twice as deep."""
    body: Body = deepcopy(draw(st.sampled_from(BODIES)))
    for _ in range(draw(st.integers(1, 4))):
        inner = body
        name = draw(st.sampled_from(sorted(inner))) if inner else "x"
        while isinstance(inner.get(name), dict) and inner[name] and draw(st.booleans()):
            inner = inner[name]
            name = draw(st.sampled_from(sorted(inner)))
        if draw(st.booleans()):
            inner.pop(name, None)
        else:
            inner[name] = draw(anything | st.sampled_from([[inner.get(name)], {name: inner.get(name)}]))
    return {**ENVELOPE, "Message": json.dumps(body)} if draw(st.integers(0, 9)) == 0 else body


@settings(max_examples=500)
@given(near_misses())
def test_what_is_nearly_the_body_of_a_sender_becomes_an_alert(body: Body) -> None:
    check(read(body))


@settings(max_examples=300)
@given(near_misses() | st.dictionaries(st.text(), anything, max_size=6))
def test_any_object_is_accepted_and_has_a_title(running: Service, body: Body) -> None:
    answer = requests.post(f"{running.base}/api/incidents", json=body, timeout=15)
    assert answer.status_code in (200, 201), answer.text
    incident = answer.json()["incident"]
    if incident is None:
        assert answer.json()["status"] == "Event recorded"
    else:
        assert incident["title"].strip()
        assert running.show(incident)["payload"] is not None


@given(near_misses())
def test_no_secret_of_a_known_name_is_kept(body: Body) -> None:
    planted = {**body, "routing_key": "hunter2", "Token": "hunter2", "ping_url": "https://x/hunter2"}
    assert "hunter2" not in redact.payload(planted)
    assert "hunter2" not in repr(read(planted))
