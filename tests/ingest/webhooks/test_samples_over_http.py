"""Every sample body, sent to a running service: all that its `expect` says can be seen from outside."""

from __future__ import annotations

import socket
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest

from tests.ingest.webhooks.conftest import Service
from tests.ingest.webhooks.samples import ACCEPTED, ARRAYS, OBJECTS, REJECTED, SAMPLES

Expect = dict[str, Any]

PLAIN = ("title", "severity", "service", "source", "source_url")
CHECKED = {
    *PLAIN,
    *("http", "status", "started_at", "labels_contain", "title_contains", "description_contains"),
    *("title_nonempty", "title_one_line", "title_max", "count", "incidents", "secret_absent"),
    *("identity", "identity_same_as", "identity_differs_from", "no_outbound_request"),
}

NEW = {
    "firing": (201, "Incident created"),
    **dict.fromkeys(("resolved", "acknowledged", "note"), (200, "Event recorded")),
}
KNOWN = {
    "firing": "Incident updated",
    "resolved": "Incident resolved",
    "acknowledged": "Incident acknowledged",
    "note": "Event recorded",
}
STATES = {"firing": "pending", "resolved": "resolved", "acknowledged": "acknowledged", "note": "pending"}


def named(key: str, names: list[str] = OBJECTS) -> list[str]:
    """The samples that expect something under this key."""
    return [name for name in names if key in SAMPLES[name]["expect"]]


def with_effect(*effects: str) -> list[str]:
    return [name for name in OBJECTS if SAMPLES[name]["expect"]["status"] in effects]


def check(shown: dict[str, Any], expect: Expect) -> None:
    for name in PLAIN:
        if name in expect:
            assert shown[name] == expect[name], name
    if "started_at" in expect:
        assert second(shown["started_at"]) == second(expect["started_at"])
    assert shown["labels"].items() >= expect.get("labels_contain", {}).items()
    for part in ("title", "description"):
        for words in expect.get(f"{part}_contains", ()):
            assert words in shown[part]
    assert 0 < len(shown["title"]) <= expect.get("title_max", 255)
    assert len(shown["title"].splitlines()) == 1


def second(moment: str | None) -> datetime | None:
    return None if moment is None else datetime.fromisoformat(moment).replace(microsecond=0)


def test_nothing_that_a_sample_expects_goes_unchecked() -> None:
    reported = [sample["expect"] for sample in SAMPLES.values()]
    reported += [each for expect in reported for each in expect.get("incidents", ())]
    assert {key for expect in reported for key in expect} <= CHECKED
    for name in OBJECTS:
        expect = SAMPLES[name]["expect"]
        if expect["status"] != "firing" and "identity" in expect:
            # It opens nothing that could be looked at: what it belongs to shows its identity.
            assert (expect["identity"] == "present") == ("identity_same_as" in expect), name


@pytest.mark.parametrize("name", OBJECTS)
def test_a_sample_becomes_what_it_should(service: Service, name: str) -> None:
    expect = SAMPLES[name]["expect"]
    answer = service.send(name)
    assert answer.status_code in expect["http"]
    assert (answer.status_code, answer.json()["status"]) == NEW[expect["status"]]
    if expect["status"] == "firing":
        check(service.show(answer.json()["incident"]), expect)
    else:
        assert answer.json()["incident"] is None
        assert service.ask("/api/incidents")["incidents"] == []
        log = service.log.getvalue()
        assert f"source={expect['source']} effect={expect['status']} " in log


@pytest.mark.parametrize("name", ARRAYS)
def test_each_element_of_an_array_becomes_what_it_should(service: Service, name: str) -> None:
    expect = SAMPLES[name]["expect"]
    answer = service.send(name)
    assert answer.status_code in expect["http"]
    incidents = answer.json()["incidents"]
    assert answer.json()["count"] == len(incidents) == expect["count"]
    for incident, each in zip(incidents, expect["incidents"], strict=True):
        assert each.get("status", "firing") == "firing"
        source = expect.get("source", SAMPLES[name]["sender"])
        check(service.show(incident), {"source": source, **each})
    again = service.send(name).json()["incidents"]
    without = [each.get("identity", "absent") == "absent" for each in expect["incidents"]]
    assert [one["id"] != other["id"] for one, other in zip(incidents, again, strict=True)] == without


@pytest.mark.parametrize("name", REJECTED)
def test_what_is_no_incident_is_refused_and_kept(service: Service, name: str) -> None:
    expect = SAMPLES[name]["expect"]
    assert service.send(name).status_code in expect["http"]
    made = [one for one in service.ask("/api/incidents")["incidents"] if one["source"] != "versus"]
    assert len(made) == expect["count"]
    assert len(service.ask("/api/rejected")["rejected"]) == 1


@pytest.mark.parametrize("name", [name for name in named("identity") if name in with_effect("firing")])
def test_sent_twice_it_is_one_incident_if_it_has_an_identity_else_two(service: Service, name: str) -> None:
    first, second = (service.send(name).json()["incident"] for _ in range(2))
    same = first["id"] == second["id"]
    assert same == (SAMPLES[name]["expect"]["identity"] == "present")
    assert service.show(second)["occurrences"] == (2 if same else 1)
    assert len(service.ask("/api/incidents")["incidents"]) == (1 if same else 2)


@pytest.mark.parametrize("name", [n for n in with_effect("note") if n not in named("identity_same_as")])
def test_a_note_about_nothing_is_recorded_again_and_again(service: Service, name: str) -> None:
    for _ in range(2):
        assert service.send(name).json() == {"status": "Event recorded", "incident": None}


@pytest.mark.parametrize("name", named("identity_same_as"))
def test_it_belongs_to_the_incident_of_another_sample(service: Service, name: str) -> None:
    expect = SAMPLES[name]["expect"]
    for other in expect["identity_same_as"]:
        service.fresh()
        before = service.send(other).json()["incident"]
        answer = service.send(name)
        assert (answer.status_code, answer.json()["status"]) == (200, KNOWN[expect["status"]])
        shown = service.show(before)
        assert answer.json()["incident"]["id"] == before["id"]
        assert shown["state"] == STATES[expect["status"]]
        assert (shown["due_at"], shown["started_at"]) == (before["due_at"], before["started_at"])
        if expect["status"] == "note":
            assert shown["timeline"][-1]["event"] == "note"
        if expect["status"] == "acknowledged":
            assert shown["acknowledged_by"] == shown["source"]


@pytest.mark.parametrize("name", named("identity_differs_from"))
def test_it_does_not_belong_to_the_incident_of_another_sample(service: Service, name: str) -> None:
    for other in SAMPLES[name]["expect"]["identity_differs_from"]:
        service.fresh()
        before = service.send(other).json()["incident"]
        answer = service.send(name)
        assert answer.status_code == 201
        assert answer.json()["incident"]["id"] != before["id"]


@pytest.mark.parametrize("name", named("secret_absent", ACCEPTED))
def test_its_secret_is_nowhere_but_in_the_request(service: Service, name: str) -> None:
    incident = service.send(name, oncall_wait_minutes="0").json()["incident"]
    service.page(incident)
    service.send(name, oncall_enable="maybe")
    service.send(name, cut=1, oncall_enable="maybe")
    shown = service.show(incident)
    service.ask("/api/incidents")
    assert service.ask("/api/rejected")["rejected"]
    assert "<secret>" in repr(shown["payload"])
    traces = service.traces()
    assert incident["id"] in traces
    for secret in SAMPLES[name]["expect"]["secret_absent"]:
        assert secret not in traces


def test_a_request_to_elsewhere_would_be_seen(service: Service) -> None:
    with suppress(OSError):
        socket.create_connection(("192.0.2.1", 9), timeout=0.01)
    assert service.reached() == {"192.0.2.1"}


@pytest.mark.parametrize("name", list(SAMPLES))
def test_nothing_is_fetched_because_of_a_sample(service: Service, name: str) -> None:
    service.send(name)
    assert service.reached() == set()
