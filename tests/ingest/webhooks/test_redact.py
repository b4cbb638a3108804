"""What is kept of a body: everything but its secrets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.ingest.webhooks import redact
from app.ingest.webhooks.secrets import HIDDEN
from tests.ingest.webhooks.samples import ACCEPTED, SAMPLES, elements

SECRET = "hunter2"
NAMES = [
    "routing_key",
    "Token",
    "ping_url",
    "update_url",
    "password",
    "api_key",
    "X-Auth-Token",
    "clientSecret",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "value",
    [SECRET, [SECRET], {"a": SECRET}, f'with "quotes" {SECRET}', f"https://x/{SECRET}?a=b&c={SECRET}"],
)
@pytest.mark.parametrize("depth", range(3))
def test_no_secret_is_left_in_a_payload(name: str, value: object, depth: int) -> None:
    body: Any = {name: value, "title": "kept"}
    for _ in range(depth):
        body = {"list": [body], "text": json.dumps(body) if isinstance(value, str) else ""}
    kept = redact.payload(body)
    assert SECRET not in kept
    assert "kept" in kept
    assert HIDDEN in kept
    json.loads(kept)


@pytest.mark.parametrize("name", [n for n in ACCEPTED if not SAMPLES[n]["expect"].get("secret_absent")])
def test_a_body_without_secrets_is_kept_as_it_came(name: str) -> None:
    for element in elements(name):
        if not {"Token", "routing_key", "service_key", "ping_url"} & element.keys():
            assert json.loads(redact.payload(element)) == element


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ('{"routing_key": "hunter2", "a": ', '{"routing_key": "<secret>", "a": '),
        ('{"Token":"a \\"hunter2\\"", "b": 1', '{"Token":"<secret>", "b": 1'),
        ('{"ping_url": "hunter2', '{"ping_url": "<secret>'),
        ('{"m": "{\\"update_url\\": \\"hunter2\\"}"', '{"m": "{\\"update_url\\": \\"<secret>\\"}"'),
        ("Token=hunter2&Status=Down", "Token=<secret>&Status=Down"),
        ("a=b&api_key=hunter2", "a=b&api_key=<secret>"),
        ("authorization: Bearer hunter2\nx", "authorization: <secret>\nx"),
        ('{"token": 4711}', '{"token":"<secret>"}'),
        ('{"token": 4711', '{"token": <secret>'),
        ("the token was wrong", "the token was wrong"),
        ("caf\u00e9 \ud83d\udea8 password=hunter2".encode("utf-16", "surrogatepass").decode("utf-16"), None),
        ("", ""),
    ],
)
def test_what_looks_like_a_secret_is_hidden_in_a_refused_body(body: str, kept: str | None) -> None:
    found = redact.refused(body.encode()).decode()
    assert SECRET not in found
    assert found == (body.replace(SECRET, HIDDEN) if kept is None else kept)


PART = '--b\r\nContent-Disposition: form-data; name="%s"; x=y\r\nContent-Type: text/plain\r\n\r\n%s\r\n'


@pytest.mark.parametrize("end", ["--b--\r\n", ""])
@pytest.mark.parametrize("line_end", ["\r\n", "\n"])
def test_a_secret_is_hidden_in_a_form_in_parts(end: str, line_end: str) -> None:
    form = PART % ("title", "kept") + PART % ("ping_url", "%s") + PART % ("Status", "-- kept") + end
    form = form.replace("\r\n", line_end)
    found = redact.refused((form % f"a{line_end}{SECRET}").encode()).decode()
    assert found == form % HIDDEN


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("body", ['{"token": "hunter2"}', '{"routing_key": "hunter2", "a":'])
def test_what_looks_like_a_secret_is_hidden_in_any_encoding(encoding: str, body: str) -> None:
    kept = redact.refused(body.encode(encoding))
    said = kept.decode(json.detect_encoding(kept))
    assert SECRET not in said
    assert HIDDEN in said


def test_any_bytes_are_kept() -> None:
    assert redact.refused(bytes(range(256))) == bytes(range(256))


def test_words_of_people_stay_as_they_are() -> None:
    words = "No secret: permission denied. Token: expired. 900 tokens, password_age=9, bearer authentication"
    assert redact.text(words) == words
    assert json.loads(redact.payload({"description": words})) == {"description": words}
