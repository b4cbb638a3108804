"""The web application without a network: over a real Redis, with a clock to wind and a recording provider."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.bootstrap import Services
from app.store import Store
from app.web import create_app
from local.embedded import free_port
from tests.fakes import API_KEY, GATEWAY_SECRET

Report = Callable[..., dict[str, Any]]


@pytest.fixture
def client(services: Services) -> FlaskClient:
    """Somebody who sends requests."""
    return create_app(services).test_client()


@pytest.fixture
def admin(client: FlaskClient) -> FlaskClient:
    """Somebody who knows the gateway secret; the same service."""
    client.environ_base["HTTP_X_GATEWAY_SECRET"] = GATEWAY_SECRET
    return client


def csrf_of(page: str) -> str:
    """The token that a page's form carries."""
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found, page
    return found[1]


def log_in(
    client: FlaskClient, name: str = "Dana", secret: str = GATEWAY_SECRET, **more: str
) -> TestResponse:
    """Fill in the login page and send it; the answer."""
    fields = {"csrf": csrf_of(client.get("/login").text), "name": name, "secret": secret, **more}
    return client.post("/login", data=fields)


@pytest.fixture
def person(client: FlaskClient) -> FlaskClient:
    """Dana, who is logged in to the dashboard of the same service."""
    assert log_in(client).status_code == 303
    return client


@pytest.fixture
def report(client: FlaskClient) -> Report:
    """Sends a webhook with these fields and parameters; returns the incident."""

    def send(parameters: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
        body = {"title": "Disk full", **fields}
        answer = client.post("/api/incidents", json=body, query_string=parameters)
        assert answer.status_code in (200, 201), answer.text
        incident: dict[str, Any] = answer.get_json()["incident"]
        return incident

    return send


@pytest.fixture
def without_redis(services: Services) -> Services:
    """Services whose Redis is away, and which does not wait for it."""
    url = f"redis://127.0.0.1:{free_port()}/0"
    return replace(services, store=Store(url, retry_seconds=0.05, timeout=0.05))


@pytest.fixture
def logged(log_without: Callable[..., io.StringIO]) -> Callable[[], str]:
    """What was logged until now."""
    return log_without(API_KEY, GATEWAY_SECRET).getvalue
