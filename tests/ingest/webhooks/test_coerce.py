"""Any value of a sender's JSON as clean text, severity, time, link, labels or key."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from app.ingest.webhooks import coerce
from app.ingest.webhooks.coerce import Webhook

PLACEHOLDERS = [
    *("{EVENT.ID}", "{HOST.NAME1}", "{EVENT.TAGS.service}", "{$ZABBIX.URL}", "{#FSNAME}", "$ALERT_ID"),
    *("$HOSTNAME$", "${ALERT_ID}", "{{alert.id}}", "{{ alert.id }}", "*monitorID*", "*UNKNOWN*"),
]
BLANKS = ["", " ", "\t\r\n", "\u00a0\u3000"]
HUGE = 10**5000
NO_TEXT: list[Any] = [None, True, 0, 4711, 1.5, [], {}, ["text"], {"text": "text"}]


@pytest.mark.parametrize("value", [*PLACEHOLDERS, *BLANKS, *NO_TEXT, " {EVENT.ID}\n"])
def test_it_takes_placeholders_blanks_and_other_types_for_absent(value: object) -> None:
    assert coerce.text(value) is None
    assert coerce.line(value) is None
    assert coerce.first_line(value) is None
    assert coerce.severity_of(value) is None
    assert coerce.link(value) is None


@pytest.mark.parametrize(
    "value",
    [
        "{}",
        "{checkout}",
        "*Outage*",
        "$5 off",
        "$",
        "**bold**",
        "Host {HOST.NAME} is down",
        '{"a": 1}',
        "{}:{}",
    ],
)
def test_it_keeps_words_that_only_look_like_a_placeholder(value: str) -> None:
    assert coerce.text(value) == value
    assert coerce.line(value) == value


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (" plain  ", "plain"),
        ("two\nlines", "two lines"),
        ("dos\r\n\r\nlines", "dos lines"),
        ("a\x00b\x1bc\x7fd\x85e\u2028f", "a b c d e f"),
        ("twice  as   wide", "twice as wide"),
        ("cart \u202etxt.exe\u2066 \ufeffis\u200b down", "cart txt.exe is down"),
        ("half \ud83d an emoji, whole 🚨", "half an emoji, whole 🚨"),
        ("磁盘空间不足 – Καμία", "磁盘空间不足 – Καμία"),
        ("\u200b", None),
        ("\x00\x01", None),
        ("\udc00", None),
    ],
)
def test_a_line_is_one_clean_line(value: str, line: str | None) -> None:
    assert coerce.line(value) == line


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("\n one\r\ntwo\rthree\n\n", "one\ntwo\nthree"),
        ("a\x00b\x1b[31m\tc\ud800", "ab[31m\tc"),
        ("- **bold**\n- `code`", "- **bold**\n- `code`"),
        ("\x00\u200b", None),
    ],
)
def test_a_text_keeps_its_lines_and_loses_control_characters(value: str, text: str | None) -> None:
    assert coerce.text(value) == text


@pytest.mark.parametrize("filler", ["x", "é", "🚨", "x\n", "\x00x"])
def test_long_words_end_in_an_ellipsis_and_keep_within_their_limit(filler: str) -> None:
    words = filler * 20_000
    assert coerce.line("x" * 255) == "x" * 255
    for short, limit in (
        (coerce.line(words), 255),
        (coerce.text(words), 16_000),
        (coerce.text(words, 10), 10),
    ):
        assert short is not None
        assert len(short) <= limit
        assert short.endswith("…")


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("Traceback\n  File x", "Traceback"),
        ("\n \n  second is first\nthird", "second is first"),
        ("\x00\nvisible", "visible"),
        ("one\u2028two", "one"),
        ("\u200b", None),
    ],
)
def test_the_first_line_is_the_first_that_shows_something(value: str, line: str | None) -> None:
    assert coerce.first_line(value) == line


SEVERITIES = {
    "critical": "critical crit fatal emergency emerg panic alert disaster page blocker p0 p1 sev0 "
    "sev1 s1 down",
    "high": "high error err major severe urgent p2 sev2 s2",
    "medium": "medium moderate warning warn average p3 sev3 s3",
    "low": "low minor notice p4 sev4 s4",
    "info": "info information informational notification debug trace verbose none ok p5 sev5",
}


@pytest.mark.parametrize(
    ("word", "severity"),
    [(word, severity) for severity, words in SEVERITIES.items() for word in words.split()],
)
def test_it_knows_the_words_for_severities_in_any_case(word: str, severity: str) -> None:
    assert coerce.severity_of(word) == severity
    assert coerce.severity_of(f" {word.upper()}\n") == severity
    assert coerce.severity_of(word.title()) == severity


@pytest.mark.parametrize(
    ("word", "severity"),
    [
        *(("SEV-1", "critical"), ("sev_1", "critical"), ("Sev 1", "critical"), ("sev-3", "medium")),
        *(
            ("1", None),
            (1, None),
            ("unknown", None),
            ("No severity", None),
            ("criticality", None),
            ("p6", None),
        ),
    ],
)
def test_it_reads_severities_with_separators_and_invents_none(word: object, severity: str | None) -> None:
    assert coerce.severity_of(word) == severity


EIGHT = datetime(2026, 3, 4, 8, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "2026-03-04T08:00:00Z",
        "2026-03-04t08:00:00z",
        "2026-03-04T09:00:00+01:00",
        "2026-03-04T08:00:00.0000000Z",
        "2026-03-04T08:00:00.000000001Z",
        "2026-03-04 08:00:00",
        "2026-03-04 08:00:00 UTC",
        "2026-03-04 09:00:00 +0100",
        "2026-03-04T08:00:00",
        " 2026-03-04T08:00:00Z ",
        1772611200,
        1772611200.0,
        1772611200000,
        1772611200000000,
        1772611200000000000,
        "1772611200",
        "1772611200.000",
        "1772611200000",
    ],
)
def test_it_reads_a_time_in_any_of_its_forms(value: object) -> None:
    moment = coerce.moment(value)
    assert moment == EIGHT
    assert moment is not None
    assert moment.tzinfo is UTC


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2026-03-04T09:51:03.157076+02:00", datetime(2026, 3, 4, 7, 51, 3, 157076, tzinfo=UTC)),
        (1772611200.25, datetime(2026, 3, 4, 8, 0, 0, 250_000, tzinfo=UTC)),
        (99_999_999_999, datetime(5138, 11, 16, 9, 46, 39, tzinfo=UTC)),
        (100_000_000_000, datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)),
        (100_000_000_000_000, datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)),
        (100_000_000_000_000_000, datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)),
    ],
)
def test_the_size_of_an_epoch_tells_its_unit(value: object, moment: datetime) -> None:
    assert coerce.moment(value) == moment


@pytest.mark.parametrize(
    "value",
    [
        *("0001-01-01T00:00:00Z", "0001-01-01T02:00:00+02:00", "1970-01-01T00:00:00Z", 0, 0.0, "0"),
        *(None, True, [], {}, "", "{EVENT.TIME}", "soon", "08:00:00", "2026-13-01T00:00:00Z"),
        *(-1, -1e18, 12.5, 350, 1e300, 10**400, float("inf"), float("nan"), "9" * 21, "9" * 5000),
        pytest.param(HUGE, id="huge"),
        *("2026-03-04T08:00:00 \ud800x", "\u0661772611200"),
    ],
)
def test_zero_times_and_nonsense_are_no_times(value: object) -> None:
    assert coerce.moment(value) is None


@pytest.mark.parametrize(
    ("value", "link"),
    [
        ("https://example.com", "https://example.com"),
        (" HTTP://example.com:9093/#/alerts?a=b ", "HTTP://example.com:9093/#/alerts?a=b"),
        ("https://example.com/a b", "https://example.com/a%20b"),
        ("https://münchen.example/ü", "https://münchen.example/ü"),
        *((f"{scheme}:alert(1)", None) for scheme in ("javascript", "data", "file", "ftp", "mailto")),
        *(
            (bad, None)
            for bad in ("https://", "http:///x", "//example.com", "example.com", "/x", "https:example")
        ),
        *((bad, None) for bad in ("https://a\nb", "https://a\x00b", "https://a/\u202e", "https://a/\ud800")),
        *(
            (bad, None)
            for bad in (
                "https://\x00",
                "https://[",
                "https://[::1",
                "https://@/x",
                "https://?a",
                "https://#a",
            )
        ),
        ("https://[2001:db8::1]:3000/x", "https://[2001:db8::1]:3000/x"),
        ("https://example.com/" + "x" * 10_000, None),
    ],
)
def test_only_http_and_https_are_links(value: str, link: str | None) -> None:
    assert coerce.link(value) == link


@pytest.mark.parametrize(
    ("source", "labels"),
    [
        ({"region": "eu", "tier": 1, "canary": True}, {"region": "eu", "tier": "1", "canary": "true"}),
        ({"ratio": 0.5, "big": 1e16, "off": False}, {"ratio": "0.5", "big": "1e+16", "off": "false"}),
        ({"a": None, "b": [], "c": {}, "d": "", "e": "{EVENT.ID}", "f": HUGE, "": "x", " ": "x"}, {}),
        (["env:prod", "url:http://x", "plain", 5, None, ":x", "x:"], {"env": "prod", "url": "http://x"}),
        ("env:prod, team : dba,plain", {"env": "prod", "team": "dba"}),
        ({"a\nb": "c\x00d"}, {"a b": "cd"}),
        (None, {}),
        (5, {}),
        (True, {}),
        ("", {}),
        ("plain", {}),
        ([], {}),
    ],
)
def test_labels_are_a_flat_map_of_text(source: object, labels: dict[str, str]) -> None:
    assert coerce.labels(source) == labels


def test_labels_have_limits() -> None:
    many = coerce.labels(
        {f"{'n' * 200}{i}": "v" for i in range(3)}, {f"name{i}": "v" * 5000 for i in range(500)}
    )
    assert len(many) == 64
    assert max(map(len, many)) == 128
    assert max(map(len, many.values())) == 1024


def test_the_first_source_that_names_a_label_wins() -> None:
    assert coerce.labels({"a": "1", "b": [], "c": "3"}, {"a": "4", "b": "2"}) == {
        "a": "1",
        "b": "2",
        "c": "3",
    }


@pytest.mark.parametrize(
    "name",
    [
        *("routing_key", "Token", "ping_url", "update_url", "password", "secret", "api_key", "authorization"),
        *("X-API-Key", "apiKey", "ACCESS_TOKEN", "db-password", "clientSecret", "token"),
    ],
)
def test_secrets_never_become_labels(name: str) -> None:
    assert coerce.labels({name: "hunter2", "region": "eu"}, [f"{name}:hunter2"]) == {"region": "eu"}


def digest(**body: object) -> str | None:
    return coerce.identity(Webhook.of(body, {}), ("one sender", coerce.key(body.get("key"))))


@pytest.mark.parametrize("value", [*PLACEHOLDERS, *BLANKS, None, True, False, [], {}, ["a"], float("inf")])
def test_what_is_neither_words_nor_a_number_is_no_key(value: object) -> None:
    assert digest(key=value) is None
    assert digest(deduplication_key=value) is None


def test_a_number_too_long_to_be_written_is_no_key() -> None:
    assert digest(key=HUGE) is None


def test_a_number_and_its_words_are_the_same_key() -> None:
    assert digest(key=4711) == digest(key="4711") == digest(key=4711.0) != digest(key=4712)
    assert digest(key=0) is not None


def test_keys_are_compared_whole() -> None:
    long = "k" * 100_000
    assert digest(key=long + "a") != digest(key=long + "b")
    assert digest(key="\ud800") != digest(key="\ud801")
    assert digest(key="a") != digest(key="a ")


def test_an_identity_is_a_digest_that_does_not_show_the_key() -> None:
    identity = digest(key="R0EXAMPLE0KEY")
    assert identity is not None
    assert len(identity) == 64
    assert int(identity, 16)


def test_an_explicit_key_wins_over_the_senders_own() -> None:
    assert digest(deduplication_key="x", key="y") == digest(deduplication_key="x") != digest(key="y")
    assert digest(deduplication_key=" ", key="y") == digest(key="y")


def test_keys_of_different_senders_never_meet() -> None:
    webhook = Webhook.of({"deduplication_key": None}, {})
    identities = {
        coerce.identity(webhook, (sender, key)) for sender, key in (("a", "b"), ("a b", ""), ("b", "a"))
    }
    identities |= {digest(deduplication_key="b"), digest(key="b")}
    assert len(identities) == 5


def test_a_webhook_never_shows_what_it_holds() -> None:
    webhook = Webhook.of({"routing_key": "hunter2"}, {"Authorization": "Bearer hunter2"})
    assert "hunter2" not in repr(webhook)
    assert webhook.headers == {"authorization": "Bearer hunter2"}
