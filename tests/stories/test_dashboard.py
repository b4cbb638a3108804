"""The dashboard in a real browser: somebody logs in, sees an incident arrive, and takes care of it."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis
import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.fakes import GATEWAY_SECRET
from tests.stories.stack import Stack, on_disk, wait_until

# A change is there within 2.5 s; a busy machine that runs the tests gets more.
SOON = 60_000

SIZES = {"telephone": {"width": 360, "height": 740}, "desk": {"width": 1440, "height": 900}}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service whose dashboard nobody else fills."""
    stack = Stack(tmp_path_factory.mktemp("dashboard"), incident_io={"max_per_minute": 120})
    try:
        yield stack.ready()
    finally:
        stack.stop()


@pytest.fixture
def errors(page: Page) -> Iterator[list[str]]:
    """What the browser complained of until now: errors of scripts, and what the policy forbade."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("console", lambda said: found.extend([said.text] if said.type == "error" else []))
    yield found
    assert found == []


def log_in(page: Page, service: Stack, path: str = "/") -> None:
    page.goto(f"{service.base}{path}")
    page.get_by_label("Your name").fill("Dana")
    page.get_by_label("Gateway secret").fill(GATEWAY_SECRET)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{service.base}{path}")


def row(page: Page, incident: dict[str, Any]) -> Any:
    return page.locator(f"#i-{incident['id']}")


def test_an_incident_arrives_and_is_acknowledged_with_the_keyboard(
    page: Page, service: Stack, errors: list[str]
) -> None:
    log_in(page, service)
    page.evaluate("window.sameDocument = true")
    waiting = page.title()
    incident = service.report(600, body={"title": "Disk of build-7 is full", "service": "ci"})
    arrived = row(page, incident)
    expect(arrived).to_be_visible(timeout=SOON)
    expect(arrived.locator(".left")).to_have_text(re.compile(r"^(9:5\d|10:00)$"))
    assert page.title() != waiting
    assert re.match(r"\(\d+\) Versus Incident", page.title())
    # It counts down by itself.
    before = arrived.locator(".left").inner_text()
    expect(arrived.locator(".left")).not_to_have_text(before, timeout=SOON)
    page.keyboard.press("j")
    while not arrived.evaluate("row => row.contains(document.activeElement)"):
        page.keyboard.press("j")
    page.keyboard.press("a")
    expect(arrived.locator(".left")).to_have_count(0, timeout=SOON)
    expect(page.get_by_role("region", name="Acknowledged")).to_contain_text("Disk of build-7 is full")
    expect(page.locator("#note")).to_contain_text("Acknowledged: Disk of build-7 is full")
    expect(arrived).to_contain_text("by Dana")
    assert page.evaluate("window.sameDocument")
    shown = service.show(incident)
    assert (shown["state"], shown["acknowledged_by"]) == ("acknowledged", "Dana")
    # Focus stayed with the incident, wherever it went.
    page.keyboard.press("Enter")
    page.wait_for_url(f"{service.base}/incidents/{incident['id']}")
    expect(page.locator(".timeline")).to_contain_text("Acknowledged by Dana.")
    expect(page.locator(".verdict")).to_contain_text("Nobody was paged: acknowledged by Dana.")
    expect(page.locator("pre")).to_contain_text('"service": "ci"')
    page.keyboard.press("h")
    page.wait_for_url(f"{service.base}/")
    page.keyboard.press("/")
    page.keyboard.type("build-7")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?q=build-7*")
    expect(page.locator(".row")).to_have_count(1)
    expect(row(page, incident)).to_be_visible()


def test_what_can_not_be_taken_back_asks_first(page: Page, service: Stack, errors: list[str]) -> None:
    incident = service.report(600, body={"title": "Latency of search"})
    log_in(page, service, f"/incidents/{incident['id']}")
    page.keyboard.press("p")
    expect(page.get_by_role("dialog")).to_contain_text("Page now “Latency of search”?")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("r")
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    page.get_by_role("button", name="Cancel").click()
    assert service.show(incident)["state"] == "pending"
    page.get_by_role("button", name="Page now").click()
    page.get_by_role("dialog").get_by_role("button", name="Page now").click()
    wait_until(lambda: service.simulator.events(incident["id"]), "it was paged")
    expect(page.locator(".timeline")).to_contain_text("the provider accepted the page", timeout=SOON)
    page.keyboard.press("r")
    page.get_by_role("dialog").get_by_role("button", name="Resolve").click()
    expect(page.locator(".tags .state")).to_have_text("Resolved", timeout=SOON)
    page.keyboard.press("a")
    expect(page.locator("#note")).to_contain_text("This is not possible for this incident.")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()


def test_one_touch_of_a_button_does_what_it_says(page: Page, service: Stack, errors: list[str]) -> None:
    taken, over = service.report(600), service.report(600)
    log_in(page, service)
    row(page, taken).get_by_role("button", name="Acknowledge").click()
    expect(row(page, taken)).to_contain_text("by Dana", timeout=SOON)
    row(page, over).get_by_role("button", name="Resolve").click()
    page.get_by_role("dialog").get_by_role("button", name="Resolve").click()
    expect(row(page, over)).to_contain_text("resolved", timeout=SOON)
    assert service.show(over)["timeline"][-1]["detail"] == "by Dana"


def test_people_select_several_and_go_on_with_the_next(page: Page, service: Stack, errors: list[str]) -> None:
    first, second, third = (service.report(500 + n, body={"title": f"Node {n}"}) for n in range(3))
    log_in(page, service)
    row(page, first).get_by_role("link").focus()
    page.keyboard.press("a")
    expect(row(page, first)).to_contain_text("by Dana", timeout=SOON)
    # The focus is on the next one that waits, not where the acknowledged one went.
    expect(row(page, second).get_by_role("link")).to_be_focused()
    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator(".how-many")).to_have_text("2 selected")
    # Another incident comes in, and what was selected is selected still.
    arrived = service.report(3000, body={"title": "Another"})
    expect(row(page, arrived)).to_be_visible(timeout=SOON)
    expect(page.locator(".select input:checked")).to_have_count(2)
    page.get_by_role("form", name="Selected incidents").get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_role("status").first).to_contain_text("Acknowledged: 2 incidents.")
    for incident in (second, third):
        assert service.show(incident)["acknowledged_by"] == "Dana"
    assert service.show(arrived)["state"] == "pending"
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(page.get_by_role("status").first).to_have_text("No longer acknowledged: 2 incidents.")
    assert service.show(second)["state"] == service.show(third)["state"] == "pending"
    row(page, arrived).get_by_role("checkbox").check()
    page.get_by_role("button", name="Silence…").click()
    expect(page.get_by_label("Title")).to_have_value("Another")
    page.get_by_label("Comment").fill("It is printed late today")
    page.get_by_role("button", name="Silence", exact=True).click()
    expect(page.get_by_role("status").first).to_contain_text("Silenced, which holds 1 incident now")
    assert service.show(arrived)["silenced_until"]


@pytest.mark.parametrize("script", [True, False])
def test_all_of_one_service_are_acknowledged_in_two_actions(
    browser: Browser, own: Callable[..., Stack], script: bool
) -> None:
    stack = own()
    bodies = [{"title": f"Pod {n}", "service": "shop & co"} for n in range(510)]
    assert stack.post(bodies, oncall_wait_minutes=60).status_code == 201
    other = stack.report(3600, body={"service": "search"})
    context = browser.new_context(java_script_enabled=script)
    page = context.new_page()
    log_in(page, stack)
    page.get_by_role("link", name="Acknowledge all of shop & co…").click()
    page.get_by_role("button", name="Acknowledge 510").click()
    expect(page.get_by_role("status").first).to_contain_text("Acknowledged: 510 incidents.")
    expect(page.locator(".headline")).to_contain_text("1 pending")
    assert stack.show(other)["state"] == "pending"
    context.close()


@pytest.mark.parametrize(("width", "most"), [(1440, 2500), (360, 6000)])
def test_forty_incidents_fit(browser: Browser, own: Callable[..., Stack], width: int, most: int) -> None:
    stack = own()
    bodies = [{"title": f"Latency of service {n} is high", "service": f"service-{n}"} for n in range(40)]
    stack.post(bodies, oncall_wait_minutes=60)
    context = browser.new_context(viewport={"width": width, "height": 740})
    page = context.new_page()
    log_in(page, stack)
    expect(page.locator(".row")).to_have_count(40)
    assert page.evaluate("document.documentElement.scrollHeight") <= most
    first = page.locator(".row").first.bounding_box()
    assert first is not None
    assert first["y"] + first["height"] <= 740
    context.close()


def test_without_javascript_people_can_read_and_act(browser: Browser, service: Stack) -> None:
    incident = service.report(600, body={"title": "Without a script"})
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    log_in(page, service)
    expect(row(page, incident)).to_contain_text("pages at")
    row(page, incident).get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_role("status").first).to_contain_text("Acknowledged: Without a script")
    assert service.show(incident)["acknowledged_by"] == "Dana"
    page.get_by_role("link", name="Without a script").click()
    expect(page.locator(".timeline")).to_contain_text("Acknowledged by Dana.")
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url(f"{service.base}/login")
    page.goto(f"{service.base}/")
    page.wait_for_url("**/login?next=*")
    context.close()


def test_an_open_page_whose_login_ends_asks_for_it(page: Page, service: Stack) -> None:
    log_in(page, service)
    page.context.clear_cookies()
    page.wait_for_url("**/login?next=*", timeout=SOON)


def test_a_page_that_gets_no_answer_says_that_it_is_old(page: Page, own: Callable[..., Stack]) -> None:
    stack = own()
    incident = stack.report(600)
    log_in(page, stack)
    stack.web.kill()
    expect(page.get_by_role("alert")).to_contain_text("what you see may be old", timeout=2 * SOON)
    stack.start("web")
    wait_until(stack.is_ready, "web is back")
    expect(page.get_by_role("alert")).to_have_count(0, timeout=SOON)
    stack.act(incident, "ack")
    expect(row(page, incident)).to_contain_text("by admin API", timeout=SOON)


def test_a_page_says_why_nothing_changes(page: Page, own: Callable[..., Stack]) -> None:
    stack = own()
    log_in(page, stack)
    on_disk(redis.Redis.from_url(stack.redis.url))
    stack.redis.kill()
    expect(page.get_by_role("alert")).to_contain_text("Redis can't be reached", timeout=2 * SOON)
    stack.redis.start()
    expect(page.get_by_role("alert")).to_have_count(0, timeout=2 * SOON)
    expect(page.get_by_role("button", name="Log out")).to_be_visible()


def test_any_number_of_open_pages_takes_no_thread_from_webhooks(own: Callable[..., Stack]) -> None:
    stack = own()
    port = int(stack.base.rsplit(":", 1)[1])
    session = requests.Session()
    form = session.get(f"{stack.base}/login", timeout=60).text
    token = re.search(r'name="csrf" value="([^"]+)"', form)
    assert token
    fields = {"csrf": token[1], "name": "Dana", "secret": GATEWAY_SECRET}
    tag = session.post(f"{stack.base}/login", fields, timeout=60).headers["ETag"]
    head = f"GET / HTTP/1.1\r\nHost: x\r\nCookie: versus={session.cookies['versus']}\r\n"
    ask = f"{head}X-Live: poll\r\nIf-None-Match: {tag}\r\n\r\n".encode()
    with ExitStack() as crowd:
        pages = [crowd.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(300)]
        # Redis hangs, so anyone who needs it waits as long as may be.
        assert stack.redis.process
        os.kill(stack.redis.process.pid, signal.SIGSTOP)
        try:
            for one in pages:
                one.sendall(ask)
            # All of them ask at once, and again and again; and a webhook comes in between.
            answer = stack.post({"title": "Disk full"})
        finally:
            os.kill(stack.redis.process.pid, signal.SIGCONT)
    assert answer.status_code == 202, answer.text
    wait_until(lambda: stack.simulator.events(), "it was paged")


def test_what_a_sender_writes_runs_nowhere(page: Page, service: Stack, errors: list[str]) -> None:
    nasty = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    incident = service.report(600, body={"title": nasty, "service": nasty, "labels": {nasty: nasty}})
    log_in(page, service)
    expect(row(page, incident)).to_be_visible()
    page.goto(f"{service.base}/incidents/{incident['id']}")
    expect(page.get_by_role("heading", level=1)).to_have_text(nasty)
    assert "owned" not in page.title().replace(nasty, "")
    assert page.locator("img").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_everybody_can_use_the_pages(browser: Browser, service: Stack, size: str, scheme: Any) -> None:
    """No serious violation that axe-core finds, and nothing beside the screen."""
    incident = service.report(
        600, body={"title": "Replica lag", "severity": "high", "labels": {"a": "b" * 90}}
    )
    service.act(service.report(600), "ack")
    service.act(service.report(600), "resolve")
    requests.post(f"{service.base}/api/incidents", data="{broken", timeout=60)
    context = browser.new_context(viewport=SIZES[size], color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    log_in(page, service)
    page.keyboard.press("?")
    check(page)
    for path in (
        "/",
        f"/incidents/{incident['id']}",
        "/?q=lag&state=pending",
        "/rejected",
        "/?q=nothing",
        "/?view=wall",
        "/status",
        "/incidents/selected?action=resolve&state=pending",
        "/api/docs",
    ):
        page.goto(f"{service.base}{path}")
        check(page)
    page.goto(f"{service.base}/incidents/{incident['id']}")
    page.locator("#options summary").click()
    page.locator("#health summary").click()
    check(page)
    page.get_by_role("button", name="Resolve", exact=True).click()
    expect(page.get_by_role("dialog").get_by_role("button", name="Cancel")).to_be_focused()
    check(page)
    page.get_by_role("button", name="Cancel").click()
    page.goto(service.base + incident["ack_url"][incident["ack_url"].index("/api/ack") :])
    check(page)
    page.goto(f"{service.base}/nowhere")
    check(page)
    context.clear_cookies()
    page.goto(f"{service.base}/login")
    check(page)
    context.close()


def test_an_acknowledgement_can_be_undone_where_it_was_made(
    page: Page, service: Stack, errors: list[str]
) -> None:
    incident = service.report(600, body={"title": "Cache is cold"})
    log_in(page, service, f"/incidents/{incident['id']}")
    page.get_by_role("button", name="Acknowledge", exact=True).click()
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(page.locator(".tags .state")).to_have_text("Pending", timeout=SOON)
    assert service.show(incident)["state"] == "pending"
    # A comment goes with the form, and what is typed stays while the page follows the changes.
    page.locator("#options summary").click()
    page.locator("#comment").fill("Warming it up")
    service.report(600, body={"title": "Something else"})
    expect(page).to_have_title(re.compile("Cache is cold"))
    page.get_by_role("button", name="For 30 minutes").click()
    expect(page.locator(".timeline")).to_contain_text('"Warming it up"', timeout=SOON)
    expect(page.get_by_role("button", name="Undo", exact=True)).to_be_visible()


def test_times_are_those_of_the_readers_zone_with_utc_below(browser: Browser, service: Stack) -> None:
    incident = service.report(600, body={"title": "Far away"})
    context = browser.new_context(timezone_id="Asia/Kolkata")
    page = context.new_page()
    for path in (
        f"/incidents/{incident['id']}",
        incident["ack_url"][incident["ack_url"].index("/api/ack") :],
    ):
        page.goto(service.base + path) if "ack" in path else log_in(page, service, path)
        shown = page.locator("time[data-ago]").first
        expect(shown.locator("span").first).to_have_text(re.compile(r"\d\d:\d\d, (in )?\d+ (min|s)( ago)?$"))
        expect(shown.locator(".utc")).to_have_text(re.compile(r"\d\d:\d\d UTC$"))
        # India is five and a half hours ahead.
        local, utc = (int(at[-2:]) for at in shown.evaluate("t => t.innerText.match(/\\d\\d:\\d\\d/g)"))
        assert (local - utc) % 60 == 30
    context.close()


SMALL = """() => [...document.querySelectorAll(
    'a[href], button, summary, select, textarea, input:not([type=hidden]), [role=button], [onclick]')]
  .filter(one => one.checkVisibility() && !one.closest('.skip, .description'))
  .map(one => one.matches('[type=radio], [type=checkbox]') ? one.closest('label') : one)
  .map(one => [one.outerHTML.slice(0, 150), one.getBoundingClientRect()])
  .filter(([, box]) => box.width > 0 && (box.width < 44 || box.height < 44))
  .map(([html, box]) => `${html} ${box.width} x ${box.height}`)"""
"""Targets of touch that are too small; only a link within a sender's text is as high as its line."""


def test_every_target_on_a_telephone_is_large_enough(browser: Browser, own: Callable[..., Stack]) -> None:
    """Everything on every page that can be touched, with all that unfolds unfolded."""
    stack = own()
    incident = stack.report(
        600,
        body={
            "title": "x",
            "description": "See https://a.example/runbook",
            "url": "https://a.example/",
            "severity": "high",
            "labels": {"runbook": "https://a.example/"},
        },
    )
    stack.post([{"title": f"Pod {n}", "service": "shop"} for n in range(60)], oncall_wait_minutes=60)
    requests.post(f"{stack.base}/api/incidents", data="{broken", timeout=60)
    stack.act(stack.report(600), "ack")
    stack.act(stack.report(600), "resolve")
    admin = {"X-Gateway-Secret": GATEWAY_SECRET}
    silence = {"match": {"service": "quiet"}, "minutes": 30, "comment": "test"}
    requests.post(f"{stack.base}/api/silences", json=silence, headers=admin, timeout=60)
    quiet = stack.report(600, body={"service": "quiet"})
    context = browser.new_context(viewport=SIZES["telephone"], has_touch=True)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{stack.base}/login")
    assert page.evaluate(SMALL) == []
    log_in(page, stack)
    for path in (
        f"/incidents/{incident['id']}",
        f"/incidents/{quiet['id']}",
        "/rejected",
        "/",
        "/?q=x&state=pending",
        "/?q=nothing",
        "/?state=pending",
        "/?view=wall",
        "/silences",
        f"/silences/new?incident={incident['id']}",
        "/status",
        "/api/docs",
        "/incidents/selected?action=ack&state=pending",
        "/incidents/selected?action=resolve&state=failed",
        "/incidents/selected?action=silence&state=pending",
        incident["ack_url"][incident["ack_url"].index("/api/ack") :],
        "/nowhere",
    ):
        page.goto(f"{stack.base}{path}")
        closed = page.locator("details:not([open]) > summary")
        while closed.count():
            closed.first.tap()
        assert page.evaluate(SMALL) == [], path
    page.goto(f"{stack.base}/")
    page.locator(".select input").first.check()
    page.keyboard.press("?")
    assert page.evaluate(SMALL) == []
    page.keyboard.press("Escape")
    page.get_by_role("form", name="Selected incidents").get_by_role("button", name="Acknowledge").tap()
    expect(page.get_by_role("button", name="Undo", exact=True)).to_be_visible()
    assert page.evaluate(SMALL) == []
    page.goto(f"{stack.base}/incidents/{incident['id']}")
    page.get_by_role("button", name="Resolve", exact=True).tap()
    assert page.evaluate(SMALL) == []
    buttons = page.locator(".one > header > .actions button").evaluate_all(
        "all => all.map(one => one.getBoundingClientRect()).map(box => [box.height >= 48, box.bottom])"
    )
    assert all(tall and bottom <= SIZES["telephone"]["height"] for tall, bottom in buttons)
    context.close()


def check(page: Page) -> None:
    found = Axe().run(page).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    stated = [(one["id"], one["help"], [node["html"] for node in one["nodes"]]) for one in serious]
    assert stated == [], page.url
    wide, screen = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= screen, page.url


def test_what_a_proxy_says_is_believed_only_if_we_trust_it(own: Callable[..., Stack]) -> None:
    stack = own(config={"trusted_proxies": "127.0.0.1"})
    over_tls = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
    answer = requests.get(f"{stack.base}/login", headers=over_tls, timeout=60)
    assert answer.headers["Set-Cookie"].startswith("__Host-versus=")


def test_what_a_stranger_says_of_a_proxy_is_not_believed(service: Stack) -> None:
    over_tls = {"X-Forwarded-Proto": "https", "X-Forwarded-Ssl": "on", "X-Forwarded-Protocol": "ssl"}
    answer = requests.get(f"{service.base}/login", headers=over_tls, timeout=60)
    assert answer.headers["Set-Cookie"].startswith("versus=")
    assert "Secure" not in answer.headers["Set-Cookie"]
    large = requests.get(f"{service.base}/login", headers={"Cookie": "versus=" + "x" * 20_000}, timeout=60)
    assert large.status_code in (400, 431)
    assert requests.get(f"{service.base}/healthz", timeout=60).status_code == 200
