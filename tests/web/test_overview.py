"""The page at `/`: for who knows the secret, with strangers' text harmless, and nothing done by looking."""

from __future__ import annotations

import base64
import dataclasses

import pytest
from flask.testing import FlaskClient

from app import actions
from app.alert import Alert
from app.gateway import Gateway
from app.incident import Incident
from app.receive import Message, Options, receive
from app.web import create_app
from tests.fakes import GATEWAY_SECRET

NASTY = "<script>alert(1)</script>{{ 7 * 7 }}\"'><img src=x>"


@pytest.fixture
def client(gateway: Gateway) -> FlaskClient:
    return create_app(gateway).test_client()


def login(password: str = GATEWAY_SECRET) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"dana:{password}".encode()).decode()}


def create(gateway: Gateway, title: str = "Disk full") -> Incident:
    [received] = receive(gateway, [Message(Alert(title=title, source="grafana"), "{}")], Options())
    assert received.incident is not None
    return received.incident


def test_it_shows_what_waits_before_what_is_over(client: FlaskClient, gateway: Gateway) -> None:
    done, waiting = create(gateway, "Over by now"), create(gateway, "Still burning")
    actions.resolve(gateway, done.id, "somebody")
    text = client.get("/", headers=login()).text
    assert "<title>(1) Versus Incident</title>" in text
    assert text.index("Still burning") < text.index("Over by now")
    assert "pages at 03:03:00 UTC" in text
    assert "no worker has been seen" in text
    assert [e.event for e in gateway.store.incidents.need(waiting.id).timeline] == ["received", "waiting"]


def test_what_pages_first_stands_first(client: FlaskClient, gateway: Gateway) -> None:
    for title, minutes in (("Later", 9.0), ("Soon", 1.0), ("Latest", 60.0)):
        message = Message(Alert(title=title, source="grafana"), "{}")
        receive(gateway, [message], Options(wait_minutes=minutes))
    text = client.get("/", headers=login()).text
    assert text.index("Soon<") < text.index("Later<") < text.index("Latest<")


def test_each_incident_leads_to_where_it_is_acknowledged(client: FlaskClient, gateway: Gateway) -> None:
    incident = create(gateway)
    path = gateway.links.path(incident.id, gateway.clock())
    assert f'href="{path.replace("&", "&amp;")}"' in client.get("/", headers=login()).text
    assert client.post(path).status_code == 200


@pytest.mark.parametrize("headers", [{}, login("wrong"), login(""), {"Authorization": "Bearer x"}])
def test_nobody_sees_it_without_the_secret(client: FlaskClient, headers: dict[str, str]) -> None:
    answer = client.get("/", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic")


def test_strangers_text_is_only_text(client: FlaskClient, gateway: Gateway) -> None:
    create(gateway, NASTY)
    answer = client.get("/", headers=login())
    assert "<script" not in answer.text
    assert "<img" not in answer.text
    assert "{{ 7 * 7 }}" in answer.text
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_without_a_secret_it_says_how_to_switch_it_on(gateway: Gateway) -> None:
    config = gateway.config.model_copy(update={"gateway_secret": None})
    answer = create_app(dataclasses.replace(gateway, config=config)).test_client().get("/")
    assert answer.status_code == 200
    assert "Set GATEWAY_SECRET" in answer.text
