"""Secrets are known by what they are, wherever they stand, and nothing else is taken for one."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from app.ingest.webhooks import read, read_and_keep, redact
from app.ingest.webhooks.secrets import HIDDEN, hidden, is_secret, signs_of
from tests.ingest.webhooks.conftest import Service

SECRET = "hunter2-4711"
GITHUB = "ghp_" + "a1B2" * 9
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0NzExIn0.c2lnbmF0dXJl"

NAMES = [
    *("password", "db_password_2", "passwordOfRoot", "X-API-Key", "api_key_value", "x-api-key-header"),
    *("Authorization", "authorization_header", "Proxy-Authorization", "accessToken", "slack_token_old"),
    *("client_secret_v2", "secretValue", "Cookie", "set-cookie", "private_key", "aws_access_key_id"),
    *("service_key", "integrationKey", "credentials", "bearer", "DB_PWD", "connection_string"),
]
NO_NAMES = [
    *("token_count", "max_tokens", "tokens_used", "tokenizer", "password_age", "password_changed_at"),
    *("secret_name", "secretName", "token_type", "token_expires_at", "credential_type", "groupKey"),
    *("dedup_key", "key", "incident_key", "keyboard", "passenger", "author", "title", "unique_key"),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_a_secret_is_known_with_words_around_it(name: str) -> None:
    assert is_secret(name)
    assert signs_of(json.dumps({name: "x"}))


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_only_tells_something_about_a_secret_is_none(name: str) -> None:
    assert not is_secret(name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "form",
    [
        lambda name: {name: SECRET},
        lambda name: {"headers": [[name, SECRET], ["Accept", "*/*"]]},
        lambda name: {"headers": ["Accept", "*/*", name, SECRET]},
        lambda name: {"headers": [{"name": name, "value": SECRET}]},
        lambda name: {"env": [{"key": name, "value": {"stringValue": SECRET}}]},
        lambda name: {"tags": [f"{name}:{SECRET}"]},
        lambda name: {"log": f"curl --data {name}={SECRET} failed"},
        lambda name: {"message": json.dumps({"inner": {name: SECRET}})},
        lambda name: {"message": f'it sent {{"{name}": "{SECRET}"}} twice'},
    ],
)
def test_its_value_is_nowhere_in_what_is_kept_and_read(name: str, form: Any) -> None:
    body = {"title": "500 in checkout", **form(name)}
    alert, kept = read_and_keep(body)
    assert SECRET not in kept
    assert SECRET not in repr(alert)
    assert HIDDEN in kept
    assert alert.title == "500 in checkout"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"push with {GITHUB} failed", f"push with {HIDDEN} failed"),
        (f"Bearer {JWT}", f"Bearer {HIDDEN}"),
        (f"got {JWT}, too old", f"got {HIDDEN}, too old"),
        ("Authorization: Basic dXNlcjpwYXNz", f"Authorization: Basic {HIDDEN}"),
        ("AKIAIOSFODNN7EXAMPLE was used", f"{HIDDEN} was used"),
        ("https://ops:pw@db.example.com/x", f"https://{HIDDEN}@db.example.com/x"),
        ("redis://:p@ss@cache:6379/0", f"redis://{HIDDEN}@cache:6379/0"),
        ("see https://example.com/a?token=abc&b=1", f"see https://example.com/a?token={HIDDEN}&b=1"),
        ("https://x.example.com/f?sig=abc%3D&se=1", f"https://x.example.com/f?sig={HIDDEN}&se=1"),
        ("https://hooks.slack.com/services/T0/B0/x1", f"https://hooks.slack.com/services/{HIDDEN}"),
        ("password: hunter2", f"password: {HIDDEN}"),
        ("Cookie: a=1; session=2\nnext", f"Cookie: {HIDDEN}\nnext"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
            f"-----BEGIN RSA PRIVATE KEY-----{HIDDEN}-----END RSA PRIVATE KEY-----",
        ),
    ],
)
def test_what_has_the_form_of_a_secret_is_hidden_in_a_text(text: str, shown: str) -> None:
    assert redact.text(text) == shown
    alert, kept = read_and_keep({"title": "t", "description": text})
    assert alert.description == shown
    assert json.loads(kept)["description"] == shown


@pytest.mark.parametrize(
    "text",
    [
        "The token has expired: log in again",
        "Failed to get a secret: permission denied",
        "Basic authentication is required, bearer authentication is not",
        "Password expired; the password: rejected",
        "mail ops@example.com about https://example.com/runbook",
        "http://prometheus:9090/graph?g0.expr=rate%28tokens_total%5B5m%5D%29",
        "disk-usage of task-runner is 98 %",
        "commit 731f7eaddfb6af01cb2173e18f0f75b0ba780ef1",
        "git@github.com:acme/shop.git",
    ],
)
def test_words_of_people_and_ordinary_addresses_stay_as_they_are(text: str) -> None:
    assert redact.text(text) == text


def test_what_its_sender_hid_itself_stays_as_it_is() -> None:
    body = {"headers": [["Authorization", "[Filtered]"], ["Cookie", "***"]], "password": "", "token": None}
    assert json.loads(redact.payload(body)) == body


def test_a_link_leads_on_without_its_password() -> None:
    assert (
        read({"url": "https://ops:pw1@grafana.example.com/d/1"}).source_url
        == "https://grafana.example.com/d/1"
    )
    assert "pw1" not in repr(read({"url": "https://example.com/d/1?access_token=pw1"}))


def test_a_secret_in_the_key_still_tells_two_problems_apart() -> None:
    def event(key: str) -> dict[str, Any]:
        return {"routing_key": key, "event_action": "trigger", "dedup_key": "k", "payload": {"summary": "s"}}

    assert read(event("one-1")).identity == read(event("one-1")).identity
    assert read(event("one-1")).identity != read(event("two-2")).identity


def test_json_deeper_than_any_body_is_read_without_its_secrets() -> None:
    deep: Any = {"password": SECRET}
    for _ in range(1_500):
        deep = [deep]
    alert, kept = read_and_keep({"title": "t", "x": deep})
    assert SECRET not in kept + repr(alert)


HOSTILE = {
    "names": "password " * 60_000,
    "assignments": "password=" * 60_000,
    "names in quotes": 'token": "' * 60_000,
    "backslashes": '{"token": "' + "\\" * 500_000,
    "addresses": "https://a:b" * 48_000,
    "an address": "https://" + ":" * 500_000 + "@",
    "schemes": "basic " * 90_000,
    "a scheme": "bearer " + "a" * 500_000,
    "tokens": "ghp_" * 130_000,
    "parts of a token": "eyJ" + "a." * 250_000,
    "keys": "-----BEGIN PRIVATE KEY-----" * 19_000,
    "names of keys": "api_key" * 70_000,
    "letters that are two in small": "\u0130password=" * 40_000,
    "a long name": {"x": "secret" * 80_000},
    "cookies": "cookie: " * 60_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_half_a_mebibyte_of_what_looks_like_secrets_takes_no_more_than_linear_time(name: str) -> None:
    begun = time.process_time()
    redact.payload({"title": "t", "x": HOSTILE[name], "y": {str(HOSTILE[name])[:5_000]: "z"}})
    if isinstance(text := HOSTILE[name], str):
        hidden(text, is_code=True)
    # What is quadratic takes minutes.
    assert time.process_time() - begun < 5


@pytest.mark.parametrize("path", ["title", "description", "service", "source_url", "labels"])
def test_no_secret_leaves_by_any_part_of_an_alert(service: Service, path: str) -> None:
    value: Any = f"https://ops:{SECRET}@example.com/x?api_key={SECRET}"
    body = {"title": "t", path: {"env": value} if path == "labels" else value, "deduplication_key": "k"}
    incident = service.post(body, oncall_wait_minutes="0").json()["incident"]
    service.page(incident)
    service.post(body, oncall_enable="maybe")
    service.show(incident)
    service.ask("/api/rejected")
    assert incident["id"] in service.traces()
    assert SECRET not in service.traces()
