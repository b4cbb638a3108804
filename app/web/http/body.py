"""A request body becomes JSON objects: unpacked, decoded, parsed, and checked for its shape; needs no Flask.

A sender that is refused may never send again, so what can be understood is understood: a form, texts one
after another, numbers and letters that JSON does not have. What can't be is refused in one sentence.
"""

from __future__ import annotations

import codecs
import gzip
import json
import math
import re
import zlib
from array import array
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import accumulate
from typing import Any
from urllib.parse import parse_qsl

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

from app.web.http.repair import repaired

MAX_BODY = 4 * 1_048_576
"""Bytes; counts what comes out of gzip."""
MAX_DEPTH = 100
"""Objects and arrays within one another, the incident's own object included."""
MAX_DIGITS = 300
"""Of an integer; one more and it is kept as text, because no float can hold it."""
MAX_FIELDS = 1000
"""Of a form."""
MAX_ELEMENTS = 5000
"""Of an array; that many are stored in one step, during which Redis does nothing else (0.1 s)."""

MAX_WRAPPED = 3
"""JSON texts in JSON strings, one within another."""

TOO_LARGE = f"The body is larger than {MAX_BODY} bytes (4 MiB): send fewer alerts at a time."
WANTED = "send a JSON object, or an array of objects"
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class BadBody(Exception):
    """The body is not what it must be; the text says what is wrong and what would be right."""


class EmptyBody(BadBody):
    """There is no body, or an array of nothing: nothing can have been lost."""


class BrokenJson(BadBody):
    """The body is no JSON, but may have been meant as such."""


class BodyTooLarge(Exception):
    """The body is larger than `MAX_BODY`, or holds more than `MAX_ELEMENTS` incidents."""


@dataclass(frozen=True)
class Body:
    """What was sent: one JSON object for each incident."""

    elements: list[dict[str, Any]]
    is_array: bool
    """An array, or several texts, came; false for a single object."""
    repaired: str = ""
    """What was wrong with the JSON that was sent, if it had to be repaired."""


def read_body(raw: bytes, *, content_type: str, content_encoding: str) -> Body:
    """Read a body whose headers may be missing (empty) or wrong; contract, section 3.

    Raises `BadBody` or `TooLarge`, nothing else, and takes bounded time and memory whatever is sent.
    """
    data = unpacked(raw, content_encoding)
    if len(data) > MAX_BODY:
        raise BodyTooLarge(TOO_LARGE)
    kind, options = parse_options_header(content_type)
    text = _decoded(data, options.get("charset", ""))
    if not text.strip():
        raise EmptyBody(f"The body is empty: {WANTED}.")
    if _is_form(text, kind.lower()):
        fields = _form(data, text, kind.lower(), options)
        carried = _json_field(fields)
        return Body([fields if carried is None else carried], is_array=False)
    return _read(text)


def _read(text: str, wrapped: int = 0) -> Body:
    try:
        values = _parsed(text)
    except BrokenJson as error:
        meant = repaired(text)
        if meant is None:
            raise
        return replace(_shaped(_parsed(meant)), repaired=str(error))
    # Some clients find that a body is no JSON, and send it all as one JSON string.
    if len(values) == 1 and wrapped < MAX_WRAPPED and _is_json(values[0]):
        return _read(values[0], wrapped + 1)
    return _shaped(values)


def _is_json(value: Any) -> bool:
    return isinstance(value, str) and value.lstrip()[:1] in ("{", "[", '"')


# -- from bytes to text ------------------------------------------------------------------------------


# Those that are no more than a table; others of Python's take time that is not linear, or are no charset.
_CHARSETS = (
    "ascii",
    "big5",
    "cp",
    "euc",
    "gb",
    "iso8859",
    "johab",
    "koi8",
    "latin",
    "mac",
    "shift",
    "tis",
    "utf",
)


def _decoded(data: bytes, charset: str) -> str:
    """As JSON is written or, where the bytes are no UTF-8, in the charset that their sender names."""
    found = json.detect_encoding(data)
    try:
        return data.decode(found)
    except UnicodeDecodeError:
        with suppress(LookupError, ValueError):
            codec = codecs.lookup(charset).name
            if found.startswith("utf-8") and codec.startswith(_CHARSETS):
                return data.decode(codec, "replace")
        return data.decode(found, "replace")


def unpacked(raw: bytes, content_encoding: str) -> bytes:
    """What comes out of gzip or deflate, cut one byte after the limit so that a bomb costs nothing.

    Raises `BadBody`.
    """
    encoding = content_encoding.strip().lower()
    if encoding in ("", "identity"):
        return raw
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise BadBody(
            f"The Content-Encoding is {encoding[:40]!r}: send the body as gzip, as deflate, or as it is."
        )
    try:
        return (
            _inflated(raw)
            if encoding == "deflate"
            else gzip.GzipFile(fileobj=BytesIO(raw)).read(MAX_BODY + 1)
        )
    except (zlib.error, gzip.BadGzipFile, EOFError) as error:
        raise BadBody(
            f"The body is not the whole {encoding} data that its Content-Encoding says: compress it again, "
            "or send it as it is."
        ) from error


def packed(data: bytes, content_encoding: str) -> bytes:
    """The other way round; the same data is always the same bytes."""
    encoding = content_encoding.strip().lower()
    if encoding in ("", "identity"):
        return data
    return zlib.compress(data) if encoding == "deflate" else gzip.compress(data, mtime=0)


def _inflated(raw: bytes) -> bytes:
    # The standard means zlib's format by "deflate"; several clients send the bare stream.
    try:
        stream = zlib.decompressobj()
        data = stream.decompress(raw, MAX_BODY + 1)
    except zlib.error:
        stream = zlib.decompressobj(-zlib.MAX_WBITS)
        data = stream.decompress(raw, MAX_BODY + 1)
    if not stream.eof and len(data) <= MAX_BODY:
        raise EOFError
    return data


# -- from text to JSON -------------------------------------------------------------------------------


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits.lstrip("-")) <= MAX_DIGITS else digits


def _fraction(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


_DECODER = json.JSONDecoder(
    strict=False, parse_int=_integer, parse_float=_fraction, parse_constant=lambda _: None
)
_BLANK = " \t\r\n"
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def _parsed(text: str) -> list[Any]:
    """The JSON values that stand one after another in the text."""
    values: list[Any] = []
    decode, at = _DECODER.raw_decode, 0
    try:
        while at < len(text):
            if text[at] in _BLANK:
                at += 1
            else:
                value, at = decode(text, at)
                values.append(value)
    except json.JSONDecodeError as error:
        raise BrokenJson(
            f"The body is broken JSON at line {error.lineno}, column {error.colno} ({error.msg}): {WANTED}."
        ) from error
    except RecursionError:
        raise _too_deep() from None
    # The single value may be the array of all elements: it must not count as a level of each.
    whole = len(values) == 1 and isinstance(values[0], list)
    if _depth(text) > MAX_DEPTH + whole:
        raise _too_deep()
    return _without_surrogates(values) if _SURROGATE.search(text) else values


# One up for each bracket that opens, one down (-1 as a byte) for each that closes.
_STEPS = bytes.maketrans(b"[{]}", bytes((1, 1, 255, 255)))
_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))


def _depth(text: str) -> int:
    """How many brackets are open at once in text that is valid JSON; cheaper than a visit to every value."""
    unescaped = text.encode().replace(rb"\\", b"").replace(rb"\"", b"")
    outside_strings = b"".join(unescaped.split(b'"')[::2])
    return max(accumulate(array("b", outside_strings.translate(_STEPS, _NO_BRACKETS))), default=0)


def _too_deep() -> BadBody:
    return BadBody(
        f"The body is nested too deeply: send at most {MAX_DEPTH} objects and arrays in one another."
    )


def _without_surrogates(value: Any) -> Any:
    """Half a character, as a text cut in the middle has it, can be stored nowhere: it becomes U+FFFD."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    return value


def _shaped(values: list[Any]) -> Body:
    if len(values) == 1 and isinstance(values[0], dict):
        return Body(values, is_array=False)
    if len(values) == 1 and not isinstance(values[0], list):
        raise BadBody(f"The body is {_kind(values[0])}: {WANTED}.")
    elements = values[0] if len(values) == 1 else values
    elements = [_unwrapped(element) for element in elements]
    if not elements:
        raise EmptyBody("The array is empty: send at least one object in it.")
    if len(elements) > MAX_ELEMENTS:
        raise BodyTooLarge(
            f"The body holds {len(elements)} incidents: send at most {MAX_ELEMENTS} at a time."
        )
    for index, element in enumerate(elements):
        if not isinstance(element, dict):
            raise BadBody(
                f"The element with index {index} is {_kind(element)}: every element must be an object."
            )
    return Body(elements, is_array=True)


def _unwrapped(element: Any) -> Any:
    """What an element holds that is a JSON text."""
    if not _is_json(element):
        return element
    with suppress(BadBody):
        [element] = _parsed(element) or [element]
    return element


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if value is None:
        return "null"
    return "a string" if isinstance(value, str) else "an array"


# -- forms -------------------------------------------------------------------------------------------


def _is_form(text: str, kind: str) -> bool:
    # Many send JSON under a form's type, `curl -d` for one, and broken JSON is no form either.
    if kind not in FORMS or text.lstrip()[0] in '{["':
        return False
    return kind == "multipart/form-data" or "=" in text


def _form(data: bytes, text: str, kind: str, options: dict[str, str]) -> dict[str, Any]:
    """The fields of a form; of a name that comes twice, the last, as in JSON. Files are left out."""
    try:
        if kind == "multipart/form-data":
            parser = FormDataParser(_in_memory, MAX_BODY, silent=False, max_form_parts=MAX_FIELDS)
            _, multi, _ = parser.parse(BytesIO(data), kind, len(data), options)
            fields = {name: values[-1] for name, values in multi.lists()}
        else:
            fields = dict(parse_qsl(text.strip(), keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except (ValueError, RequestEntityTooLarge) as error:
        raise BadBody(
            f"The form is broken or has more than {MAX_FIELDS} fields: send it as {FORMS[0]}, or as JSON."
        ) from error
    if not fields:
        raise BadBody("The form has no fields: send at least one, or JSON.")
    return fields


def _in_memory(*_: object, **__: object) -> BytesIO:
    return BytesIO()


def _json_field(fields: dict[str, Any]) -> dict[str, Any] | None:
    """The JSON object that a form carries in `payload` or `data`, or in the only field that it has."""
    for name in fields if len(fields) == 1 else ("payload", "data"):
        try:
            body = _shaped(_parsed(fields.get(name, "")))
        except BadBody:
            continue
        if not body.is_array:
            return body.elements[0]
    return None
