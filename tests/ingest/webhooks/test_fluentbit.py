"""Records of Fluent Bit."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.alert import Effect
from app.ingest.webhooks import read

Body = dict[str, Any]

AGENT = {"User-Agent": "Fluent-Bit"}
DATE = 1772611200.5


@pytest.mark.parametrize(
    ("body", "headers", "source"),
    [
        *(({"date": DATE, name: "x"}, {}, "fluentbit") for name in ("log", "Logs", "message", "msg")),
        ({"date": DATE, "kubernetes": {}}, {}, "fluentbit"),
        ({"date": DATE, "log": None}, {}, "generic"),
        ({"log": "x"}, {}, "generic"),
        ({"log": "x"}, AGENT, "fluentbit"),
        ({"anything": 1}, AGENT, "fluentbit"),
        ({"alerts": [], "groupKey": "k"}, AGENT, "alertmanager"),
    ],
)
def test_it_recognises_records(body: Body, headers: dict[str, str], source: str) -> None:
    assert read(body, headers).source == source


SERVICES: list[tuple[str, Body]] = [
    ("ServiceName", {"ServiceName": "a"}),
    ("service", {"service": "b"}),
    ("app", {"kubernetes": {"labels": {"app": "c"}}}),
    ("name", {"kubernetes": {"labels": {"app.kubernetes.io/name": "d"}}}),
    ("container", {"kubernetes": {"container_name": "e"}}),
    ("docker", {"container_name": "f"}),
]


@pytest.mark.parametrize("position", range(len(SERVICES)))
def test_the_service_is_the_first_of_many_names(position: int) -> None:
    body: Body = {"date": DATE, "log": "x", "kubernetes": {"labels": {}}}
    for _, fields in reversed(SERVICES[position:]):
        kubernetes = {**body["kubernetes"], **fields.get("kubernetes", {})}
        kubernetes["labels"] = {**body["kubernetes"]["labels"], **kubernetes.get("labels", {})}
        body = {**body, **fields, "kubernetes": kubernetes}
    assert read(body).service == "abcdef"[position]


def test_the_labels_are_what_is_flat_in_the_record_and_in_kubernetes() -> None:
    kubernetes = {"pod_name": "p", "labels": {"app": "x"}, "annotations": {}}
    body = {
        "date": DATE,
        "log": "x",
        "stream": "stderr",
        "n": 1,
        "nested": {},
        "token": "t",
        "kubernetes": kubernetes,
    }
    assert read(body).labels == {"stream": "stderr", "n": "1", "pod_name": "p"}


def test_a_log_line_never_resolves_and_has_no_identity() -> None:
    alert = read({"date": DATE, "log": "x", "status": "ok", "fingerprint": "k"})
    assert (alert.effect, alert.identity) == (Effect.FIRING, None)
    assert read({"date": DATE, "log": "x", "deduplication_key": "k"}).identity is not None


def test_the_title_is_the_first_line_and_the_description_all_of_them() -> None:
    alert = read({"date": DATE, "log": "\nfirst\n  at x\n", "message": "other"})
    assert (alert.title, alert.description) == ("first", "first\n  at x")
