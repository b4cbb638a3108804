"""Bodies of senders that nobody knows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.domain.alert import Effect
from app.ingest.webhooks import read
from tests.ingest.webhooks.samples import SAMPLES

Body = dict[str, Any]

TITLES = ["title", "alert_title", "alertname", "summary", "subject", "name"]
TEXTS = ["message", "msg", "text", "description", "Logs", "log", "body", "details", "error"]


@pytest.mark.parametrize("position", range(len(TITLES + TEXTS)))
def test_the_title_is_the_first_field_that_can_be_one(position: int) -> None:
    names = (TITLES + TEXTS)[position:]
    body = {name: f"said by {name}\nand more" for name in reversed(names)}
    assert read(body).title == f"said by {names[0]}" + (" and more" if names[0] in TITLES else "")


@pytest.mark.parametrize("absent", [None, "", " \n", "{EVENT.NAME}", "$EVENT_TITLE", 5, True, [], {"a": "b"}])
def test_the_next_field_stands_in_for_one_that_is_absent(absent: object) -> None:
    alert = read({"title": absent, "summary": "the summary", "severity": absent, "priority": "P2"})
    assert alert.title == "the summary"
    assert alert.severity == "high"


@pytest.mark.parametrize(
    ("body", "title"),
    [
        ({}, "Incident from generic"),
        ({"title": None}, "Incident from generic"),
        ({"source": "backup"}, "Incident from backup"),
        ({"source": "s" * 400}, ("Incident from " + "s" * 400)[:254] + "…"),
        ({"title": "t" * 256}, "t" * 254 + "…"),
        ({"title": "t" * 255}, "t" * 255),
        ({"title": "\u202e", "message": "\n\nfirst\nsecond"}, "first"),
    ],
)
def test_there_is_always_a_title_of_at_most_255_characters(body: Body, title: str) -> None:
    assert read(body).heading == title


FOUND = {
    "title": "Disk full",
    "severity": "P1",
    "service": "orders",
    "url": "https://example.com/7",
    "started_at": "2026-03-04T08:00:00Z",
}


@pytest.mark.parametrize(
    "name",
    [
        *("alert", "incident", "event", "data", "detail", "rule", "payload", "result", "check", "monitor"),
        *("problem", "of_whatever_name", "labels", "annotations", "fields", "output_fields"),
    ],
)
def test_what_is_not_at_the_top_is_looked_for_one_level_down(name: str) -> None:
    alert = read({"version": 7, name: FOUND})
    assert (alert.title, alert.severity, alert.service) == ("Disk full", "critical", "orders")
    assert alert.source_url == "https://example.com/7"
    assert alert.started_at is not None


@pytest.mark.parametrize("name", ["alerts", "events", "attachments", "sections", "items"])
def test_it_is_looked_for_in_the_first_of_a_list(name: str) -> None:
    alert = read({name: [FOUND, {"title": "another"}]})
    assert (alert.title, alert.severity, alert.service) == ("Disk full", "critical", "orders")


@pytest.mark.parametrize(
    "name",
    [
        *("alertname", "check_name", "rule_name", "search_name", "policy_name", "event_name"),
        *("problem_title", "output"),
    ],
)
def test_it_knows_more_names_of_a_title(name: str) -> None:
    assert read({"detail": {name: "Disk full"}}).title == read({name: "Disk full"}).title == "Disk full"


def test_what_is_at_the_top_wins() -> None:
    alert = read({"title": "top", "severity": "low", "alert": FOUND, "name": "x"})
    assert (alert.title, alert.severity, alert.service) == ("top", "low", "orders")


def test_the_subject_of_an_envelope_is_a_title_if_the_message_has_none() -> None:
    envelope = {**dict.fromkeys(("Type", "MessageId", "TopicArn"), "x"), "Subject": "RDS event"}
    assert read({**envelope, "Message": '{"Event ID": "7"}'}).title == "RDS event"
    assert read({**envelope, "Message": '{"title": "Disk full"}'}).title == "Disk full"


@pytest.mark.parametrize(
    ("body", "service"),
    [
        ({"service": "a", "service_name": "b", "app": "c"}, "a"),
        ({"ServiceName": "b", "app": "c"}, "b"),
        ({"component": "e", "application": "d"}, "d"),
        ({"service": {"name": "a"}, "app": "c"}, "c"),
        ({"host": "db-1"}, None),
    ],
)
def test_the_service_is_what_is_broken(body: Body, service: str | None) -> None:
    assert read(body).service == service


@pytest.mark.parametrize(
    "name", ["service_name", "ServiceName", "service-name", "SERVICENAME", "serviceName", "Service_Name"]
)
def test_names_are_matched_without_regard_to_case_and_separators(name: str) -> None:
    assert read({name: "cart"}).service == "cart"


def test_a_null_does_not_hide_the_same_name_in_another_spelling() -> None:
    assert read({"serviceName": None, "service_name": "cart"}).service == "cart"


@pytest.mark.parametrize(
    "body",
    [
        {"started_at": "2026-03-04T08:00:00Z", "timestamp": 1},
        {"started_at": "0001-01-01T00:00:00Z", "startsAt": 1772611200000},
        {"timestamp": "1772611200", "time": "08:00"},
        {"time": "08:00:00", "date": "2026-03-04 08:00:00"},
    ],
)
def test_it_takes_the_first_time_that_is_one(body: Body) -> None:
    started_at = read(body).started_at
    assert started_at is not None
    assert started_at.isoformat() == "2026-03-04T08:00:00+00:00"


def test_it_takes_the_first_link_that_is_one() -> None:
    alert = read({"source_url": "javascript:alert(1)", "url": "/relative", "link": "https://example.com/1"})
    assert alert.source_url == "https://example.com/1"


RESOLVED = (
    "resolved resolve ok up closed close recovered recovery clear cleared normal healthy success inactive "
    "deactivated end ended"
)
STATUSES = [
    *("status", "state", "event_action", "event_type", "message_type", "action", "transition"),
    "alert_event",
]


@pytest.mark.parametrize("word", RESOLVED.split())
@pytest.mark.parametrize("name", [*STATUSES, "level", "severity"])
def test_a_word_for_it_resolves(name: str, word: str) -> None:
    assert read({name: word}).effect is Effect.RESOLVED
    assert read({name: f" {word.upper()} "}).effect is Effect.RESOLVED


@pytest.mark.parametrize("word", ["ALERT_STATE_EVENT_END", "incident.resolved", "host_recovery"])
@pytest.mark.parametrize("name", STATUSES)
def test_a_word_that_ends_in_one_for_it_resolves(name: str, word: str) -> None:
    assert read({name: word}).effect is Effect.RESOLVED


@pytest.mark.parametrize(
    "body",
    [
        {"alert": {"title": "Disk full", "status": "resolved"}},
        {"severity": "critical", "incident": {"name": "Disk full", "state": "closed"}},
        {"problem_report": {"title": "Disk full", "state": "ok"}},
        {"alerts": [{"name": "Disk full", "status": "resolved"}]},
        {"status": "backup of db-7", "transition": "recovered"},
    ],
)
def test_the_state_is_looked_for_one_level_down(body: Body) -> None:
    assert read(body).effect is Effect.RESOLVED


@pytest.mark.parametrize(
    "body",
    [
        {"status": "no data"},
        {"status": "unknown"},
        {"status": "insufficient data"},
        {"status": "not ok"},
        {"status": True},
        {"status": 0},
        {"ok": True},
        {"resolved": True},
        {"status": "firing", "state": "ok"},
        {"message": "resolved"},
        {"status": "not_resolved"},
        {"status": "unresolved"},
        {"state": "partially_resolved"},
        {"level": "alert_end"},
        {"severity": "x_resolved"},
        {"status": "critical", "level": "ok"},
        {"title": "Disk full", "host": {"name": "db-7", "state": "up"}},
        {"title": "Too few", "labels": {"status": "ok"}},
        {"alerts": [{"status": "resolved"}, {"status": "firing"}]},
    ],
)
def test_only_an_explicit_resolve_event_resolves(body: Body) -> None:
    assert read(body).effect is Effect.FIRING


@pytest.mark.parametrize(
    "body",
    [
        {"event": "test", "title": "Disk full"},
        {"test": True, "title": "Disk full"},
        {"type": "url_verification", "challenge": "x"},
        {"challenge": "x"},
        {"event_type": "ping"},
        {"name": "shop", "build": {"phase": "COMPLETED", "status": "SUCCESS"}},
        {"type": "workflow-completed", "workflow": {"name": "deploy", "status": "success"}},
        {"commit_status": {"state": "SUCCESSFUL", "name": "lint"}},
    ],
)
def test_a_test_that_says_so_a_handshake_and_a_build_that_succeeded_are_notes(body: Body) -> None:
    assert read(body).effect is Effect.NOTE


@pytest.mark.parametrize(
    "body",
    [
        {"name": "shop", "build": {"phase": "COMPLETED", "status": "FAILURE"}},
        {"type": "ping", "status": "down"},
        {"type": "ping", "severity": "high"},
        {"test": "api", "title": "x"},
    ],
)
def test_a_monitor_that_pings_or_tests_is_no_handshake(body: Body) -> None:
    assert read(body).effect is Effect.FIRING


def test_an_absent_status_leaves_the_word_to_the_next() -> None:
    assert read({"status": None, "state": "ok"}).effect is Effect.RESOLVED


@pytest.mark.parametrize(
    "name",
    [
        *("deduplication_key", "dedup_key", "dedupKey", "incident_key", "alert_uid", "fingerprint", "alias"),
        "dedup",
    ],
)
def test_it_knows_the_names_of_keys(name: str) -> None:
    assert (
        read({name: "k", "title": "one"}).identity == read({name: "k", "title": "two"}).identity is not None
    )
    assert read({name: "k"}).identity != read({name: "other"}).identity


@pytest.mark.parametrize("name", ["entity_id", "correlation_id", "problem_id", "alert_id"])
def test_it_knows_the_names_that_are_keys_with_a_state_beside_them(name: str) -> None:
    firing, over = read({name: "k", "state": "firing"}), read({name: "k", "state": "ok"})
    assert firing.identity == over.identity is not None
    assert read({name: "k"}).identity is None
    assert read({"alert": {name: "k", "state": "ok"}}).identity == over.identity


def test_a_key_is_looked_for_one_level_down_but_not_in_one_of_several() -> None:
    one, other = {"fingerprint": "k", "title": "one"}, {"fingerprint": "l", "title": "two"}
    assert read({"alerts": [one]}).identity == read(one).identity
    assert read({"alert": one}).identity == read(one).identity
    assert read({"alerts": [one, other]}).identity is None


@pytest.mark.parametrize("body", [{}, {"id": 4711}, {"title": "t"}, {"uuid": "x"}, {"fingerprint": True}])
def test_a_body_without_a_key_has_no_identity(body: Body) -> None:
    assert read(body).identity is None


def test_an_explicit_key_is_shared_by_all_senders_and_others_are_not() -> None:
    sample = SAMPLES["alertmanager_01_firing"]["body"]
    explicit = {"deduplication_key": "k"}
    assert read({**sample, **explicit}).identity == read(explicit).identity
    assert read({"fingerprint": "k", "source": "one"}).identity != read({"fingerprint": "k"}).identity
    assert (
        read({"fingerprint": sample["groupKey"], "source": "alertmanager"}).identity != read(sample).identity
    )


@pytest.mark.parametrize(
    ("source", "said"),
    [("backup", "backup"), (" cron\njobs ", "cron jobs"), (None, "generic"), (5, "generic")],
)
def test_the_source_is_what_the_body_says(source: object, said: str) -> None:
    assert read({"source": source}).source == said


def test_labels_come_from_labels_and_tags() -> None:
    body = {"labels": {"region": "eu", "tier": 1, "nested": {"a": "b"}}, "tags": ["env:prod", "region:us"]}
    assert read(body).labels == {"region": "eu", "tier": "1", "env": "prod"}
    assert read({"Tags": "env:prod, team:dba"}).labels == {"env": "prod", "team": "dba"}


@pytest.mark.parametrize(
    "names", [["description", "message", "text", "body", "log"], ["Logs", "error"], ["details", "summary"]]
)
def test_the_description_is_the_senders_text_as_it_was_given(names: list[str]) -> None:
    body = {name: f"*{name}*\n\n- second line" for name in reversed(names)}
    assert read(body).description == f"*{names[0]}*\n\n- second line"


def shown(body: Body) -> Any:
    """The JSON in the description's block."""
    before, fenced, after = read(body).description.partition("```json\n")
    assert (before, fenced[-1:]) == ("", "\n")
    block, fence, end = after.rpartition("\n```")
    assert (fence, end) == ("\n```", "")
    return json.loads(block.removesuffix("\n…"))


def test_a_body_of_which_nothing_is_known_is_shown_as_it_is() -> None:
    body = SAMPLES["generic_05_unknown_shape"]["body"]
    assert shown(body) == body


def test_without_a_text_it_shows_the_fields_that_are_shown_nowhere_else() -> None:
    body = {
        "title": "Disk full",
        "severity": "high",
        "labels": {"a": "b"},
        "host": "db-1",
        "details": {"free": 0},
    }
    assert shown(body) == {"host": "db-1", "details": {"free": 0}}


@pytest.mark.parametrize("body", [{}, {"title": "Disk full", "status": "firing", "deduplication_key": "k"}])
def test_with_nothing_to_show_there_is_no_description(body: Body) -> None:
    assert read(body).description == ""


def test_what_it_shows_of_a_large_body_is_cut() -> None:
    deep = shown({"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": [{}, {"i": 1}]}}}}}}}})
    assert deep["a"]["b"]["c"]["d"]["e"]["f"]["g"]["h"] == "…"
    assert len(shown({f"k{i}": i for i in range(5_000)})) < 500


@pytest.mark.parametrize(
    "body",
    [{"x": ["```\n" * 900] * 90}, {"x": [[[1] * 99] * 99] * 99}, {f"{i}" * 900: i for i in range(900)}],
)
def test_what_it_shows_stays_a_block_when_it_is_cut(body: Body) -> None:
    description = read(body).description
    assert len(description) <= 16_000
    assert description.endswith("…\n```")
    assert description.count("\n```") == 1


SECRETS = ["routing_key", "Token", "ping_url", "update_url", "password", "secret", "api_key", "authorization"]


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("depth", range(3))
def test_secrets_of_the_body_are_in_no_part_of_the_alert(name: str, depth: int) -> None:
    body: Body = {name: "hunter2", "host": "db-1"}
    for _ in range(depth):
        body = {"data": [body], "labels": body}
    assert "hunter2" not in repr(read({**body, "tags": [f"{name}:hunter2"]}))
