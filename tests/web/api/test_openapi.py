"""The document of the API: it names every route, and every answer is as it says."""

from __future__ import annotations

import dataclasses
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import hypothesis
import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from pydantic import SecretStr
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from werkzeug.serving import make_server

from app.bootstrap import Services, build_services
from app.web import create_app
from app.web.api.openapi import PATHS, document_of
from config import load_config
from config.go_channels import Slack
from tests.factories import receive_one
from tests.fakes import GATEWAY_SECRET, environment

DESCRIBED = ("/api/", "/healthz", "/readyz", "/metrics")
"""What the document is about; the dashboard's pages are for people."""

METHODS = {"GET", "POST", "PUT", "DELETE", "PATCH"}


def with_everything(services: Services) -> Services:
    """With every route that there is."""
    slack = Slack(signing_secret=SecretStr("planted"))
    alert = services.config.alert.model_copy(update={"slack": slack})
    return dataclasses.replace(services, config=services.config.model_copy(update={"alert": alert}))


@pytest.fixture
def whole(services: Services) -> Flask:
    return create_app(with_everything(services))


def test_every_route_is_described_and_nothing_else(whole: Flask) -> None:
    served = {
        (rule.rule.replace("<", "{").replace(">", "}"), method)
        for rule in whole.url_map.iter_rules()
        for method in (rule.methods or set()) & METHODS
        if rule.rule.startswith(DESCRIBED)
    }
    described = {(path, method.upper()) for path, operations in PATHS.items() for method in operations}
    assert described == served


def test_what_is_not_served_is_not_described(services: Services) -> None:
    config = services.config.model_copy(update={"gateway_secret": None})
    paths = document_of(create_app(dataclasses.replace(services, config=config)))["paths"]
    assert "/api/rejected" not in paths
    assert "/api/slack/interactions" not in paths
    assert "/healthz" in paths


def test_the_document_is_served_and_can_be_read_by_people(whole: Flask) -> None:
    client = whole.test_client()
    document = client.get("/api/openapi.json").get_json()
    assert document["openapi"] == "3.1.0"
    page = client.get("/api/docs")
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    for path in document["paths"]:
        assert path in page.text
    assert "<script" not in page.text


def test_operations_have_names_of_their_own() -> None:
    names = [operation["operationId"] for path in PATHS.values() for operation in path.values()]
    assert len(names) == len(set(names))


# -- called in every way that the document allows and forbids ---------------------------------------------


@pytest.fixture(scope="module")
def service(server: Any) -> Iterator[tuple[Flask, str, str]]:
    """A real server over a real Redis, with an incident and a worker; its document, address and incident."""
    services = with_everything(build_services(load_config(environ=environment(server.url))))
    services.store.delivery_queue.worker_lives("worker", services.clock() + timedelta(hours=1))
    incident = receive_one(services, wait=60)
    app = create_app(services)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    http = make_server("127.0.0.1", port, app, threaded=True)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield app, f"http://127.0.0.1:{port}", incident.id
    http.shutdown()


def call_all(service: tuple[Flask, str, str], headers: dict[str, str], examples: int) -> int:
    """Call every operation; how many calls there were. Raises what a check found."""
    app, base, incident_id = service
    schema: Any = schemathesis.openapi.from_dict(document_of(app))
    checks = [status_code_conformance, content_type_conformance, response_schema_conformance]
    calls = 0
    for result in schema.get_all_operations():
        operation = result.ok()

        @hypothesis.settings(
            max_examples=examples,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy())
        def run(case: Any) -> None:
            nonlocal calls
            calls += 1
            if case.path_parameters and calls % 2:
                # Else hardly any call would meet an incident that there is.
                case.path_parameters = dict.fromkeys(case.path_parameters, incident_id)
            response = case.call(base_url=base, headers={**(case.headers or {}), **headers})
            ready = response.status_code == 503 and case.path == "/readyz"
            assert ready or response.status_code < 500, f"{case.method} {case.path}: {response.text}"
            case.validate_response(response, checks=checks)

        run()
    return calls


@pytest.mark.parametrize("headers", [{"X-Gateway-Secret": GATEWAY_SECRET}, {}], ids=["with", "without"])
def test_no_call_meets_an_error_of_ours_or_an_answer_that_is_not_described(
    service: tuple[Flask, str, str], headers: dict[str, str]
) -> None:
    assert call_all(service, headers, 25) >= 15 * 5


def test_the_checks_notice_an_answer_that_is_not_described(service: tuple[Flask, str, str]) -> None:
    app, base, incident_id = service
    document = document_of(app)
    del document["paths"]["/api/incidents/{incident_id}"]["get"]["responses"]["200"]
    operation = schemathesis.openapi.from_dict(document)["/api/incidents/{incident_id}"]["GET"]
    case = operation.Case(path_parameters={"incident_id": incident_id})
    response = case.call(base_url=base, headers={"X-Gateway-Secret": GATEWAY_SECRET})
    with pytest.raises(BaseException, match="Undocumented status code"):
        case.validate_response(response, checks=[status_code_conformance])


def test_a_client_of_the_document_sees_a_whole_incident(whole: Flask, services: Services) -> None:
    client: FlaskClient = whole.test_client()
    incident = client.post("/api/incidents", json={"title": "Disk full"}).get_json()["incident"]
    shown = client.get(
        f"/api/incidents/{incident['id']}", headers={"X-Gateway-Secret": GATEWAY_SECRET}
    ).get_json()
    properties = document_of(whole)["components"]["schemas"]["IncidentOut"]["properties"]
    assert list(shown) == list(properties)
