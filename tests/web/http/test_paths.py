"""The intake under paths that are almost right, and the whole service under a path of its own."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.ack_links import AckLinks
from app.bootstrap import Services
from app.web import create_app
from tests.fakes import GATEWAY_SECRET
from tests.web.conftest import csrf_of, log_in

BASE = "https://ops.example.com/versus"
ADDRESS = re.compile(r'(?:href|src|action|formaction|data-icon)="(/[^"]*)"')


@pytest.mark.parametrize(
    "path", ["/api/incidents/", "/api//incidents", "//api/incidents", "//api///incidents//"]
)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_the_intake_is_found_under_a_path_that_is_almost_right(
    client: FlaskClient, method: str, path: str
) -> None:
    # The first of two slashes would be taken for a host.
    environ = {"PATH_INFO": path, "QUERY_STRING": "oncall_enable=false"}
    answer = client.open("/", method=method, json={"title": "x"}, environ_overrides=environ)
    assert answer.status_code == 201
    assert answer.get_json()["incident"]["state"] == "open"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("DELETE", "/api/incidents", 405),
        ("POST", "/api/incidents/x/y/z", 404),
        ("POST", "/api/incident", 404),
        ("POST", "/api/incidentsx", 404),
    ],
)
def test_a_path_that_is_wrong_is_refused_and_logged_below_the_intake(
    client: FlaskClient, log: io.StringIO, method: str, path: str, status: int
) -> None:
    assert client.open(path, method=method, json={"title": "x"}).status_code == status
    assert ("event=no_such_route" in log.getvalue()) == f"{path}/".startswith("/api/incidents/")


def under(services: Services, base: str = BASE, **changes: Any) -> FlaskClient:
    """The service with this address, behind a proxy that takes the path off."""
    config = services.config.model_copy(update={"public_host": base, **changes})
    links = AckLinks(config.link_key or b"", config.public_base)
    return create_app(replace(services, config=config, links=links)).test_client()


def pages(client: FlaskClient, prefix: str = "", **headers: Any) -> dict[str, str]:
    """Every kind of page that people see, by its path."""
    incident = client.post("/api/incidents", json={"title": "Disk full"}).get_json()["incident"]
    client.post("/api/incidents", data=b"broken")
    link = incident["ack_url"].partition("/api/ack/")[2]
    paths = ["/", f"/incidents/{incident['id']}", "/rejected", "/login", "/api/docs", f"/api/ack/{link}"]
    paths += ["/api/ack/none?exp=1&sig=x", "/?severity=none&q=x"]
    html = {"Accept": "text/html", **headers}
    return {path: client.get(f"{prefix}{path}", headers=html).text for path in paths}


@pytest.mark.parametrize("prefix", ["", "/versus"])
def test_every_address_in_a_page_is_under_the_path(services: Services, prefix: str) -> None:
    client = under(services)
    log_in(client)
    for path, page in pages(client, prefix).items():
        found = ADDRESS.findall(page)
        assert found, path
        assert [one for one in found if not one.startswith("/versus/")] == [], path


def test_assets_are_served_under_the_path_and_without_it(services: Services) -> None:
    client = under(services)
    page = client.get("/login").text
    for address in ADDRESS.findall(page):
        if "static" in address or "favicon" in address:
            assert client.get(address).status_code == 200
            assert client.get(address.removeprefix("/versus")).status_code == 200


def test_the_link_leads_to_a_page_whose_button_acknowledges(services: Services) -> None:
    client = under(services)
    incident = client.post("/api/incidents", json={"title": "Disk full"}).get_json()["incident"]
    assert incident["ack_url"].startswith(f"{BASE}/api/ack/")
    page = client.get(incident["ack_url"].removeprefix(BASE), headers={"Accept": "text/html"}).text
    [action] = re.findall(r'action="(/[^"]*)"', page)
    assert action.startswith("/versus/api/ack/")
    assert client.post(action.removeprefix("/versus").replace("&amp;", "&")).status_code == 200
    assert services.store.incidents.require(incident["id"]).state == "acknowledged"


def test_redirects_stay_under_the_path(services: Services) -> None:
    client = under(services)
    away = client.get("/incidents/x?a=b", headers={"Accept": "text/html"})
    assert away.headers["Location"] == "/versus/login?next=%2Fversus%2Fincidents%2Fx%3Fa%3Db"
    page = client.get("/login?next=/versus/rejected").text
    assert 'name="next" value="/versus/rejected"' in page
    fields = {"csrf": csrf_of(page), "name": "Dana", "secret": GATEWAY_SECRET}
    assert client.post("/login", data={**fields, "next": "/versus/rejected"}).location == "/versus/rejected"
    assert client.post("/logout", data={"csrf": csrf_of(client.get("/").text)}).location == "/versus/login"
    assert log_in(client).location == "/versus/"


@pytest.mark.parametrize("base", ["https://ops.example.com/api", "https://ops.example.com/incidents"])
def test_a_path_that_is_also_one_of_ours_hides_none(services: Services, base: str) -> None:
    client = under(services, base)
    path = base.partition(".com")[2]
    for address in ("/api/incidents", f"{path}/api/incidents"):
        assert client.post(address, json={"title": "x"}).status_code == 201


@pytest.mark.parametrize(
    ("said", "root"),
    [
        ("/ops", "/ops"),
        ("/ops/", "/ops"),
        ("/a, /b/c", "/b/c"),
        ("", "/versus"),
        ("/", "/versus"),
        ("ops", "/versus"),
        ("//evil.example.com", "/versus"),
        ('/"><script>', "/versus"),
        ("/a b", "/versus"),
        ("https://evil.example.com", "/versus"),
        ("/a\\b", "/versus"),
    ],
)
def test_a_trusted_proxy_says_what_stands_before_our_paths(services: Services, said: str, root: str) -> None:
    client = under(services, trusted_proxies=(ip_network("127.0.0.1"),))
    page = client.get("/login", headers={"X-Forwarded-Prefix": said}).text
    assert {one.partition("/static/")[0] for one in ADDRESS.findall(page) if "/static/" in one} == {root}


def test_nobody_else_says_it(services: Services) -> None:
    page = under(services).get("/login", headers={"X-Forwarded-Prefix": "/evil"}).text
    assert "/evil" not in page
    assert 'action="/versus/login"' in page
