"""Broken JSON is repaired within its bounds; what comes of it pages people, and ends no problem."""

from __future__ import annotations

import threading
import time
from typing import Any

import json_repair
import pytest
from flask.testing import FlaskClient

from app.web.http import repair
from app.web.http.body import BadBody, read_body
from app.web.http.repair import MAX_BYTES, MAX_DEPTH, repaired

UNESCAPED = '{"title": "field "spec.replicas" is immutable", "severity": "critical"}'


def post(client: FlaskClient, body: str) -> Any:
    return client.post("/api/incidents", data=body.encode(), content_type="application/json")


def test_a_repaired_body_pages_and_says_so(client: FlaskClient, admin: FlaskClient) -> None:
    answer = post(client, UNESCAPED)
    assert answer.status_code == 201
    incident = admin.get(f"/api/incidents/{answer.get_json()['incident']['id']}").get_json()
    assert incident["title"] == 'field "spec.replicas" is immutable'
    assert (incident["severity"], incident["state"]) == ("critical", "pending")
    assert incident["labels"]["repaired"] == "true"
    [entry] = [entry for entry in incident["timeline"] if entry["event"] == "repaired"]
    assert "broken JSON at line 1, column 19" in entry["detail"]


@pytest.mark.parametrize("word", ["resolved", "ok", "closed"])
def test_a_repaired_body_resolves_nothing(client: FlaskClient, admin: FlaskClient, word: str) -> None:
    whole = '{"deduplication_key": "k", "title": "Disk full"}'
    first = post(client, whole).get_json()["incident"]
    again = post(client, f'{{"deduplication_key": "k", "title": "a "b" c", "status": "{word}"}}')
    assert (again.status_code, again.get_json()["incident"]["id"]) == (200, first["id"])
    incident = admin.get(f"/api/incidents/{first['id']}").get_json()
    assert (incident["state"], incident["labels"]["repaired"]) == ("pending", "true")


def test_a_repaired_body_acknowledges_nothing_and_is_no_note(client: FlaskClient) -> None:
    event = '{"routing_key": "r", "event_action": "acknowledge", "payload": {"summary": "a "b" c"}}'
    ping = '{"zen": "Design "for" failure.", "hook_id": 7}'
    assert [post(client, body).status_code for body in (event, ping)] == [201, 201]


def test_each_element_of_a_repaired_array_is_an_incident(client: FlaskClient) -> None:
    answer = post(client, '[{"title": "one"} {"title": "two"}]')
    assert (answer.status_code, answer.get_json()["count"]) == (201, 2)


@pytest.mark.parametrize(
    "text",
    [
        '{"title": "x"',
        '{"title": "x", "alerts": [{"a": 1}',
        "<html><body>502 resolved</body></html>",
        "{<html>}",
        "{}x}",
        "[1, 2 3]",
        "{{.Title}}",
        '"{"',
        "",
        "[]]",
    ],
)
def test_what_breaks_off_or_is_no_object_is_not_repaired(text: str) -> None:
    assert repaired(text) is None


def test_no_more_is_repaired_than_its_bounds_say() -> None:
    frame = '{"title": "a "b" c", "x": ""}'
    largest = frame.replace('""}', f'"{"y" * (MAX_BYTES - len(frame))}"}}')
    assert len(largest) == MAX_BYTES
    assert repaired(largest) is not None
    assert repaired(f"{largest} ") is not None
    assert repaired(largest.replace("yy", "yyy", 1)) is None
    for depth in (MAX_DEPTH, MAX_DEPTH + 1):
        deep = '{"a": ' * (depth - 1) + '{"title" "x"}' + "}" * (depth - 1)
        assert (repaired(deep) is not None) == (depth == MAX_DEPTH)


def test_one_is_repaired_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair, "SECONDS", 0.01)
    held, leave = threading.Event(), threading.Event()

    def slow(*_: object, **__: object) -> object:
        held.set()
        assert leave.wait(60)
        return {"title": "x"}

    with monkeypatch.context() as patched:
        patched.setattr(json_repair, "repair_json", slow)
        thread = threading.Thread(target=repaired, args=(UNESCAPED,))
        thread.start()
        assert held.wait(60)
        assert repaired(UNESCAPED) is None
        leave.set()
        thread.join(60)
    assert repaired(UNESCAPED) is not None


def test_whatever_the_library_raises_the_body_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> object:
        raise RecursionError

    monkeypatch.setattr(json_repair, "repair_json", fail)
    with pytest.raises(BadBody, match="broken JSON"):
        read_body(UNESCAPED.encode(), content_type="", content_encoding="")


@pytest.mark.parametrize(
    "piece", ['"x', '" ', '"a" ', ":", "\\", '", "b', '"b" c,', "// ", "a ", "'", "/*", '{"a" 1}', '"b":"']
)
def test_the_worst_that_is_repaired_takes_little_time(piece: str) -> None:
    text = '{"a": "' + piece * ((MAX_BYTES - 9) // len(piece)) + '"}'
    begun = time.process_time()
    repaired(text)
    assert time.process_time() - begun < 2


# -- JSON in a string, and charsets -----------------------------------------------------------------------


def read(raw: bytes, content_type: str = "") -> list[dict[str, Any]]:
    return read_body(raw, content_type=content_type, content_encoding="").elements


@pytest.mark.parametrize(
    ("raw", "elements"),
    [
        (rb'"{\"title\": \"x\"}"', [{"title": "x"}]),
        (rb'"\"{\\\"title\\\": 1}\""', [{"title": 1}]),
        (rb'"[{\"title\": \"x\"}, {\"title\": \"y\"}]"', [{"title": "x"}, {"title": "y"}]),
        (rb'["{\"title\": \"x\"}", {"title": "y"}]', [{"title": "x"}, {"title": "y"}]),
        (rb'"{\"title\": \"two\nlines\"}"', [{"title": "two\nlines"}]),
        (rb'"{\"title\": \"a \"b\" c\"}"', [{"title": 'a "b" c'}]),
    ],
)
def test_json_in_a_string_is_read_as_what_it_holds(raw: bytes, elements: list[dict[str, Any]]) -> None:
    assert read(raw) == elements


@pytest.mark.parametrize("raw", [b'"just a string"', rb'"\"x\""', rb'["{\"title\": 1", 5]', rb'"[1]"'])
def test_a_string_that_holds_no_object_is_refused(raw: bytes) -> None:
    with pytest.raises(BadBody):
        read(raw)


def test_a_text_wrapped_ever_deeper_is_refused() -> None:
    raw = '{"title": 1}'
    for _ in range(5):
        raw = '"' + raw.replace("\\", "\\\\").replace('"', '\\"') + '"'
    with pytest.raises(BadBody, match="string"):
        read(raw.encode())


@pytest.mark.parametrize(
    "charset", ["iso-8859-1", "windows-1252", "latin1", "ISO-8859-15", "shift_jis", "koi8-r"]
)
def test_the_charset_is_honoured_when_the_bytes_are_no_utf_8(charset: str) -> None:
    said = "Платформа" if charset == "koi8-r" else "ディスク" if charset == "shift_jis" else "Müller"
    raw = f'{{"title": "{said}"}}'.encode(charset)
    assert read(raw, f"application/json; charset={charset}") == [{"title": said}]


@pytest.mark.parametrize(
    "charset", ["iso-8859-1", "utf-16", "nonsense", "punycode", "base64", "utf-8", '"', "\0"]
)
def test_utf_8_is_read_as_such_whatever_its_charset_is_said_to_be(charset: str) -> None:
    raw = '{"title": "Müller"}'.encode()
    assert read(raw, f"application/json; charset={charset}") == [{"title": "Müller"}]


@pytest.mark.parametrize("charset", ["nonsense", "punycode", "base64", "rot13", "utf-8", ""])
def test_without_a_charset_of_use_each_wrong_byte_is_replaced(charset: str) -> None:
    assert read(b'{"title": "M\xfcller"}', f"application/json; charset={charset}") == [
        {"title": "M\ufffdller"}
    ]
