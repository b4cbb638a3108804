"""Clicks in Slack: signed, fresh, and what comes of them."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr

from app import actions
from app.bootstrap import Services
from app.domain.incident import Incident
from app.domain.state import State
from app.store import StoreUnavailable
from app.web import create_app
from config.go_channels import Slack
from tests.destinations.standin import StandIn
from tests.factories import receive_one

SIGNING_SECRET = "planted-signing-secret"


@pytest.fixture
def hooks() -> Iterator[StandIn]:
    """Where Slack takes answers to clicks."""
    with StandIn().serving() as stand_in:
        yield stand_in


@pytest.fixture
def client(services: Services, hooks: StandIn) -> FlaskClient:
    slack = Slack(signing_secret=SecretStr(SIGNING_SECRET), base_url=hooks.base)
    alert = services.config.alert.model_copy(update={"slack": slack})
    config = services.config.model_copy(update={"alert": alert})
    return create_app(dataclasses.replace(services, config=config)).test_client()


@pytest.fixture
def incident(services: Services) -> Incident:
    return receive_one(services)


def click(
    client: FlaskClient,
    incident_id: str,
    *,
    action: str = "acknowledge",
    age: float = 0,
    at: float | None = None,
    secret: str = SIGNING_SECRET,
    response_url: str = "",
) -> int:
    """What Slack sends when somebody clicks; the status of our answer."""
    payload = {
        "type": "block_actions",
        "user": {"id": "U1", "name": "dana"},
        "actions": [{"type": "button", "action_id": action, "value": incident_id}],
        "response_url": response_url,
    }
    body = urlencode({"payload": json.dumps(payload)})
    stamp = str(int((at or time.time()) - age))
    signature = hmac.new(secret.encode(), f"v0:{stamp}:{body}".encode(), hashlib.sha256).hexdigest()
    answer = client.post(
        "/api/slack/interactions",
        data=body,
        content_type="application/x-www-form-urlencoded",
        headers={"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={signature}"},
    )
    if answer.status_code != 200:
        assert list(answer.get_json()) == ["error"]
    return answer.status_code


def test_a_click_acknowledges_in_the_name_of_who_clicked(
    client: FlaskClient, services: Services, incident: Incident, hooks: StandIn
) -> None:
    assert click(client, incident.id, response_url=f"{hooks.base}/x") == 200
    assert click(client, incident.id, response_url=f"{hooks.base}/x") == 200
    now = services.store.incidents.require(incident.id)
    assert (now.state, now.acknowledged_by) == (State.ACKNOWLEDGED, "dana in Slack")
    assert [entry.event for entry in now.timeline].count("acknowledged") == 1
    assert hooks.got == []


def test_the_same_click_again_acknowledges_once(
    client: FlaskClient, incident: Incident, monkeypatch: pytest.MonkeyPatch
) -> None:
    acknowledged: list[str] = []
    monkeypatch.setattr(
        actions, "acknowledge", lambda _, incident_id, by, minutes: acknowledged.append(incident_id)
    )
    now = time.time()
    assert click(client, incident.id, at=now) == 200
    assert click(client, incident.id, at=now) == 200
    assert acknowledged == [incident.id]
    # Another click of the same person is another request.
    assert click(client, incident.id, at=now + 1) == 200
    assert acknowledged == [incident.id] * 2


def test_a_click_of_which_nothing_came_may_come_again(
    client: FlaskClient, services: Services, incident: Incident, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StoreUnavailable("Redis can't be reached.")

    now = time.time()
    with monkeypatch.context() as away:
        away.setattr(actions, "acknowledge", fail)
        assert click(client, incident.id, at=now) == 503
    assert click(client, incident.id, at=now) == 200
    assert services.store.incidents.require(incident.id).state is State.ACKNOWLEDGED


@pytest.mark.parametrize(("age", "secret"), [(0, "wrong"), (301, SIGNING_SECRET), (-400, SIGNING_SECRET)])
def test_a_click_that_is_forged_or_old_does_nothing(
    client: FlaskClient, services: Services, incident: Incident, age: float, secret: str
) -> None:
    assert click(client, incident.id, age=age, secret=secret) == 401
    assert services.store.incidents.require(incident.id).state is State.PENDING


def test_a_click_without_a_signature_does_nothing(client: FlaskClient) -> None:
    assert client.post("/api/slack/interactions", data={"payload": "{}"}).status_code == 401


@pytest.mark.parametrize(("stamp", "body"), [("soon", b"payload={}"), ("1", b"\xff\xfe"), ("", b"")])
def test_a_click_that_makes_no_sense_is_refused(client: FlaskClient, stamp: str, body: bytes) -> None:
    headers = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": "v0=00"}
    answer = client.post("/api/slack/interactions", data=body, headers=headers)
    assert answer.status_code == 401


def test_who_clicks_too_late_is_told_so(
    client: FlaskClient, services: Services, incident: Incident, hooks: StandIn
) -> None:
    actions.resolve(services, incident.id, "somebody")
    assert click(client, incident.id, response_url=f"{hooks.base}/x") == 200
    [got] = hooks.got
    assert got.json["response_type"] == "ephemeral"
    assert "resolved already" in got.json["text"]


def test_an_unknown_incident_is_told_of(client: FlaskClient, hooks: StandIn) -> None:
    assert click(client, "no-such-incident", response_url=f"{hooks.base}/x") == 200
    assert "no such incident" in hooks.got[0].json["text"]


def test_no_address_but_slacks_is_ever_called(client: FlaskClient) -> None:
    with StandIn().serving() as elsewhere:
        assert click(client, "no-such-incident", response_url=f"{elsewhere.base}/x") == 200
        assert elsewhere.got == []


def test_a_click_on_a_link_is_nothing_to_us(
    client: FlaskClient, services: Services, incident: Incident
) -> None:
    assert click(client, incident.id, action="open_link") == 200
    assert services.store.incidents.require(incident.id).state is State.PENDING


def test_without_a_signing_secret_there_is_no_such_address(services: Services) -> None:
    assert create_app(services).test_client().post("/api/slack/interactions").status_code == 404
