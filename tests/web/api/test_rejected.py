"""What was refused can be found again: once with a count, without secrets, and within bounds."""

from __future__ import annotations

import gzip
import json
import zlib
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from pydantic import SecretStr

from app.bootstrap import Services
from app.store.rejected import BODY_KEPT, BYTES, COUNTS, ENTRIES, KEPT, whole_body
from app.web import create_app
from app.web.http.body import MAX_BODY
from config.providers import Alternate
from tests.fakes import GATEWAY_SECRET, Clock

SECRET = "test-secret-of-a-sender-5e"


def rejected(admin: FlaskClient, **query: Any) -> list[dict[str, Any]]:
    answer = admin.get("/api/rejected", query_string=query)
    assert answer.status_code == 200, answer.text
    entries: list[dict[str, Any]] = answer.get_json()["rejected"]
    return entries


def only(admin: FlaskClient) -> dict[str, Any]:
    [entry] = rejected(admin)
    return entry


def test_nothing_is_kept_of_what_was_accepted(admin: FlaskClient) -> None:
    assert admin.post("/api/incidents", json={"title": "x"}).status_code == 201
    assert rejected(admin) == []


def test_a_refused_body_is_kept_with_the_reason(admin: FlaskClient) -> None:
    answer = admin.post("/api/incidents?oncall_enable=true", data=b'{"title": "cut', content_type="text/x")
    entry = only(admin)
    assert entry["body"] == '{"title": "cut'
    assert (entry["status"], entry["error"]) == (400, answer.get_json()["error"])
    assert (entry["size"], entry["truncated"], entry["count"]) == (14, False, 1)
    assert entry["first_at"] == entry["last_at"] == "2026-03-04T03:00:00.000Z"
    assert (entry["method"], entry["remote_address"]) == ("POST", "127.0.0.1")
    assert entry["query"] == {"oncall_enable": "true"}
    assert entry["headers"]["Content-Type"] == "text/x"
    assert len(entry["id"]) == 32


def test_the_oldest_bodies_go_when_all_of_them_are_too_large(
    services: Services, clock: Clock, redis_url: str
) -> None:
    kept, server = services.store.rejected, redis.Redis.from_url(redis_url)
    for n in range(40):
        body = b"%02d" % n + b"x" * 50_000
        kept.add(body, clock.wind(seconds=1), error="x", status=400, about={}, most_bytes=1_000_000)
    entries = kept.newest(KEPT)
    assert [entry["body"][:2] for entry in entries] == [f"{n:02}" for n in range(39, 39 - len(entries), -1)]
    assert 18 <= len(entries) < 20
    assert int(server.get(BYTES) or 0) == sum(map(len, server.hvals(ENTRIES))) <= 1_000_000
    assert server.hlen(COUNTS) == len(entries)
    kept.add(body, clock.wind(seconds=1), error="x", status=400, about={}, most_bytes=1_000_000)
    assert int(server.get(BYTES) or 0) == sum(map(len, server.hvals(ENTRIES)))
    for entry in entries:
        kept.forget(entry["id"])
        kept.forget(entry["id"])
    assert int(server.get(BYTES) or 0) == 0


def test_one_body_is_kept_however_little_room_there_is(services: Services, clock: Clock) -> None:
    for n in range(3):
        services.store.rejected.add(
            b"%d" % n, clock.wind(seconds=1), error="x", status=400, about={}, most_bytes=1
        )
    assert [entry["body"] for entry in services.store.rejected.newest(KEPT)] == ["2"]


@pytest.mark.parametrize(
    ("raw", "query", "status"),
    [
        (b"", "", 400),
        (b"[]", "", 400),
        (b'{"title": "x"}', "oncall_wait_minutes=-1", 400),
        (b'{"title": "x"}', "incidentio_other_alert_source=infrared", 400),
        (b" " * (MAX_BODY + 1), "", 413),
    ],
)
def test_it_is_kept_whatever_the_reason(admin: FlaskClient, raw: bytes, query: str, status: int) -> None:
    assert admin.post(f"/api/incidents?{query}", data=raw).status_code == status
    entry = only(admin)
    assert (entry["status"], entry["body"]) == (status, raw[:BODY_KEPT].decode())


def test_a_webhook_without_the_intake_secret_is_kept_too(admin: FlaskClient, services: Services) -> None:
    config = services.config.model_copy(update={"intake_secret": SecretStr(SECRET)})
    guarded = create_app(replace(services, config=config)).test_client()
    guarded.post("/api/incidents", data=b'{"title": "x"}')
    assert (only(admin)["status"], only(admin)["body"]) == (401, '{"title": "x"}')


def test_the_same_body_again_is_one_entry_with_a_count(admin: FlaskClient, clock: Clock) -> None:
    for _ in range(3):
        admin.post("/api/incidents", data=b"broken")
        clock.wind(minutes=1)
    entry = only(admin)
    assert entry["count"] == 3
    assert entry["first_at"] == "2026-03-04T03:00:00.000Z"
    assert entry["last_at"] == "2026-03-04T03:02:00.000Z"


def test_the_same_body_refused_for_another_reason_is_another_entry(admin: FlaskClient) -> None:
    for query in ("oncall_enable=x", "oncall_wait_minutes=x"):
        admin.post(f"/api/incidents?{query}", json={"title": "x"})
    assert [entry["count"] for entry in rejected(admin)] == [1, 1]


def test_the_one_refused_last_is_first(admin: FlaskClient, clock: Clock) -> None:
    for body in ("a", "b", "c", "a"):
        admin.post("/api/incidents", data=body)
        clock.wind(seconds=1)
    assert [entry["body"] for entry in rejected(admin)] == ["a", "c", "b"]
    assert [entry["body"] for entry in rejected(admin, limit=2)] == ["a", "c"]


def test_the_newest_thousand_are_kept(admin: FlaskClient, services: Services, clock: Clock) -> None:
    for n in range(KEPT):
        services.store.rejected.add(
            b"%d" % n, clock.wind(seconds=1), error="x", status=400, about={}, most_bytes=10**9
        )
    clock.wind(seconds=1)
    admin.post("/api/incidents", data=b"the newest")
    assert KEPT == 1000
    entries = rejected(admin, limit=KEPT)
    assert [entries[0]["body"], entries[-1]["body"], len(entries)] == ["the newest", "1", KEPT]


def test_a_forgotten_entry_leaves_nothing_behind(
    admin: FlaskClient, services: Services, clock: Clock, redis_url: str
) -> None:
    for n in range(KEPT + 5):
        services.store.rejected.add(
            b"%d" % n, clock.wind(seconds=1), error="x", status=400, about={}, most_bytes=10**9
        )
    client = redis.Redis.from_url(redis_url)
    sizes = [client.zcard("versus:rejected")]
    sizes += [client.hlen(f"versus:rejected:{what}") for what in ("entries", "counts")]
    assert sizes == [KEPT] * 3


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Authorization", f"Bearer {SECRET}"),
        ("Authorization", "Basic " + b64encode(f"x:{SECRET}".encode()).decode()),
        ("Proxy-Authorization", SECRET),
        ("Cookie", f"session={SECRET}"),
        ("X-Versus-Token", SECRET),
        ("X-Gateway-Secret", SECRET),
        ("X-API-Key", SECRET),
        ("X-Hub-Signature-256", SECRET),
        ("X-Password", SECRET),
    ],
)
def test_secrets_in_headers_are_removed(services: Services, redis_url: str, header: str, value: str) -> None:
    client = create_app(services).test_client(use_cookies=False)
    client.post("/api/incidents", data=b"broken", headers={header: value, "User-Agent": "cron"})
    stored = redis.Redis.from_url(redis_url, decode_responses=True).hvals("versus:rejected:entries")
    entry = json.loads(stored[0])
    assert entry["headers"][header.title()] == "<secret>"
    assert entry["headers"]["User-Agent"] == "cron"
    assert SECRET not in stored[0]
    assert value not in stored[0]


@pytest.mark.parametrize("name", ["token", "Token", "api_key", "signature", "password", "secret", "auth"])
def test_secrets_in_the_query_are_removed(client: FlaskClient, redis_url: str, name: str) -> None:
    client.post(f"/api/incidents?{name}={SECRET}&{name}={SECRET}&oncall_enable=x", data=b"{}")
    stored = redis.Redis.from_url(redis_url, decode_responses=True).hvals("versus:rejected:entries")
    assert json.loads(stored[0])["query"] == {name: "<secret>", "oncall_enable": "x"}
    assert SECRET not in stored[0]


def test_a_long_body_is_cut_at_64_kib(admin: FlaskClient) -> None:
    admin.post("/api/incidents", data=b"x" * (BODY_KEPT + 1))
    entry = only(admin)
    assert (len(entry["body"]), entry["size"], entry["truncated"]) == (65_536, 65_537, True)


@pytest.mark.parametrize(
    ("data", "headers"),
    [
        pytest.param(b"\0" * MAX_BODY, {}, id="what grows as JSON"),
        pytest.param(b"x", {f"X-{n}": "v" * 8000 for n in range(90)}, id="headers"),
    ],
)
def test_no_entry_takes_more_memory_than_its_share(
    client: FlaskClient, redis_url: str, data: bytes, headers: dict[str, str]
) -> None:
    """A thousand entries of strangers must not fill a Redis that holds incidents."""
    client.post("/api/incidents", data=data, headers=headers)
    [stored] = redis.Redis.from_url(redis_url).hvals("versus:rejected:entries")
    assert len(stored) <= 3 * BODY_KEPT


@pytest.mark.parametrize(
    ("raw", "headers", "shown"),
    [
        (b"\xff\xfe\x00", {}, "\ufffd\ufffd\x00"),
        ("Küche".encode("latin-1"), {}, "K\ufffdche"),
        (gzip.compress(b"broken", mtime=0), {"Content-Encoding": "gzip"}, "broken"),
    ],
)
def test_a_body_that_is_no_text_is_kept_as_far_as_it_is(
    admin: FlaskClient, raw: bytes, headers: dict[str, str], shown: str
) -> None:
    assert admin.post("/api/incidents", data=raw, headers=headers).status_code == 400
    entry = only(admin)
    assert entry["size"] == len(raw)
    assert entry["body"] == shown


# -- once more ------------------------------------------------------------------------------------------


def replay(admin: FlaskClient, entry_id: str) -> tuple[int, dict[str, Any]]:
    answer = admin.post(f"/api/rejected/{entry_id}/replay")
    shown: dict[str, Any] = answer.get_json()
    return answer.status_code, shown


@pytest.fixture
def fixed(services: Services) -> FlaskClient:
    """The service with one more alert source."""
    other = Alternate(id="source-late")
    provider = services.config.oncall.incident_io.model_copy(
        update={
            "other_alert_source_config_ids": {
                **services.config.oncall.incident_io.other_alert_source_config_ids,
                "late": other,
            }
        }
    )
    oncall = services.config.oncall.model_copy(update={"incident_io": provider})
    config = services.config.model_copy(update={"oncall": oncall})
    client = create_app(replace(services, config=config)).test_client()
    client.environ_base["HTTP_X_GATEWAY_SECRET"] = GATEWAY_SECRET
    return client


LATE = "incidentio_other_alert_source=late&oncall_wait_minutes=7"


@pytest.mark.parametrize(
    ("data", "headers"),
    [
        pytest.param('{"title": "Küche"}'.encode(), {}, id="JSON"),
        pytest.param(gzip.compress(b'{"title": "K\xc3\xbcche"}'), {"Content-Encoding": "gzip"}, id="gzip"),
        pytest.param('{"title": "Küche"}'.encode("utf-16"), {}, id="UTF-16"),
        pytest.param(b"title=K%C3%BCche", {"Content-Type": "application/x-www-form-urlencoded"}, id="form"),
        pytest.param(
            b'--b\r\nContent-Disposition: form-data; name="title"\r\n\r\nK\xc3\xbcche\r\n--b--\r\n',
            {"Content-Type": "multipart/form-data; boundary=b", **{f"X-{n}": "v" for n in range(60)}},
            id="form in parts, after many headers",
        ),
    ],
)
def test_a_rejected_body_is_taken_once_the_cause_is_fixed(
    admin: FlaskClient, fixed: FlaskClient, data: bytes, headers: dict[str, str]
) -> None:
    assert admin.post(f"/api/incidents?{LATE}", data=data, headers=headers).status_code == 400
    entry_id = only(admin)["id"]
    status, answer = replay(fixed, entry_id)
    assert (status, answer["status"]) == (201, "Incident created")
    assert answer["incident"]["title"] == "Küche"
    shown = fixed.get(f"/api/incidents/{answer['incident']['id']}").get_json()
    assert (shown["alert_source"], shown["due_at"]) == ("late", "2026-03-04T03:07:00.000Z")
    assert rejected(admin) == []
    assert replay(fixed, entry_id)[0] == 404


@pytest.mark.parametrize(
    "body",
    [
        {"token": "planted"},
        {"token": None, "api_key": 7, "secret": ["planted"]},
        {"SubscribeURL": "https://sns.eu-central-1.amazonaws.com/?Token=planted", "Token": "planted"},
        {"Message": '{"routing_key": "planted", "n": 1}', "routing_key": "planted"},
    ],
)
def test_a_body_is_whole_though_its_secrets_were_taken_out(
    admin: FlaskClient, fixed: FlaskClient, body: dict[str, Any]
) -> None:
    admin.post(f"/api/incidents?{LATE}", json={**body, "title": "Küche"})
    status, answer = replay(fixed, only(admin)["id"])
    assert (status, answer["incident"]["title"]) == (201, "Küche")


@pytest.mark.parametrize(
    ("encoding", "pack", "unpack"),
    [
        ("gzip", gzip.compress, gzip.decompress),
        ("x-gzip", gzip.compress, gzip.decompress),
        ("deflate", zlib.compress, zlib.decompress),
        (" GZIP", gzip.compress, gzip.decompress),
    ],
)
def test_secrets_in_a_packed_body_are_removed(
    admin: FlaskClient,
    fixed: FlaskClient,
    encoding: str,
    pack: Callable[[bytes], bytes],
    unpack: Callable[[bytes], bytes],
) -> None:
    body = pack(b'{"title": "x", "routing_key": "planted"}')
    for _ in range(2):
        admin.post(f"/api/incidents?{LATE}", data=body, headers={"Content-Encoding": encoding})
    entry = only(admin)
    assert entry["count"] == 2
    kept = whole_body(entry)
    assert kept is not None
    assert json.loads(unpack(kept)) == {"title": "x", "routing_key": "<secret>"}
    assert replay(fixed, entry["id"])[0] == 201


def test_a_body_that_was_packed_at_another_time_is_the_same_without_its_secrets(admin: FlaskClient) -> None:
    for second in (1, 2):
        body = gzip.compress(b'{"title": "x", "token": "planted"}', mtime=second)
        admin.post(f"/api/incidents?{LATE}", data=body, headers={"Content-Encoding": "gzip"})
    assert only(admin)["count"] == 2


def test_a_packed_body_without_secrets_is_kept_as_it_came(admin: FlaskClient) -> None:
    body = gzip.compress(b'{"title": "x"}', compresslevel=1, mtime=7)
    admin.post(f"/api/incidents?{LATE}", data=body, headers={"Content-Encoding": "gzip"})
    assert whole_body(only(admin)) == body


def test_what_is_still_wrong_stays(admin: FlaskClient) -> None:
    refused = admin.post(f"/api/incidents?{LATE}", json={"title": "x"}).get_json()
    entry = only(admin)
    assert replay(admin, entry["id"]) == (400, refused)
    assert only(admin) == entry


def test_what_lacked_the_secret_is_taken_on_the_word_of_an_admin(
    admin: FlaskClient, services: Services, redis_url: str
) -> None:
    config = services.config.model_copy(update={"intake_secret": SecretStr(SECRET)})
    guarded = create_app(replace(services, config=config)).test_client()
    guarded.post("/api/incidents?token=wrong", data=b'[{"title": "x"}, {"title": "y"}]')
    path = f"/api/rejected/{only(admin)['id']}/replay"
    assert guarded.post(path).status_code == 401
    answer = guarded.post(path, headers={"X-Gateway-Secret": GATEWAY_SECRET})
    assert (answer.status_code, answer.get_json()["count"]) == (201, 2)
    assert redis.Redis.from_url(redis_url).keys("versus:rejected*") == []


def test_a_replay_that_joins_an_incident_says_so(admin: FlaskClient, fixed: FlaskClient) -> None:
    body = {"title": "x", "deduplication_key": "k"}
    admin.post(f"/api/incidents?{LATE}", json=body)
    admin.post("/api/incidents", json=body)
    assert replay(fixed, only(admin)["id"])[0] == 200


def test_a_parameter_that_had_two_values_still_has(admin: FlaskClient) -> None:
    admin.post("/api/incidents?oncall_enable=true&oncall_enable=false&x=1&x=1", json={"title": "x"})
    assert only(admin)["query"] == {"oncall_enable": ["true", "false"], "x": "1"}
    assert "2 different values" in replay(admin, only(admin)["id"])[1]["error"]


def test_a_body_that_was_cut_is_not_replayed(admin: FlaskClient, fixed: FlaskClient) -> None:
    long = json.dumps({"title": "x" * BODY_KEPT})
    admin.post(f"/api/incidents?{LATE}", data=long)
    status, answer = replay(fixed, only(admin)["id"])
    assert (status, "sender send it again" in answer["error"]) == (409, True)
    assert only(admin)["truncated"] is True


@pytest.mark.parametrize(
    "data",
    [b"\0" * BODY_KEPT, b"\xff" * BODY_KEPT, "🔥".encode() * (BODY_KEPT // 4), b"x" * BODY_KEPT, b""],
    ids=["control characters", "no text", "emoji", "letters", "nothing"],
)
def test_64_kib_are_kept_byte_for_byte_whatever_they_are(
    admin: FlaskClient, services: Services, redis_url: str, data: bytes
) -> None:
    admin.post("/api/incidents", data=data)
    assert whole_body(services.store.rejected.require(only(admin)["id"])) == data
    [stored] = redis.Redis.from_url(redis_url).hvals("versus:rejected:entries")
    assert len(stored) <= 3 * BODY_KEPT


def test_nobody_knows_what_was_never_rejected(admin: FlaskClient) -> None:
    status, answer = replay(admin, "0" * 32)
    assert (status, "no rejected body" in answer["error"]) == (404, True)


def test_without_redis_the_refused_body_is_logged(without_redis: Services, logged: Callable[[], str]) -> None:
    client = create_app(without_redis).test_client()
    answer = client.post(f"/api/incidents?token={SECRET}", data=b'{"title": "cut')
    assert answer.status_code == 400
    assert "event=rejected_not_kept" in logged()
    assert "cut" in logged()
    assert SECRET not in logged()


def test_a_refusal_is_logged_without_its_body(client: FlaskClient, logged: Callable[[], str]) -> None:
    client.post("/api/incidents", data=b"broken", headers={"Authorization": SECRET})
    assert "event=rejected " in logged()
    assert "status=400" in logged()
    assert SECRET not in logged()
    assert GATEWAY_SECRET not in logged()


@pytest.mark.parametrize("limit", ["0", "1001", "x", "-1"])
def test_a_bad_limit_is_refused(admin: FlaskClient, limit: str) -> None:
    answer = admin.get(f"/api/rejected?limit={limit}")
    assert (answer.status_code, "limit" in answer.get_json()["error"]) == (400, True)
