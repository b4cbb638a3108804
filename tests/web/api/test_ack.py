"""The signed link: what it shows, what it does, and what becomes of links that are no good."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.bootstrap import Services
from app.delivery.pages import deliver
from app.domain.alert import Alert
from app.domain.delivery import Destination
from app.domain.incident import Incident
from app.web import create_app
from tests.fakes import PAGER, Clock, RecordingProvider
from tests.web.conftest import Report

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
JSON = "application/json"
NOBODY = "8a1f0a52-7d0c-4c1b-9a55-0d4c7b1f0000"

PAGE = "text/html; charset=utf-8"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


@pytest.fixture
def link(report: Report) -> str:
    """The link of an incident that waits."""
    url: str = report()["ack_url"]
    return path_of(url)


def path_of(url: str) -> str:
    return url[url.index("/api/") :]


def id_of(link: str) -> str:
    return link.split("/")[3].split("?")[0]


def send(client: FlaskClient, method: str, link: str, accept: str | None = JSON) -> TestResponse:
    headers = {} if accept is None else {"Accept": accept}
    return client.open(link, method=method, headers=headers)


def events(services: Services, link: str) -> list[str]:
    """What is on the timeline."""
    return [entry.event for entry in services.store.incidents.require(id_of(link)).timeline]


# -- looking ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accept", [BROWSER, JSON])
def test_opening_the_link_changes_nothing_but_the_timeline(
    client: FlaskClient, services: Services, link: str, accept: str
) -> None:
    before = services.store.incidents.require(id_of(link))
    assert send(client, "GET", link, accept).status_code == 200
    after = services.store.incidents.require(id_of(link))
    assert events(services, link) == ["received", "waiting", "link_opened"]
    assert replace(after, timeline=before.timeline) == before


def test_opening_the_link_moves_no_page(
    client: FlaskClient, services: Services, link: str, clock: Clock, provider: RecordingProvider
) -> None:
    send(client, "GET", link, BROWSER)
    clock.wind(minutes=3)
    deliver(services, id_of(link))
    assert provider.notified() == [("firing", id_of(link))]


def test_a_head_request_notes_nothing(client: FlaskClient, services: Services, link: str) -> None:
    answer = send(client, "HEAD", link, BROWSER)
    assert (answer.status_code, answer.data) == (200, b"")
    assert events(services, link) == ["received", "waiting"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_no_other_method_acknowledges(
    client: FlaskClient, services: Services, link: str, method: str
) -> None:
    assert send(client, method, link).status_code == 405
    assert events(services, link) == ["received", "waiting"]


def test_the_page_says_what_happened_and_has_one_button_that_posts_to_the_link(
    client: FlaskClient, report: Report
) -> None:
    incident = report(severity="critical", service="payments", description="5 % of payments fail")
    link = path_of(incident["ack_url"])
    page = send(client, "GET", link, BROWSER).text
    for words in ("Disk full", "severity-critical", "payments", "5 % of payments fail", incident["id"]):
        assert words in page
    assert (page.count("<form"), page.count("<button")) == (1, 1)
    assert f'method="post" action="{link.replace("&", "&amp;")}"' in page


def test_the_page_of_an_acknowledged_incident_has_no_button(client: FlaskClient, link: str) -> None:
    send(client, "POST", link)
    page = send(client, "GET", link, BROWSER)
    assert (page.status_code, "<button" in page.text, "Acknowledged" in page.text) == (200, False, True)


def test_who_may_log_in_is_led_to_the_timeline(client: FlaskClient, services: Services, link: str) -> None:
    path = f'href="/incidents/{id_of(link)}"'
    assert path in send(client, "GET", link, BROWSER).text
    config = services.config.model_copy(update={"gateway_secret": None})
    without = create_app(replace(services, config=config)).test_client()
    assert path not in send(without, "GET", link, BROWSER).text


def test_json_shows_the_incident_and_its_state(client: FlaskClient, link: str) -> None:
    answer = send(client, "GET", link).get_json()
    assert (answer["status"], answer["incident"]["id"]) == ("pending", id_of(link))
    assert not {"payload", "timeline"} & set(answer["incident"])


# -- acknowledging ------------------------------------------------------------------------------------


@pytest.mark.parametrize("accept", [BROWSER, JSON, None])
def test_the_button_acknowledges_and_nobody_is_paged(
    client: FlaskClient,
    services: Services,
    link: str,
    clock: Clock,
    provider: RecordingProvider,
    accept: str | None,
) -> None:
    assert send(client, "POST", link, accept).status_code == 200
    assert events(services, link)[-1] == "acknowledged"
    clock.wind(minutes=3)
    deliver(services, id_of(link))
    assert provider.events == []


def test_the_page_after_the_button_says_thank_you(client: FlaskClient, link: str) -> None:
    page = send(client, "POST", link, BROWSER)
    assert "Nobody will be paged" in page.text
    assert "<button" not in page.text


def test_the_same_again_is_the_same_answer(client: FlaskClient, services: Services, link: str) -> None:
    first, second = send(client, "POST", link), send(client, "POST", link)
    assert first.get_json()["status"] == "acknowledged"
    assert (second.status_code, second.get_json()) == (200, first.get_json())
    assert events(services, link).count("acknowledged") == 1


def test_after_the_page_went_out_it_is_recorded_and_says_so(
    client: FlaskClient, services: Services, link: str, clock: Clock
) -> None:
    clock.wind(minutes=3)
    deliver(services, id_of(link))
    page = send(client, "POST", link, BROWSER)
    assert "already gone out" in page.text
    entry = services.store.incidents.require(id_of(link)).timeline[-1]
    assert (entry.event, "after the page went out" in entry.detail) == ("acknowledged", True)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("days", [0, 6.99, 7])
def test_the_link_is_good_for_seven_days(
    client: FlaskClient, link: str, clock: Clock, method: str, days: float
) -> None:
    clock.wind(days=days)
    assert send(client, method, link).status_code == 200


# -- links that are no good ---------------------------------------------------------------------------


def forged(link: str) -> str:
    before, signature = link.split("sig=")
    return f"{before}sig={'A' if signature[0] != 'A' else 'B'}{signature[1:]}"


def later(link: str) -> str:
    """The same link, made good for longer by somebody who can count."""
    before, rest = link.split("exp=")
    expires, signature = rest.split("&")
    return f"{before}exp={int(expires) + 86400}&{signature}"


BAD_LINKS: list[Callable[[str], str]] = [
    forged,
    later,
    lambda link: link.split("?")[0],
    lambda link: link.split("&")[0],
    lambda link: link.replace("exp=", "exp=0"),
    lambda link: link.replace("exp=", "expires="),
    lambda link: link.replace(id_of(link), NOBODY),
    lambda link: link.replace("sig=", "sig=%ff%00é"),
    lambda link: link.split("?")[0] + "?exp=nan&sig=",
]


@pytest.mark.parametrize("accept", [BROWSER, JSON])
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("damaged", BAD_LINKS)
def test_a_damaged_link_is_a_401(
    client: FlaskClient,
    services: Services,
    link: str,
    damaged: Callable[[str], str],
    method: str,
    accept: str,
) -> None:
    refused(send(client, method, damaged(link), accept), 401, accept, "This link does not work", "damaged")
    assert events(services, link) == ["received", "waiting"]


@pytest.mark.parametrize("accept", [BROWSER, JSON])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_old_link_is_a_410(
    client: FlaskClient, services: Services, link: str, clock: Clock, method: str, accept: str
) -> None:
    clock.wind(days=7, seconds=1)
    refused(send(client, method, link, accept), 410, accept, "This link has expired", "7 days")
    assert events(services, link) == ["received", "waiting"]


@pytest.mark.parametrize("accept", [BROWSER, JSON])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_incident_is_a_404(
    client: FlaskClient, services: Services, clock: Clock, method: str, accept: str
) -> None:
    link = services.links.path(NOBODY, clock())
    refused(send(client, method, link, accept), 404, accept, "No such incident", "no such incident")


@pytest.mark.parametrize("accept", [BROWSER, JSON])
def test_a_resolved_incident_is_a_409(client: FlaskClient, report: Report, accept: str) -> None:
    link = path_of(report(deduplication_key="k")["ack_url"])
    report(deduplication_key="k", status="resolved")
    refused(send(client, "POST", link, accept), 409, accept, "Already resolved", "resolved already")
    looked = send(client, "GET", link, accept)
    assert (looked.status_code, "<button" in looked.text) == (200, False)


@pytest.mark.parametrize("accept", [BROWSER, JSON])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_redis_away_is_a_503_to_try_again(
    without_redis: Services, clock: Clock, method: str, accept: str
) -> None:
    client = create_app(without_redis).test_client()
    answer = send(client, method, without_redis.links.path(NOBODY, clock()), accept)
    refused(answer, 503, accept, "Try again in a moment", "Redis")
    assert answer.headers["Retry-After"] == "5"


def refused(answer: TestResponse, status: int, accept: str, heading: str, says: str) -> None:
    """The answer is this error, as a page or as JSON."""
    assert answer.status_code == status
    if accept == JSON:
        assert (answer.content_type, list(answer.get_json())) == (JSON, ["error"])
        assert says in answer.get_json()["error"]
    else:
        assert (answer.content_type, "<button" in answer.text) == (PAGE, False)
        assert f"<h1>{heading}</h1>" in answer.text
        assert says in answer.text
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS


# -- what the client wants ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "looks", "acts"),
    [
        pytest.param(BROWSER, PAGE, PAGE, id="browser"),
        pytest.param("text/html", PAGE, PAGE, id="page"),
        pytest.param(JSON, JSON, JSON, id="JSON"),
        pytest.param("application/json, text/plain, */*", JSON, JSON, id="a library that wants JSON"),
        pytest.param("application/json, text/html;q=0.5", JSON, JSON, id="JSON rather than a page"),
        pytest.param("text/html, application/json;q=0.5", PAGE, PAGE, id="a page rather than JSON"),
        pytest.param("*/*", PAGE, JSON, id="curl"),
        pytest.param(None, PAGE, JSON, id="nothing said"),
        pytest.param("nonsense;;q=x", PAGE, JSON, id="nonsense"),
    ],
)
def test_a_client_that_asks_for_json_gets_json(
    client: FlaskClient, link: str, accept: str | None, looks: str, acts: str
) -> None:
    assert send(client, "GET", link, accept).content_type == looks
    assert send(client, "POST", link, accept).content_type == acts


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_every_page_loads_nothing_runs_nothing_and_is_kept_nowhere(
    client: FlaskClient, link: str, method: str
) -> None:
    page = send(client, method, link, BROWSER)
    own_script = f"{HEADERS['Content-Security-Policy']}; script-src 'self'; connect-src 'self'"
    assert {name: page.headers[name] for name in HEADERS} == {
        **HEADERS,
        "Content-Security-Policy": own_script,
    }
    assert "Set-Cookie" not in page.headers
    assert page.text.replace('<script src="/static/time.js" defer></script>', "").count("<script") == 0
    for forbidden in ("<iframe", "<img", "javascript:", " style=", " onclick="):
        assert forbidden not in page.text


def test_the_style_sheet_is_served(client: FlaskClient, link: str) -> None:
    page = send(client, "GET", link, BROWSER).text
    [sheet] = [part.split('"')[0] for part in page.split('rel="stylesheet" href="')[1:]]
    assert client.get(sheet).content_type.startswith("text/css")


# -- strangers' text ----------------------------------------------------------------------------------

EVIL = "</title></p>\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 * 7 }}"


@pytest.mark.parametrize("stage", ["waiting", "acknowledged", "resolved"])
def test_html_in_every_field_stays_text(
    client: FlaskClient, services: Services, clock: Clock, stage: str
) -> None:
    alert = Alert(
        title=EVIL,
        source=EVIL,
        description=EVIL,
        service=EVIL,
        source_url='https://example.com/"><script>alert(1)</script>',
        labels={EVIL: EVIL},
    )
    due_at = clock() + timedelta(minutes=3)
    incident = Incident.opened(
        NOBODY, alert, clock(), due_at=due_at, pager=Destination.of("incident_io", EVIL)
    )
    if stage != "waiting":
        incident = incident.acknowledged(EVIL, clock())
    if stage == "resolved":
        incident = incident.resolved(EVIL, clock())
    services.update(lambda unit: unit.save(incident))
    page = send(client, "GET", services.links.path(NOBODY, clock()), BROWSER)
    assert page.status_code == 200
    assert page.text.count("&lt;script&gt;alert(1)") >= 3
    assert "{{ 7 * 7 }}" in page.text
    for markup in ("<script>", "<img", "</title></p>"):
        assert markup not in page.text


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "//example.com", "/api", ""])
def test_only_a_link_to_the_web_is_a_link(
    client: FlaskClient, services: Services, clock: Clock, url: str
) -> None:
    alert = Alert(title="x", source="x", source_url=url)
    due_at = clock() + timedelta(minutes=3)
    incident = Incident.opened(NOBODY, alert, clock(), due_at=due_at, pager=PAGER)
    services.update(lambda unit: unit.save(incident))
    page = send(client, "GET", services.links.path(NOBODY, clock()), BROWSER)
    # The one to the timeline is ours.
    assert (page.status_code, page.text.count("<a ")) == (200, 1)


def test_html_in_the_link_itself_stays_text(client: FlaskClient, link: str) -> None:
    extra = "&x=%22%3E%3Cscript%3E"
    page = send(client, "GET", link + extra, BROWSER)
    assert (page.status_code, "<script>" in page.text) == (200, False)
    unknown = send(client, "GET", "/api/ack/%3Cscript%3E?exp=%3Cscript%3E&sig=%3Cscript%3E", BROWSER)
    assert (unknown.status_code, "<script" in unknown.text) == (401, False)


def test_the_answers_hold_no_secret(client: FlaskClient, services: Services, link: str) -> None:
    answers = [send(client, m, link, a) for m in ("GET", "POST") for a in (BROWSER, JSON)]
    for secret in services.config.secrets():
        assert all(secret not in answer.text for answer in answers)


# -- name and minutes -----------------------------------------------------------------------------------


def test_the_page_asks_for_a_name_and_for_how_long(client: FlaskClient, link: str) -> None:
    page = send(client, "GET", link, BROWSER).text
    assert 'name="name" value=""' in page
    assert "(at most 24 hours)" in page
    for value, words in (("", "Until it is resolved"), ("30", "30 minutes"), ("120", "2 hours")):
        assert re.search(rf'name="minutes" value="{value}"( checked)?> {words}', page)


def test_the_name_is_on_record_and_remembered_for_the_next_link(
    client: FlaskClient, services: Services, link: str, report: Report, clock: Clock
) -> None:
    fields = {"name": "  Dana Größe ", "minutes": "30"}
    answer = client.post(link, data=fields, headers={"Accept": BROWSER})
    assert (answer.status_code, "Nobody will be paged until then." in answer.text) == (200, True)
    incident = services.store.incidents.require(id_of(link))
    assert incident.acknowledged_by == "Dana Größe"
    assert incident.acknowledged_until == clock.now + timedelta(minutes=30)
    assert "until <time" in answer.text
    cookie = answer.headers["Set-Cookie"]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=Lax", "Path=/api/ack"))
    another = path_of(report(title="Another")["ack_url"])
    assert 'value="Dana Größe"' in send(client, "GET", another, BROWSER).text


def test_a_program_may_say_both_in_json(client: FlaskClient, link: str) -> None:
    answer = client.post(link, json={"name": "bot", "minutes": 120}, headers={"Accept": JSON}).get_json()
    assert (answer["status"], answer["incident"]["acknowledged_by"]) == ("acknowledged", "bot")
    assert answer["incident"]["acknowledged_until"] == "2026-03-04T05:00:00.000Z"


@pytest.mark.parametrize("minutes", ["0", "-1", "10081", "soon", "nan", "inf"])
def test_minutes_that_make_no_sense_acknowledge_nothing(
    client: FlaskClient, services: Services, link: str, minutes: str
) -> None:
    answer = client.post(link, data={"minutes": minutes}, headers={"Accept": JSON})
    assert (answer.status_code, "10080 at most" in answer.get_json()["error"]) == (400, True)
    assert services.store.incidents.require(id_of(link)).acknowledged_at is None


def test_each_client_is_noted_once_a_minute(
    client: FlaskClient, services: Services, link: str, clock: Clock
) -> None:
    for agent in ("Slackbot", "Slackbot", "Firefox", "Slackbot"):
        client.get(link, headers={"User-Agent": agent})
        clock.wind(seconds=10)
    clock.wind(seconds=20)
    client.get(link, headers={"User-Agent": "Slackbot"})
    timeline = services.store.incidents.require(id_of(link)).timeline
    noted = [entry.detail for entry in timeline if entry.event == "link_opened"]
    assert noted == [f"by {agent}, from 127.0.0.1" for agent in ("Slackbot", "Firefox", "Slackbot")]
