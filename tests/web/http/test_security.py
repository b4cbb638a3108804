"""What somebody with bad intent tries at the pages, over HTTP; each of it comes to nothing."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser

import pytest
from flask.testing import FlaskClient

from app.bootstrap import Services
from app.store import Search
from app.web import create_app
from tests.fakes import GATEWAY_SECRET
from tests.web.conftest import Report, csrf_of, log_in

SCRIPT = "<script>alert(1)</script>"
NASTY = [
    SCRIPT,
    '"><img src=x onerror=alert(1)>',
    "' autofocus onfocus=alert(1) x='",
    "{{ 77777 * 77777 }}{% raw %}${77777*77777}",
    "</pre></dd></article><script>alert(1)</script>",
    "javascript:alert(1)",
    "<!--",
    "\u202egnp.exe\u0000\u0008",
]
FIELDS = ("title", "description", "severity", "service", "source", "source_url", "deduplication_key", "host")

CHANGING = [
    "/logout",
    "/incidents/{id}/ack",
    "/incidents/{id}/resolve",
    "/incidents/{id}/escalate",
    "/api/incidents/{id}/ack",
    "/api/incidents/{id}/resolve",
    "/api/incidents/{id}/escalate",
    "/rejected/some/replay",
    "/api/rejected/some/replay",
]


class Page(HTMLParser):
    """The elements of a page, as a browser would see them, and their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def pages(person: FlaskClient, services: Services) -> Iterator[tuple[str, str]]:
    """Every page there is, with its path."""
    selected = "/incidents/selected?action=resolve"
    for path in ("/", "/?q=x&q=x", "/?view=wall", "/status", selected, "/rejected", "/login", "/api/docs"):
        yield path, person.get(path).text
    for incident in services.store.incidents.page(Search(), 100, None).incidents:
        path = f"/incidents/{incident.id}"
        yield path, person.get(path).text
        link = services.links.path(incident.id, services.clock())
        yield link, person.get(link, headers={"Accept": "text/html"}).text


OUR_SCRIPTS = {"/static/live.js", "/static/select.js", "/static/time.js"}

# -- what senders write -------------------------------------------------------------------------------------


@pytest.mark.parametrize("nasty", NASTY, ids=range(len(NASTY)))
def test_whatever_a_sender_writes_is_text_on_every_page(
    person: FlaskClient, client: FlaskClient, services: Services, nasty: str
) -> None:
    fields = dict.fromkeys(FIELDS, nasty)
    body = {**fields, "labels": {nasty: nasty}, "list": [nasty, {nasty: nasty}]}
    assert client.post("/api/incidents", json=body).status_code == 201
    client.post("/api/incidents", data=nasty + "{", headers={"User-Agent": SCRIPT})
    client.post("/api/incidents", query_string={"oncall_wait_minutes": nasty}, json=body)
    count = 0
    for path, text in pages(person, services):
        count += 1
        page = Page(text)
        scripts = [about for tag, about in page.seen if tag == "script"]
        assert {about.get("src") for about in scripts} <= OUR_SCRIPTS, path
        assert not [tag for tag, _ in page.seen if tag in ("img", "iframe", "object", "embed", "svg")], path
        for tag, about in page.seen:
            assert not [name for name in about if name.startswith("on") or name == "style"], (path, tag)
            for name in ("href", "src", "action", "formaction"):
                assert not (about.get(name) or "").strip().lower().startswith("javascript:"), (path, tag)
        assert "6049261729" not in text, path
    assert count >= 7


def test_a_name_in_the_login_is_text_as_well(client: FlaskClient) -> None:
    log_in(client, name=SCRIPT)
    assert "<script>alert" not in client.get("/").text
    assert "<script>alert" not in log_in(client, name=SCRIPT, secret="wrong").text


def test_a_search_is_text_as_well(person: FlaskClient) -> None:
    for query in (
        {"q": SCRIPT},
        {"service": SCRIPT},
        {"source": SCRIPT},
        {"state": SCRIPT},
        {"cursor": SCRIPT},
    ):
        answer = person.get("/", query_string=query, headers={"Accept": "text/html"})
        assert "<script>alert" not in answer.text


def test_every_page_has_the_headers_that_leave_it_no_room(
    person: FlaskClient, services: Services, report: Report
) -> None:
    report()
    for path, _ in pages(person, services):
        headers = person.get(path, headers={"Accept": "text/html"}).headers
        policy = headers["Content-Security-Policy"].split("; ")
        assert "default-src 'none'" in policy, path
        assert "frame-ancestors 'none'" in policy, path
        assert "base-uri 'none'" in policy, path
        assert "form-action 'self'" in policy, path
        assert "unsafe" not in headers["Content-Security-Policy"], path
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"


# -- requests that other sites make -------------------------------------------------------------------------


@pytest.mark.parametrize("path", CHANGING)
def test_nothing_is_done_without_the_token_of_the_page(
    person: FlaskClient, services: Services, report: Report, path: str
) -> None:
    incident = report()
    token = csrf_of(person.get("/").text)
    stranger = create_app(services).test_client()
    log_in(stranger, name="Mallory")
    of_another = csrf_of(stranger.get("/").text)
    before = services.store.incidents.require(incident["id"])
    target = path.format(id=incident["id"])
    for data in (
        {},
        {"csrf": ""},
        {"csrf": "x"},
        {"csrf": of_another},
        {"csrf": token[:-1]},
        {"csrf": "\u00ff"},
    ):
        assert person.post(target, data=data).status_code == 403, data
    # The token is right, but the browser tells that another site's page asks.
    for site in ("cross-site", "same-site"):
        headers = {"Sec-Fetch-Site": site, "X-CSRF-Token": token}
        assert person.post(target, headers=headers).status_code == 403
    assert person.get(target, query_string={"csrf": token}).status_code in (404, 405)
    assert services.store.incidents.require(incident["id"]) == before
    assert person.get("/").status_code == 200


def test_nobody_is_logged_in_by_another_site(client: FlaskClient) -> None:
    # Else people would act in the name of anyone who made the page.
    fields = {"name": "Mallory", "secret": GATEWAY_SECRET}
    assert client.post("/login", data=fields).status_code == 403
    assert client.post("/login", data={**fields, "csrf": "x"}).status_code == 403
    assert client.get("/").status_code == 303


# -- headers, paths and sizes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app/web/session.py",
        "/static/..%2f..%2fweb%2fsession.py",
        "/static/%2e%2e/session.py",
        "/static//etc/passwd",
        "/static/....//....//etc/passwd",
        "/static/live.js%00.css",
        "/incidents/../../etc/passwd",
        "/incidents/..%2f..%2fetc%2fpasswd/ack",
        "/rejected/../../x/replay",
    ],
)
def test_a_path_leads_to_no_file_of_ours(person: FlaskClient, path: str) -> None:
    answer = person.get(path, headers={"Accept": "text/html"})
    # Of two slashes one is taken away, by a redirect.
    assert answer.status_code in (303, 308, 404, 405), answer.text[:200]
    assert "root:" not in answer.text
    assert "def " not in answer.text


def test_no_header_can_be_smuggled_into_an_answer(client: FlaskClient) -> None:
    for text in ("/x\r\nX-Evil: 1", "/x%0d%0aX-Evil: 1", "/\nX-Evil: 1"):
        for answer in (
            client.get("/login", query_string={"next": text}),
            log_in(client, name=text, next=text),
            client.get("/", query_string={"q": text}),
        ):
            assert "X-Evil" not in answer.headers
            assert "\n" not in (answer.location or "")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80@versus", "[::1", "a b", "x" * 300])
def test_the_host_that_is_asked_for_leads_nobody_away(client: FlaskClient, host: str) -> None:
    answer = client.get("/", headers={"Host": host})
    assert answer.status_code in (303, 400)
    assert "evil" not in (answer.location or "")


@pytest.mark.parametrize(
    "cookie",
    ["x" * 7000, "a.b.c", ".eJw" + "A" * 4000, "..", "\u00ff", "e30.aaaa.bbbb", '"', "eyJpZCI6ICJ4In0.aW.x"],
    ids=range(8),
)
def test_a_broken_or_oversized_cookie_is_no_login(client: FlaskClient, cookie: str) -> None:
    for name in ("versus", "__Host-versus"):
        answer = client.get("/", headers={"Cookie": f"{name}={cookie}"})
        assert answer.status_code == 303


def test_a_compressed_cookie_that_is_not_signed_is_not_unpacked(client: FlaskClient) -> None:

    bomb = (
        base64.urlsafe_b64encode(zlib.compress(b'{"id": "' + b"0" * 10_000_000 + b'"}')).decode().rstrip("=")
    )
    assert client.get("/", headers={"Cookie": f"versus=.{bomb}.x.y"}).status_code == 303


def test_no_page_tells_a_secret(person: FlaskClient, services: Services, report: Report) -> None:
    report(description=f"the sender knows {GATEWAY_SECRET[:4]}")
    secrets = [one for one in services.config.secrets() if "redis" not in one]
    assert GATEWAY_SECRET in secrets
    for path, text in pages(person, services):
        for secret in secrets:
            assert secret not in text, path


def test_what_a_page_holds_can_not_leave_its_json(
    person: FlaskClient, client: FlaskClient, services: Services
) -> None:
    body = {"title": "Disk", "x": "</pre><script>alert(1)</script>\u2028"}
    created = client.post("/api/incidents", json=body).get_json()["incident"]
    text = person.get(f"/incidents/{created['id']}").text
    inside = re.search(r"<pre[^>]*>(.*?)</pre>", text, re.DOTALL)
    assert inside
    assert json.loads(unescape(inside[1])) == body
