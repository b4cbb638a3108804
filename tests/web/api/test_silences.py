"""The API of silences: what it takes, what it answers, and what it refuses in a sentence."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.web.conftest import Report

GOOD: dict[str, Any] = {"match": {"service": "checkout*"}, "minutes": 60, "comment": "deployment", "by": "ci"}


def test_one_is_made_listed_and_ended(admin: FlaskClient, report: Report) -> None:
    answer = admin.post("/api/silences", json=GOOD)
    assert answer.status_code == 201
    made = answer.get_json()["silence"]
    incident = report({"oncall_wait_minutes": "5"}, service="checkout-1")
    shown = admin.get(f"/api/incidents/{incident['id']}").get_json()
    assert shown["silenced_until"] == made["until"]
    [listed] = admin.get("/api/silences").get_json()["silences"]
    assert (listed["held"], listed["by"], listed["active"]) == (1, "ci", True)
    assert listed["match"] == {"service": ["checkout*"]}
    for _ in range(2):
        ended = admin.delete(f"/api/silences/{made['id']}", json={"by": "Dana"}).get_json()["silence"]
        assert (ended["ended_by"], ended["active"], ended["held"]) == ("Dana", False, 0)
    assert admin.get(f"/api/incidents/{incident['id']}").get_json()["silenced_until"] is None


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"match": {}}, "The match matches everything"),
        ({"match": {"service": "*"}}, "The match matches everything"),
        ({"match": None}, "The match must be a mapping"),
        ({"match": {"servce": "a"}}, "did you mean service?"),
        ({"minutes": None}, "A silence needs its end"),
        ({"until": "2026-03-04T04:00:00Z"}, "give either minutes or until"),
        ({"minutes": 43_201}, "30 days at most"),
        ({"minutes": 0}, "its end must lie ahead"),
        ({"minutes": "long"}, "it must be a number above 0"),
        ({"minutes": float("nan")}, "it must be a number above 0"),
        ({"minutes": True}, "it must be a number above 0"),
        ({"minutes": None, "until": "2026-03-04T02:00:00Z"}, "its end must lie ahead"),
        ({"minutes": None, "until": "soon"}, "it must be a time such as"),
        ({"comment": " "}, "A silence needs a comment"),
        ({"comment": None}, "A silence needs a comment"),
    ],
)
def test_it_refuses_in_a_sentence(admin: FlaskClient, wrong: dict[str, Any], sentence: str) -> None:
    answer = admin.post("/api/silences", json={**GOOD, **wrong})
    assert answer.status_code == 400
    assert sentence in answer.get_json()["error"]


def test_it_needs_the_secret_and_knows_what_there_is(client: FlaskClient, admin: FlaskClient) -> None:
    assert admin.delete("/api/silences/none").status_code == 404
    del client.environ_base["HTTP_X_GATEWAY_SECRET"]
    assert client.get("/api/silences").status_code == 401
    assert client.post("/api/silences", json=GOOD).status_code == 401
