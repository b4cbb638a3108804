"""What the dashboard and `/metrics` cost with much stored, and how soon fifty open pages show a change."""

from __future__ import annotations

import http.client
import re
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import psutil
import requests

from app.domain.alert import Alert
from app.domain.delivery import Destination
from app.domain.incident import Incident
from app.store import Store, UnitOfWork
from benchmarks.report import Row, at_most, percentile, spread
from benchmarks.service import SECRET, Service, memory, wait_until

PENDING = 100_000
PAGER = Destination("incident_io/default")
BATCH = 500
LOOKS = 100
PAGES = 50
PAUSE_SECONDS = 2.0
"""As `app/web/static/live.js` does."""
SECONDS = 20.0
WRITES_A_SECOND = 10

METRICS_GOAL, PAGE_GOAL = 50.0, 100.0
GROWTH_GOAL = 5.0
CHANGE_GOAL = 2.5
IDLE_GOAL, BUSY_GOAL = 5.0, 12.0
"""Percent of a core."""


def dashboard() -> Iterable[Row]:
    """A board over 100,000 pending incidents, and fifty people who have it open."""
    with Service() as service:
        service.start_worker()
        service.ready()
        _fill(Store(service.redis_url))
        took = [_timed(f"http://127.0.0.1:{service.client.port}/metrics", {}) for _ in range(LOOKS)]
        what = f"/metrics, {PENDING:,} pending (p50 / p99 / max)"
        yield at_most(what, percentile(took, 99) * 1000, METRICS_GOAL, "ms", shown=spread(took, "ms", 1000))
        cookie = _log_in(service)
        yield from _first_page(service, cookie)
        yield from _open_pages(service, cookie)


def _fill(store: Store) -> None:
    now = store.now()
    alert = Alert(title="Disk full on host 1234", source="grafana", severity="high", service="shop")
    for start in range(0, PENDING, BATCH):

        def work(unit: UnitOfWork, start: int = start) -> None:
            for n in range(start, start + BATCH):
                at = now - timedelta(seconds=PENDING - n)
                due = now + timedelta(hours=6, seconds=n % 3600)
                unit.save(Incident.opened(f"{n:032}", alert, at, due_at=due, pager=PAGER), "{}")

        store.incidents.update(store.incidents.assume_new([]), work, lambda *_: False)


def _timed(url: str, headers: dict[str, str]) -> float:
    began = time.perf_counter()
    answer = requests.get(url, headers=headers, timeout=30, allow_redirects=False)
    if answer.status_code != 200:
        raise RuntimeError(f"{url} answered {answer.status_code}")
    return time.perf_counter() - began


def _log_in(service: Service) -> str:
    """The cookie of somebody who is logged in."""
    base, session = f"http://127.0.0.1:{service.client.port}", requests.Session()
    token = re.search(r'name="csrf" value="([^"]+)"', session.get(f"{base}/login", timeout=30).text)
    if token is None:
        raise RuntimeError("the login page has no token")
    session.post(f"{base}/login", {"csrf": token[1], "name": "Dana", "secret": SECRET}, timeout=30)
    return f"versus={session.cookies['versus']}"


def _first_page(service: Service, cookie: str) -> Iterator[Row]:
    """The whole page, each time with something new on it, so that none was made before."""
    url = f"http://127.0.0.1:{service.client.port}/"
    for _ in range(LOOKS // 10):
        _timed(url, {"Cookie": cookie})
    before = memory(service.web)[0]
    took = []
    for _ in range(LOOKS):
        service.client.report({"title": "Another"}, 3600)
        took.append(_timed(url, {"Cookie": cookie}))
    grown = memory(service.web)[0] - before
    what = f"the dashboard's first page, {PENDING:,} stored (p50 / p99 / max)"
    yield at_most(what, percentile(took, 99) * 1000, PAGE_GOAL, "ms", shown=spread(took, "ms", 1000))
    yield at_most(
        f"memory of both web processes after {LOOKS} of these pages, more", grown, GROWTH_GOAL, "MiB"
    )


class OpenPage(threading.Thread):
    """A page that is open in a browser, and asks for changes."""

    def __init__(self, port: int, cookie: str) -> None:
        super().__init__(daemon=True)
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._cookie = cookie
        self._tag = ""
        self.ended = threading.Event()
        self.seen: dict[str, float] = {}
        """When each incident was first on the page."""

    def run(self) -> None:
        while not self.ended.is_set():
            text = self._ask()
            now = time.monotonic()
            for incident_id in re.findall(r'data-id="([^"]+)"', text):
                self.seen.setdefault(incident_id, now)
            self.ended.wait(PAUSE_SECONDS)

    def _ask(self) -> str:
        headers = {"Cookie": self._cookie, "X-Live": "poll", "If-None-Match": self._tag}
        self._connection.request("GET", "/", headers=headers)
        answer = self._connection.getresponse()
        text = answer.read().decode()
        if answer.status not in (200, 304, 503):
            raise RuntimeError(f"an open page was answered {answer.status}")
        # After a 503 it asks again, as the script does: the change is late by then, which is measured.
        self._tag = answer.headers.get("ETag", self._tag)
        return text if answer.status == 200 else ""


def _open_pages(service: Service, cookie: str) -> Iterator[Row]:
    """What fifty open pages cost: while nothing happens, and more than the writes alone do."""
    with _core_seconds(service) as nothing:
        time.sleep(SECONDS)
    with _core_seconds(service) as writes:
        _posted(service)
    pages = [OpenPage(service.client.port, cookie) for _ in range(PAGES)]
    for page in pages:
        page.start()
        time.sleep(PAUSE_SECONDS / PAGES)
    wait_until(lambda: all(page.seen for page in pages), "every page is there")
    with _core_seconds(service) as idle:
        time.sleep(SECONDS)
    with _core_seconds(service) as busy:
        sent = _posted(service)
    wait_until(lambda: all(sent.keys() <= page.seen.keys() for page in pages), "every page has the change")
    for page in pages:
        page.ended.set()
        page.join()
    delays = [page.seen[one] - at for page in pages for one, at in sent.items()]
    what = f"a change reaches {PAGES} open pages after its webhook was answered (p50 / p99 / max)"
    yield at_most(what, max(delays), CHANGE_GOAL, "s", shown=spread(delays, "s"))
    for what, used, without, goal in (
        ("nothing happens", idle, nothing, IDLE_GOAL),
        (f"{WRITES_A_SECOND} webhooks a second come in", busy, writes, BUSY_GOAL),
    ):
        web, redis = ((one - other) / SECONDS * 100 for one, other in zip(used, without, strict=True))
        what = f"CPU of web (and of Redis) for {PAGES} open pages, while {what}"
        yield at_most(what, web, goal, "% of a core", shown=f"{web:.1f} ({redis:.1f}) % of a core")


def _posted(service: Service) -> dict[str, float]:
    """Reports incidents for `SECONDS`; when those were answered that stay at the top of the page."""
    sent: dict[str, float] = {}
    began = time.monotonic()
    for turn in range(int(SECONDS * WRITES_A_SECOND)):
        # What pages first stands at the top; the others are beyond the fifty that are shown.
        top = turn % (3 * WRITES_A_SECOND) == 0
        created = service.client.report({"title": "Another"}, 1800 - turn if top else 3 * 3600)
        if top:
            sent[created["incident"]["id"]] = time.monotonic()
        time.sleep(max(0.0, began + (turn + 1) / WRITES_A_SECOND - time.monotonic()))
    return sent


@contextmanager
def _core_seconds(service: Service) -> Iterator[list[float]]:
    """Seconds of a core that web and Redis use inside the block."""
    web = psutil.Process(service.web.pid)
    groups = [web, *web.children(recursive=True)], [psutil.Process(service.redis_pid)]

    def used() -> list[float]:
        return [sum(sum(one.cpu_times()[:2]) for one in group) for group in groups]

    found: list[float] = []
    before = used()
    yield found
    found += [after - was for after, was in zip(used(), before, strict=True)]
