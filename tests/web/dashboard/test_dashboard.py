"""The dashboard: what it shows of incidents, what its buttons do, and how an open page shows changes."""

from __future__ import annotations

import dataclasses
import re
import threading
import time
from contextlib import ExitStack
from typing import Any

import pytest
from flask.testing import FlaskClient

from app import actions
from app.bootstrap import Services
from app.delivery.pages import deliver
from app.destinations.base import RateLimit
from app.domain.delivery import Outcome
from app.web import create_app
from app.web.dashboard import live
from app.web.dashboard.status_bar import SystemStatus, read_status
from app.web.dashboard.views import REJECTED_SHOWN
from app.web.http import concurrency
from tests.fakes import GATEWAY_SECRET, Clock, RecordingProvider
from tests.web.conftest import Report, csrf_of, log_in


def act(person: FlaskClient, path: str, **more: str) -> Any:
    """Press a button; the page after it."""
    fields = {"csrf": csrf_of(person.get("/").text), "next": "/", **more}
    return person.post(path, data=fields, follow_redirects=True)


def groups(page: str) -> list[str]:
    return re.findall(r'<section class="group" id="[^"]+" aria-label="([^"]+)"', page)


def titles(page: str) -> list[str]:
    return re.findall(r'<h3><a href="/incidents/[^"]+" dir="auto">([^<]+)</a>', page)


# -- the board ----------------------------------------------------------------------------------------------


def test_what_somebody_must_do_something_about_comes_first(
    person: FlaskClient, services: Services, report: Report, clock: Clock, provider: RecordingProvider
) -> None:
    assert "versus send-test" in person.get("/").text
    paged, failed = report(title="Paged"), report(title="Failed")
    clock.wind(minutes=4)
    deliver(services, paged["id"])
    provider.outcomes = [Outcome("misconfigured", "401: no such key", "unauthorized")]
    deliver(services, failed["id"])
    actions.acknowledge(services, report(title="Taken")["id"], "Robin")
    actions.resolve(services, report(title="Over")["id"], "Robin")
    report({"oncall_enable": "false"}, title="Only told")
    report({"oncall_wait_minutes": "30"}, title="Later")
    report(title="Soon")
    page = person.get("/").text
    assert groups(page) == [
        "Failed",
        "Escalated",
        "Pending",
        "Acknowledged",
        "Open",
        "Resolved",
    ]
    assert titles(page) == ["Failed", "Paged", "Soon", "Later", "Taken", "Only told", "Over"]
    assert "401: no such key" in page
    assert "<bdi>Robin</bdi>" in page
    assert 'data-waiting="2"' in page
    assert "/favicon.svg?waiting=2&amp;alarm=1" in page


def test_of_many_that_wait_those_are_shown_that_page_first(
    person: FlaskClient, client: FlaskClient, services: Services
) -> None:
    bodies = [{"title": f"Late {n}"} for n in range(60)]
    client.post("/api/incidents?oncall_wait_minutes=60", json=bodies)
    client.post("/api/incidents?oncall_wait_minutes=1", json={"title": "First"})
    client.post("/api/incidents?oncall_wait_minutes=90", json=bodies)
    page = person.get("/").text
    assert titles(page)[0] == "First"
    assert len(titles(page)) == 50
    assert ">All 121</a>" in page


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=disk", ["Disk full"]),
        ("state=resolved", ["Over"]),
        ("state=pending&state=resolved", ["Over", "Queue grows", "Disk full"]),
        ("severity=high", ["Queue grows"]),
        ("service=shop", ["Disk full"]),
        ("q=nothing+like+this", []),
        ("since=2026-03-04T03:00", ["Over", "Queue grows", "Disk full"]),
        ("until=2026-03-04T03:00", []),
        ("q=&service=&source=&since=&until=&state=pending", ["Queue grows", "Disk full"]),
    ],
)
def test_one_can_search(
    person: FlaskClient, services: Services, report: Report, clock: Clock, query: str, found: list[str]
) -> None:
    report(title="Disk full", service="shop")
    clock.wind(seconds=1)
    report(title="Queue grows", severity="high")
    clock.wind(seconds=1)
    actions.resolve(services, report(title="Over")["id"], "Robin")
    page = person.get(f"/?{query}").text
    assert titles(page) == found
    assert ("No incidents match." in page) == (not found)


def test_a_search_goes_on_page_by_page(person: FlaskClient, client: FlaskClient) -> None:
    client.post("/api/incidents", json=[{"title": f"Disk {n}"} for n in range(120)])
    path, seen = "/?q=disk&state=pending&state=open", []
    while path:
        page = person.get(path).text
        seen += titles(page)
        found = re.search(r'rel="next" href="([^"]+)"', page)
        path = found[1].replace("&amp;", "&") if found else ""
        assert not path or "state=pending&state=open" in path
    assert sorted(seen) == sorted(f"Disk {n}" for n in range(120))


def test_no_parameter_of_a_search_is_anything_but_a_parameter(client: FlaskClient) -> None:
    client.post("/api/incidents", json=[{"title": f"Disk {n}"} for n in range(60)])
    log_in(client)
    cookie = client.get_cookie("versus")
    assert cookie is not None
    path = "/?q=disk&_external=1&_anchor=x&_method=x&_scheme=x&endpoint=x"
    # What is shown is kept for all who look for the same, so it must not hold the host of anyone who came
    # first.
    another = client.application.test_client(use_cookies=False)
    headers = {"Cookie": f"versus={cookie.value}"}
    assert another.get(path, base_url="http://evil.example", headers=headers).status_code == 200
    page = client.get(path).text
    assert "evil.example" not in page
    older = re.search('rel="next" href="([^"]+)"', page)
    assert older is not None
    assert older[1].startswith(f"{path.replace('&', '&amp;')}&amp;cursor=")


@pytest.mark.parametrize("query", ["state=asleep", "since=yesterday", "cursor=x", "q=a&q=b"])
def test_a_search_that_makes_no_sense_says_what_would(person: FlaskClient, query: str) -> None:
    answer = person.get(f"/?{query}", headers={"Accept": "text/html"})
    assert answer.status_code == 400
    assert "Bad request" in answer.text


# -- one incident -------------------------------------------------------------------------------------------


def test_an_incidents_page_explains_every_decision(
    person: FlaskClient, services: Services, report: Report, clock: Clock, provider: RecordingProvider
) -> None:
    incident = report(title="Disk full", description="It fills.", labels={"region": "eu"})
    clock.wind(minutes=3, seconds=2)
    provider.outcomes = [Outcome("try_again", "500: try later (request r-1)", "server_error")]
    deliver(services, incident["id"])
    clock.wind(minutes=1)
    deliver(services, incident["id"])
    actions.note_link_opened(services, incident["id"], "by a browser")
    page = person.get(f"/incidents/{incident['id']}").text
    for words in (
        "Alert received from generic.",
        "Attempt 1 to page.",
        "Attempt failed: 500: try later (request r-1).",
        "Escalated, the provider accepted the page",
        "Acknowledgement link opened, which does not acknowledge anything: by a browser.",
        "nobody had acknowledged it by then",
        "It was accepted 62.00 s after it was due.",
        "It fills.",
        "eu",
        "&#34;title&#34;: &#34;Disk full&#34;",
    ):
        assert words in page, words


def test_a_small_body_makes_no_huge_page(person: FlaskClient, client: FlaskClient) -> None:
    # Indented, it is a hundred times as much.
    body = '{"title": "Disk full", "a": ' + "[" * 98 + ",".join("1" * 500_000) + "]" * 98 + "}"
    incident = client.post("/api/incidents", data=body).get_json()["incident"]
    page = person.get(f"/incidents/{incident['id']}").text
    assert len(page) < 1_000_000
    assert "Disk full" in page
    assert "…</pre>" in page


def test_an_incident_that_there_is_not(person: FlaskClient) -> None:
    answer = person.get("/incidents/none", headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert "There is no such incident" in answer.text


def test_the_buttons_act_in_the_name_of_who_is_logged_in(
    person: FlaskClient, services: Services, report: Report
) -> None:
    taken, over, urgent = report(title="Taken"), report(title="Over"), report(title="Urgent")
    assert "Acknowledged: Taken" in act(person, f"/incidents/{taken['id']}/ack").text
    assert "Resolved: Over" in act(person, f"/incidents/{over['id']}/resolve", confirmed="yes").text
    assert "Paging now: Urgent" in act(person, f"/incidents/{urgent['id']}/escalate", confirmed="yes").text
    need = services.store.incidents.require
    assert need(taken["id"]).acknowledged_by == "Dana"
    assert [(e.event, e.detail) for e in need(over["id"]).timeline][-1] == ("resolved", "by Dana")
    assert [(e.event, e.detail) for e in need(urgent["id"]).timeline][-1] == ("escalate_now", "by Dana")


@pytest.mark.parametrize(("action", "verb"), [("resolve", "Resolve"), ("escalate", "Page now")])
def test_what_can_not_be_undone_asks_first_without_a_script(
    person: FlaskClient, services: Services, report: Report, action: str, verb: str
) -> None:
    incident = report(title="<b>Disk</b>")
    path = f"/incidents/{incident['id']}/{action}"
    asked = act(person, path, next="https://elsewhere.example")
    assert f"{verb} “&lt;b&gt;Disk&lt;/b&gt;”?" in asked.text
    assert "This cannot be undone." in asked.text
    assert 'href="/"' in asked.text
    before = services.store.incidents.require(incident["id"]).timeline
    assert [entry.event for entry in before] == ["received", "waiting"]
    person.post(path, data={"csrf": csrf_of(asked.text), "confirmed": "yes"})
    assert len(services.store.incidents.require(incident["id"]).timeline) == 3


def test_an_acknowledgement_offers_undo_and_may_have_a_comment(
    person: FlaskClient, services: Services, report: Report
) -> None:
    incident = report(title="Disk full")
    path = f"/incidents/{incident['id']}"
    page = act(person, f"{path}/ack", comment="Restarting\nthe <b>job</b>", next=path).text
    assert f'formaction="{path}/unack">Undo</button>' in page
    assert "Acknowledged by Dana: &#34;Restarting the &lt;b&gt;job&lt;/b&gt;&#34;." in page
    assert f'{path}/unack"' not in act(person, f"{path}/unack", next=path).text
    assert services.store.incidents.require(incident["id"]).state == "pending"


def test_an_incidents_page_folds_repeats_and_lists_deliveries(person: FlaskClient, report: Report) -> None:
    for _ in range(7):
        incident = report(
            title="Disk full", description="See https://wiki.example/disk.", deduplication_key="disk"
        )
    page = person.get(f"/incidents/{incident['id']}").text
    assert "Repeated 6 times, last at <time" in page
    assert page.index("https://wiki.example/disk") < page.index(">Timeline<")
    assert '<th scope="row" dir="auto">incident_io/default</th>' in page


@pytest.mark.parametrize("path", ["/nowhere", "/api/incidents", "/api/rejected"])
def test_a_browser_gets_errors_as_pages_and_a_program_as_json(client: FlaskClient, path: str) -> None:
    page = client.get(path, headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.content_type.startswith("text/html")
    assert page.status_code in (401, 404)
    for accept in ("application/json", "*/*", ""):
        assert client.get(path, headers={"Accept": accept}).get_json()["error"]
    # What posts a webhook may name text/html first, as Java does.
    sent = client.post("/api/incidents", data="{x", headers={"Accept": "text/html, */*; q=.2"})
    assert sent.get_json()["error"]


def test_a_button_leads_back_to_where_it_was(person: FlaskClient, report: Report) -> None:
    incident = report()
    path = f"/incidents/{incident['id']}"
    assert act(person, f"{path}/ack", next=path).request.path == path


def test_what_can_no_more_be_done_is_said_in_a_sentence(person: FlaskClient, report: Report) -> None:
    incident = report()
    act(person, f"/incidents/{incident['id']}/resolve", confirmed="yes")
    fields = {"csrf": csrf_of(person.get("/").text)}
    answer = person.post(f"/incidents/{incident['id']}/ack", data=fields, headers={"Accept": "text/html"})
    assert answer.status_code == 409
    assert "nothing left to acknowledge" in answer.text


def test_the_api_takes_the_login_and_its_token(
    person: FlaskClient, services: Services, report: Report
) -> None:
    incident = report()
    token = csrf_of(person.get("/").text)
    assert person.get("/api/incidents").status_code == 200
    path = f"/api/incidents/{incident['id']}/ack"
    assert person.post(path, json={"by": "Mallory"}).status_code == 403
    assert person.post(path, json={"by": "Mallory"}, headers={"X-CSRF-Token": token}).status_code == 200
    assert services.store.incidents.require(incident["id"]).acknowledged_by == "Dana"
    # A program with the secret needs no token, whatever cookie it has.
    secret = {"X-Gateway-Secret": GATEWAY_SECRET}
    assert person.post(path, headers=secret).status_code == 200
    assert person.post(path, headers={"X-Gateway-Secret": "wrong"}).status_code == 401


# -- what was rejected --------------------------------------------------------------------------------------


def test_rejected_bodies_can_be_seen_and_sent_once_more(
    person: FlaskClient, client: FlaskClient, services: Services
) -> None:
    client.post("/api/incidents?oncall_wait_minutes=soon", json={"title": "<b>Disk</b>"})
    client.post("/api/incidents", data="{broken")
    page = person.get("/rejected").text
    assert "&lt;b&gt;Disk" in page
    assert "{broken" in page
    [entry] = [one for one in services.store.rejected.newest(10) if "broken" in one["body"]]
    fields = {"csrf": csrf_of(page), "next": "/rejected"}
    answer = person.post(f"/rejected/{entry['id']}/replay", data=fields)
    assert answer.status_code == 400


# -- changes -----------------------------------------------------------------------------------------------


def at_another_process(person: FlaskClient, services: Services) -> FlaskClient:
    """The same person at another web process, which looks anew."""
    return with_the_login_of(person, create_app(services).test_client())


def with_the_login_of(person: FlaskClient, other: FlaskClient) -> FlaskClient:
    cookie = person.get_cookie("versus")
    assert cookie is not None
    other.set_cookie("versus", cookie.value)
    return other


def look(person: FlaskClient, tag: str = "", how: str = "now") -> Any:
    return person.get("/", headers={"X-Live": how, "If-None-Match": tag})


def test_a_tag_that_a_proxy_made_weak_is_known(person: FlaskClient) -> None:
    # nginx does so when it compresses.
    assert look(person, f"W/{person.get('/').headers['ETag']}").status_code == 304


def test_an_open_page_gets_what_changed_and_nothing_when_nothing_did(
    person: FlaskClient, report: Report, clock: Clock
) -> None:
    whole = person.get("/")
    tag = whole.headers["ETag"]
    assert f'data-tag="&quot;{tag[1:-1]}&quot;"' in whole.text
    assert look(person, tag=tag).status_code == 304
    report(title="Disk full")
    event = look(person, tag=tag)
    assert event.status_code == 200
    assert "<html" not in event.text
    assert titles(event.text) == ["Disk full"]
    assert event.headers["X-Now"] == str(int(clock().timestamp() * 1000))
    assert look(person, tag=event.headers["ETag"]).status_code == 304


def test_open_pages_share_what_was_read_for_a_moment_and_no_longer(
    person: FlaskClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, now = [], time.monotonic()

    def noted(services: Services) -> SystemStatus:
        reads.append(now)
        return read_status(services)

    monkeypatch.setattr(live, "read_status", noted)
    monkeypatch.setattr("app.web.dashboard.live.time.monotonic", lambda: now)
    tag = look(person).headers["ETag"]
    # Reported to another web process, so that this one learns of it only by reading.
    at_another_process(person, services).post("/api/incidents", json={"title": "Disk full"})
    assert [look(person, tag=tag, how="poll").status_code for _ in range(50)] == [304] * 50
    assert len(reads) == 1
    now += live.READ_EVERY + 0.01
    assert titles(look(person, tag=tag, how="poll").text) == ["Disk full"]
    assert len(reads) == 2


def test_who_acted_sees_it_at_once(person: FlaskClient, report: Report) -> None:
    incident, tag = report(title="Disk full"), look(person).headers["ETag"]
    act(person, f"/incidents/{incident['id']}/ack")
    event = look(person, tag=tag, how="now")
    assert "<bdi>Dana</bdi>" in event.text
    # And does not see it vanish with the next question.
    assert look(person, tag=event.headers["ETag"], how="poll").status_code == 304


def test_no_page_is_made_for_an_answer_without_a_change(
    person: FlaskClient, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    report()
    tag = look(person).headers["ETag"]
    monkeypatch.setattr(live, "render_template", None)
    monkeypatch.setattr("app.web.dashboard.incident_list.overview", None)
    for how in ("poll", "now"):
        answer = look(person, tag=tag, how=how)
        assert (answer.status_code, answer.text, answer.headers["ETag"]) == (304, "", tag)


def test_a_page_is_made_once_for_all_who_have_it_open(
    person: FlaskClient, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    report(title="Disk full")
    made: list[str] = []

    def render(name: str, **about: Any) -> str:
        made.append(name)
        return name

    monkeypatch.setattr(live, "render_template", render)
    assert [look(person, how="poll").text for _ in range(5)] == ["incident_list.html"] * 5
    assert made == ["incident_list.html"]


def test_who_logs_out_gets_no_changes_in_a_page_that_is_still_open(
    person: FlaskClient, services: Services, report: Report
) -> None:
    page, still_open = person.get("/"), at_another_process(person, services)
    person.post("/logout", data={"csrf": csrf_of(page.text)})
    report(title="Disk full")
    answer = still_open.get("/", headers={"X-Live": "poll", "If-None-Match": page.headers["ETag"]})
    assert answer.status_code == 401
    assert "Disk full" not in answer.text


def test_the_status_bar_alone_is_a_change(person: FlaskClient, services: Services, clock: Clock) -> None:
    tag = look(person).headers["ETag"]
    services.store.delivery_queue.worker_lives("worker-1", clock())
    event = look(person, tag=tag)
    assert (event.status_code, "none seen" in event.text) == (200, False)


def test_of_many_rejected_bodies_the_last_are_shown(person: FlaskClient, client: FlaskClient) -> None:
    for n in range(REJECTED_SHOWN + 5):
        client.post("/api/incidents", data=f"{n}{'&' * 2100}")
    page = person.get("/rejected").text
    assert f"{REJECTED_SHOWN + 5}, newest {REJECTED_SHOWN} shown" in page
    assert page.count('class="row rejected"') == REJECTED_SHOWN


def test_what_changes_holds_nothing_of_who_looks(person: FlaskClient, report: Report) -> None:
    report()
    page = person.get("/").text
    part = look(person).text
    assert csrf_of(page) not in part
    assert "Dana" not in part


def test_a_page_whose_login_ended_learns_so(client: FlaskClient) -> None:
    assert look(client).status_code == 401


def test_the_strip_tells_what_is_wrong(
    person: FlaskClient, services: Services, report: Report, clock: Clock, provider: RecordingProvider
) -> None:
    provider.limits = [RateLimit("source:default", 10)]
    report()
    page = person.get("/").text
    assert "none seen in 30 s: start one" in page
    assert "10 of 10 left" in page
    clock.wind(minutes=4)
    services.store.delivery_queue.worker_lives("worker-1", clock())
    page = person.get("/").text
    assert re.search(r"Overdue</span>\s*<span class=\"value\">1, since <time[^>]*>03:03\xa0UTC", page)
    assert "none seen" not in page


def test_without_redis_the_page_says_so(person: FlaskClient, without_redis: Services) -> None:
    answer = at_another_process(person, without_redis).get("/", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "Redis can&#39;t be reached" in answer.text


def test_pages_leave_room_for_webhooks(person: FlaskClient, report: Report) -> None:
    tag = person.get("/").headers["ETag"]
    with ExitStack() as taken:
        for _ in range(concurrency.PAGES - 1):
            assert concurrency.slots.acquire(blocking=False)
            taken.callback(concurrency.slots.release)
        with concurrency.slots:
            assert person.get("/").status_code == 503
            assert look(person, tag=tag, how="poll").status_code == 503
            assert report()["state"] == "pending"
        assert look(person, tag=tag, how="poll").status_code in (200, 304)
    assert person.get("/").status_code == 200


def test_a_page_does_not_wait_long_for_one_that_hangs(
    person: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, go_on = threading.Event(), threading.Event()

    def slow(services: Services) -> SystemStatus:
        hangs.set()
        assert go_on.wait(10)
        return read_status(services)

    monkeypatch.setattr(live, "STORE_SECONDS", 0.05)
    monkeypatch.setattr(live, "read_status", slow)
    other = with_the_login_of(person, person.application.test_client())
    thread = threading.Thread(target=other.get, args=["/"])
    thread.start()
    assert hangs.wait(10)
    assert person.get("/").status_code == 503
    go_on.set()
    thread.join()
    assert person.get("/").status_code == 200


def test_each_place_is_given_back(person: FlaskClient) -> None:
    paths = ["/", "/incidents/none", "/?state=asleep", "/login"]
    statuses = [person.get(path).status_code for path in paths * concurrency.PAGES]
    assert statuses == [200, 404, 400, 200] * concurrency.PAGES


# -- everywhere ---------------------------------------------------------------------------------------------


def test_without_a_secret_there_is_a_page_that_says_how_to_have_it(services: Services) -> None:
    config = services.config.model_copy(update={"gateway_secret": None})
    client = create_app(dataclasses.replace(services, config=config)).test_client()
    answer = client.get("/")
    assert answer.status_code == 200
    assert "Set GATEWAY_SECRET" in answer.text
    assert client.get("/login").status_code == 404


@pytest.mark.parametrize(
    ("query", "text", "colour"),
    [
        ("", "V", "#146c3c"),
        ("?waiting=3", "3", "#8a4b00"),
        ("?waiting=100&alarm=1", "99+", "#b3201b"),
        ("?waiting=<x>", "V", "#146c3c"),
    ],
)
def test_the_icon_tells_how_many_wait(client: FlaskClient, query: str, text: str, colour: str) -> None:
    answer = client.get(f"/favicon.svg{query}")
    assert answer.content_type.startswith("image/svg+xml")
    assert f">{text}</text>" in answer.text
    assert colour in answer.text
