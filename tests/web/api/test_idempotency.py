"""A request with an `Idempotency-Key` is stored once."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from app.store.requests import KEPT_SECONDS, REQUESTS

PATH = "/api/incidents"
DISK = {"title": "Disk full"}
KNOWN = {"title": "Disk full", "deduplication_key": "disk 7"}


def post(client: FlaskClient, body: Any = DISK, key: str = "one", path: str = PATH) -> tuple[int, Any]:
    answer = client.post(path, json=body, headers={"Idempotency-Key": key})
    return answer.status_code, answer.json


def stored(admin: FlaskClient) -> list[dict[str, Any]]:
    found = admin.get(PATH).json
    assert found is not None
    incidents: list[dict[str, Any]] = found["incidents"]
    return incidents


def test_the_repeat_is_answered_as_the_first_and_stores_nothing(admin: FlaskClient) -> None:
    first = post(admin)
    assert first[0] == 201
    assert post(admin) == first
    assert [one["id"] for one in stored(admin)] == [first[1]["incident"]["id"]]


def test_of_an_array_each_incident_is_the_same(admin: FlaskClient) -> None:
    first = post(admin, [DISK, KNOWN, DISK])
    assert (first[0], first[1]["count"]) == (201, 3)
    assert post(admin, [DISK, KNOWN, DISK]) == first
    assert len(stored(admin)) == 3


def test_the_repeat_is_no_occurrence_of_the_problem(admin: FlaskClient) -> None:
    assert post(admin, KNOWN, "one")[0] == 201
    assert post(admin, KNOWN, "two")[0] == 200
    assert post(admin, KNOWN, "two")[0] == 200
    assert post(admin, KNOWN, "one")[0] == 201
    assert [one["occurrences"] for one in stored(admin)] == [2]


def test_the_repeat_of_a_resolve_says_the_same(admin: FlaskClient) -> None:
    post(admin, KNOWN, "one")
    over = {**KNOWN, "status": "resolved"}
    first = post(admin, over, "two")
    assert (first[0], first[1]["status"]) == (200, "Incident resolved")
    assert post(admin, over, "two") == first
    # And what began anew meanwhile goes on.
    assert post(admin, KNOWN, "three")[0] == 201
    assert post(admin, over, "two") == first
    assert {one["state"] for one in stored(admin)} == {"resolved", "pending"}


def test_an_event_about_nothing_that_is_known_is_one_as_well(admin: FlaskClient) -> None:
    over = {**KNOWN, "status": "resolved"}
    first = post(admin, over)
    assert (first[0], first[1]["status"]) == (200, "Event recorded")
    post(admin, KNOWN, "two")
    assert post(admin, over) == first
    assert [one["state"] for one in stored(admin)] == ["pending"]


@pytest.mark.parametrize(
    ("body", "path"),
    [({"title": "Disk fuller"}, PATH), (DISK, f"{PATH}?oncall_enable=false")],
    ids=["body", "parameters"],
)
def test_another_request_under_the_same_key_is_refused(admin: FlaskClient, body: Any, path: str) -> None:
    post(admin)
    status, said = post(admin, body, path=path)
    assert status == 422
    assert "Another request came with this Idempotency-Key" in said["error"]
    # People see it, as whatever is refused.
    assert {one["source"] for one in stored(admin)} == {"versus", "generic"}


def test_a_key_is_good_for_a_namespace(admin: FlaskClient) -> None:
    ids = {post(admin, path=f"{PATH}?namespace={name}")[1]["incident"]["id"] for name in ("a", "b", "a")}
    assert len(ids) == 2


def test_the_secret_is_no_part_of_the_request(admin: FlaskClient) -> None:
    assert post(admin, path=f"{PATH}?token=a") == post(admin, path=f"{PATH}?token=b")


def test_a_key_is_forgotten_after_ten_minutes(admin: FlaskClient, redis_url: str) -> None:
    first = post(admin)
    server: Any = redis.Redis.from_url(redis_url, decode_responses=True)
    [key] = server.keys(f"{REQUESTS}*")
    assert KEPT_SECONDS - 60 < server.ttl(key) <= KEPT_SECONDS == 600
    server.delete(key)
    assert post(admin)[1]["incident"]["id"] != first[1]["incident"]["id"]


def test_a_key_has_255_characters_at_most(admin: FlaskClient) -> None:
    assert post(admin, key="k" * 255)[0] == 201
    status, said = post(admin, key="k" * 256)
    assert status == 400
    assert said["error"] == "The header Idempotency-Key has more than 255 characters."


def test_an_empty_key_is_none(admin: FlaskClient) -> None:
    assert post(admin, key="")[0] == post(admin, key="")[0] == 201
    assert len(stored(admin)) == 2
