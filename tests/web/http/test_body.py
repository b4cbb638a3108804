"""What comes out of a body that was sent, and in which words it is refused."""

from __future__ import annotations

import gzip
import json
import time
import tracemalloc
import zlib
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.web.http.body import MAX_BODY, MAX_DEPTH, MAX_ELEMENTS, BadBody, Body, BodyTooLarge, read_body
from tests.web.http.nasty import BAD, LARGE, NASTY, Nasty

FORM = "application/x-www-form-urlencoded"


def read(raw: bytes | str, kind: str = "", encoding: str = "") -> Body:
    data = raw.encode() if isinstance(raw, str) else raw
    return read_body(data, content_type=kind, content_encoding=encoding)


def only(body: Body) -> dict[str, Any]:
    """The object of a body that is a single one."""
    assert not body.is_array
    assert len(body.elements) == 1
    return body.elements[0]


def refusal(raw: bytes | str, kind: str = "", encoding: str = "") -> str:
    with pytest.raises(BadBody) as caught:
        read(raw, kind, encoding)
    return str(caught.value)


# -- what is read --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "elements", "is_array"),
    [
        pytest.param("{}", [{}], False, id="empty object"),
        pytest.param('\r\n {"a": 1} \n', [{"a": 1}], False, id="blanks around"),
        pytest.param('[{"a": 1}]', [{"a": 1}], True, id="array of one"),
        pytest.param('[{"a": 1}, {}]', [{"a": 1}, {}], True, id="array of two"),
        pytest.param('{"a": 1}\n{"a": 2}\n', [{"a": 1}, {"a": 2}], True, id="lines"),
        pytest.param('{"a": 1}{"a": 2}', [{"a": 1}, {"a": 2}], True, id="joined"),
        pytest.param(b'\xef\xbb\xbf{"a": 1}', [{"a": 1}], False, id="byte order mark"),
        pytest.param('{"a": "ü"}'.encode("utf-16"), [{"a": "ü"}], False, id="UTF-16"),
        pytest.param('{"a": "ü"}'.encode("utf-16-le"), [{"a": "ü"}], False, id="UTF-16 without mark"),
        pytest.param('{"a": "ü"}'.encode("utf-32-be"), [{"a": "ü"}], False, id="UTF-32"),
        pytest.param(b'{"a": "K\xfcche"}', [{"a": "K\ufffdche"}], False, id="Latin-1"),
        pytest.param('{"a": "x\ty\0z"}', [{"a": "x\ty\0z"}], False, id="raw control characters"),
        pytest.param('{"a": 1, "a": 2}', [{"a": 2}], False, id="duplicate keys"),
        pytest.param('{"a": [NaN, Infinity, -Infinity]}', [{"a": [None] * 3}], False, id="not numbers"),
        pytest.param('{"a": [1e999, -1e999, 1e3]}', [{"a": [None, None, 1e3]}], False, id="overflow"),
        pytest.param('{"a": "\\ud83d\\ude00"}', [{"a": "\U0001f600"}], False, id="surrogates in a pair"),
        pytest.param('{"\\ud83d": ["x\\ude00"]}', [{"\ufffd": ["x\ufffd"]}], False, id="lone surrogates"),
    ],
)
def test_it_reads_json(raw: bytes | str, elements: list[dict[str, Any]], is_array: bool) -> None:
    assert read(raw) == Body(elements, is_array)


@pytest.mark.parametrize("sign", ["", "-"])
def test_it_keeps_an_integer_that_no_float_can_hold_as_its_text(sign: str) -> None:
    short, long = sign + "9" * 300, sign + "9" * 301

    assert only(read(f'{{"short": {short}, "long": {long}}}')) == {"short": int(short), "long": long}


@pytest.mark.parametrize("kind", ["", "text/plain", "nonsense", FORM, "multipart/form-data; boundary=x"])
def test_it_reads_json_whatever_the_content_type_says(kind: str) -> None:
    assert only(read('{"a": "b=c&d"}', kind)) == {"a": "b=c&d"}


@pytest.mark.parametrize(
    ("encoding", "raw"),
    [
        ("", b'{"a": 1}'),
        ("identity", b'{"a": 1}'),
        ("gzip", gzip.compress(b'{"a": 1}', mtime=0)),
        ("X-GZIP", gzip.compress(b'{"a"', mtime=0) + gzip.compress(b": 1}", mtime=0)),
        (" Deflate", zlib.compress(b'{"a": 1}')),
        ("deflate", zlib.compress(b'{"a": 1}', wbits=-15)),
    ],
)
def test_it_unpacks_what_is_compressed(encoding: str, raw: bytes) -> None:
    assert only(read(raw, encoding=encoding)) == {"a": 1}


# -- forms ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"Name": "Shop", "Status": "Down"}, {"Name": "Shop", "Status": "Down"}),
        ({"Name": "Käse & Brot", "empty": ""}, {"Name": "Käse & Brot", "empty": ""}),
        ({"payload": '{"title": "x"}'}, {"title": "x"}),
        ({"payload": '{"title": "x"}', "token": "t"}, {"title": "x"}),
        ({"data": '{"title": "x"}', "payload": "y"}, {"title": "x"}),
        ({"payload": "{}"}, {}),
        ({"alert": '{"title": "x"}'}, {"title": "x"}),
        ({"alert": '{"title": "x"}', "b": "c"}, {"alert": '{"title": "x"}', "b": "c"}),
        ({"payload": '{"title": '}, {"payload": '{"title": '}),
        ({"payload": "[1]"}, {"payload": "[1]"}),
    ],
)
def test_it_reads_a_form_as_its_fields_or_as_the_json_it_carries(
    form: dict[str, str], expected: dict[str, Any]
) -> None:
    parts = [f'--x\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in form.items()]

    assert only(read(urlencode(form), FORM + "; charset=UTF-8")) == expected
    assert only(read("".join(parts) + "--x--\r\n", "multipart/form-data; boundary=x")) == expected


def test_it_takes_the_last_of_two_fields_with_one_name() -> None:
    assert only(read("a=first&a=last", FORM)) == {"a": "last"}


def test_it_reads_a_form_only_when_the_content_type_says_so() -> None:
    assert "broken JSON" in refusal("title=x")


# -- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("", "empty"),
        (" \n\t", "empty"),
        ("5", "is a number"),
        ("true", "is a boolean"),
        ("null", "is null"),
        ('"x"', "is a string"),
        ("[]", "array is empty"),
        ('[{}, {}, "x"]', "index 2 is a string"),
        ("[{}, [{}]]", "index 1 is an array"),
        ("{}{} null", "index 2 is null"),
        ('{"a": 1', "line 1, column 8"),
        ('{"a": 1,\n "b" 2', "line 2, column 6"),
        ('{"a": 1}\n{"a": x', "line 2, column 7"),
    ],
)
def test_it_says_what_is_wrong_and_what_would_be_right(raw: str, words: str) -> None:
    sentence = refusal(raw)

    assert words in sentence
    assert ": " in sentence
    assert sentence.endswith(".")


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "x" * 5000])
def test_it_names_the_encodings_that_it_understands(encoding: str) -> None:
    sentence = refusal(b"{}", encoding=encoding)

    assert "gzip" in sentence
    assert "deflate" in sentence
    assert len(sentence) < 200


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 1000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [('{"a":', "}"), ("[", "]")])
def test_it_refuses_what_is_nested_too_deep(depth: int, opening: str, closing: str) -> None:
    inner = opening * (depth - 1) + "{}" + closing * (depth - 1)

    assert "too deep" in refusal(f'{{"a": {inner}}}')


@pytest.mark.parametrize("frame", ["%s", "[%s]", "[{},%s]", "{}\n%s"])
def test_it_counts_the_depth_of_each_incident_on_its_own(frame: str) -> None:
    deepest = '{"a":' * MAX_DEPTH + "1" + "}" * MAX_DEPTH

    assert read(frame % deepest).elements[-1] == json.loads(deepest)
    assert "too deep" in refusal(frame % f'{{"a":{deepest}}}')


@pytest.mark.parametrize(
    "text", ["[" * 500, "]" * 500, r"\"[[", r"\\", '\\\\\\"' + "{" * 500, "ü[" * 500, "\ud800[" * 500]
)
def test_brackets_in_texts_are_no_depth(text: str) -> None:
    deepest = json.dumps({text: [text, {text: text}]})
    wrapped = '{"a":' * (MAX_DEPTH - 3) + deepest + "}" * (MAX_DEPTH - 3)

    assert list(read(wrapped).elements[0]) == ["a"]
    closing = json.dumps("]}" * 200)
    assert "too deep" in refusal(f'{{"a":[{closing},' * MAX_DEPTH + "1" + "]}" * MAX_DEPTH)


# -- size and time -------------------------------------------------------------------------------------


def test_it_takes_four_mebibytes_and_not_one_byte_more() -> None:
    body = b'{"a":"' + b"x" * (MAX_BODY - 8) + b'"}'

    assert len(only(read(body))["a"]) == MAX_BODY - 8
    with pytest.raises(BodyTooLarge, match="4 MiB"):
        read(body + b" ")


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_it_stops_unpacking_a_bomb_at_the_limit(encoding: str) -> None:
    bomb = (gzip.compress if encoding == "gzip" else zlib.compress)(bytes(64 * MAX_BODY))
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLarge):
            read(bomb, encoding=encoding)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 8 * MAX_BODY


@pytest.mark.parametrize(
    "members",
    [
        pytest.param([gzip.compress(b" " * (MAX_BODY - 1))] * 64, id="large ones"),
        pytest.param(
            [gzip.compress(b" " * MAX_BODY, mtime=0)] + [gzip.compress(b" ")] * 10_000, id="small ones"
        ),
        pytest.param([gzip.compress(b"{}"), gzip.compress(bytes(64 * MAX_BODY))], id="the second one"),
    ],
)
def test_it_stops_at_the_limit_within_a_bomb_of_several_members(members: list[bytes]) -> None:
    bomb = b"".join(members)
    assert len(bomb) < MAX_BODY
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLarge):
            read(bomb, encoding="gzip")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 8 * MAX_BODY


def test_members_without_end_that_hold_nothing_are_an_empty_body() -> None:
    empty = gzip.compress(b"", mtime=0)

    assert "empty" in refusal(empty * (MAX_BODY // len(empty)), encoding="gzip")


def test_it_takes_so_many_incidents_and_not_one_more() -> None:
    assert len(read(b"{}" * MAX_ELEMENTS).elements) == MAX_ELEMENTS
    with pytest.raises(BodyTooLarge, match="at most 5000"):
        read(b"{}" * (MAX_ELEMENTS + 1))


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"{}" * (MAX_BODY // 2), id="joined"),
        pytest.param(b" " * (MAX_BODY - 2) + b"{}", id="blanks"),
        pytest.param(b'{"a":[' + b"0," * 500_000 + b"0]}", id="numbers"),
        pytest.param(b'{"a":[' + b"[]," * 340_000 + b"0]}", id="arrays"),
        pytest.param(b'{"\\ud800":[' + b"[]," * 340_000 + b"0]}", id="arrays and a surrogate"),
        pytest.param(b'{"a":' + b"9" * 1_000_000 + b"}", id="digits"),
        pytest.param(b'{"a":"' + b"\\" * 1_000_000 + b'"}', id="backslashes"),
    ],
)
def test_it_reads_the_worst_mebibyte_in_linear_time(raw: bytes) -> None:
    # Some 0.5 s on one slow core at most; what is quadratic in a mebibyte takes minutes.
    before = time.process_time()
    with suppress(BodyTooLarge):
        read(raw)

    assert time.process_time() - before < 3


# -- whatever is sent ----------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
json_objects = st.dictionaries(st.text(), json_values, max_size=5)


@given(json_objects, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]), st.booleans())
def test_it_gives_back_every_object(thing: dict[str, Any], charset: str, ascii_only: bool) -> None:
    assert only(read(json.dumps(thing, ensure_ascii=ascii_only).encode(charset))) == thing


@given(st.lists(json_objects, min_size=2, max_size=5), st.sampled_from(["", "\n", "\r\n", " \n\n"]))
def test_it_reads_texts_after_one_another_like_an_array(things: list[Any], between: str) -> None:
    joined = between.join(json.dumps(thing) for thing in things)

    assert read(joined) == read(json.dumps(things)) == Body(things, is_array=True)


@settings(max_examples=300)
@given(
    st.binary(max_size=200) | st.text(alphabet='{}[]",:\\u0dD8 \n1eE.-=&%x', max_size=100).map(str.encode),
    st.sampled_from(["", "application/json", FORM, "multipart/form-data; boundary=x"]) | st.text(max_size=30),
    st.sampled_from(["", "", "gzip", "deflate"]),
)
def test_it_reads_garbage_or_refuses_it_and_does_nothing_else(raw: bytes, kind: str, encoding: str) -> None:
    try:
        body = read(raw, kind, encoding)
    except (BadBody, BodyTooLarge):
        return
    assert body.elements
    # What was read can be stored and sent: texts of whole characters, and numbers that are numbers.
    assert json.dumps(body.elements, ensure_ascii=False, allow_nan=False).encode()


# -- the table of nasty requests -----------------------------------------------------------------------


@pytest.mark.parametrize("nasty", [n for n in NASTY if not n.query], ids=lambda n: n.name[:60])
def test_it_answers_a_nasty_body_as_the_table_says(nasty: Nasty) -> None:
    kind, encoding = nasty.headers.get("Content-Type", ""), nasty.headers.get("Content-Encoding", "")
    try:
        read(nasty.raw, kind, encoding)
    except BadBody:
        assert nasty.allowed >= BAD
    except BodyTooLarge:
        assert nasty.allowed >= LARGE
    else:
        assert 201 in nasty.allowed


def test_the_table_of_nasty_requests_names_each_once_and_allows_no_server_error() -> None:
    assert len({nasty.name for nasty in NASTY}) == len(NASTY) > 60
    assert all(status < 500 for nasty in NASTY for status in nasty.allowed)
