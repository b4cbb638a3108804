"""The status page, the view for the wall, and what the list says above its incidents."""

from __future__ import annotations

from dataclasses import replace

import pytest
import redis
from flask.testing import FlaskClient

from app import __version__
from app.bootstrap import Services
from app.store import LastDrill
from app.web import create_app
from tests.fakes import API_KEY, GATEWAY_SECRET, Clock
from tests.web.conftest import Report, log_in


def test_the_status_page_says_what_a_page_needs_and_shows_no_secret(
    person: FlaskClient, services: Services, clock: Clock
) -> None:
    page = person.get("/status").text
    assert "Not ready" in page
    assert "no worker has been seen" in page
    assert "versus drill" in page
    assert "oncall.incident_io.alert_source_config_id" in page
    assert "&lt;secret&gt;" in page
    assert API_KEY not in page
    assert GATEWAY_SECRET not in page
    services.store.delivery_queue.worker_lives("w1", clock())
    services.store.drills.ended(LastDrill(clock(), False, "No worker claimed the page."))
    page = person.get("/status").text
    assert "Ready: pages go out" in page
    assert "No worker claimed the page." in page


def test_the_status_page_says_which_versions_run(
    person: FlaskClient, services: Services, clock: Clock, redis_url: str
) -> None:
    assert "Processes" not in person.get("/status").text
    services.store.processes.announce("web", clock())
    assert f"web {__version__} (1)<" in person.get("/status").text
    old = {f"worker far:{n} 0.0.1 0.9": clock().timestamp() for n in (1, 2)}
    redis.Redis.from_url(redis_url).zadd("versus:processes", old)
    page = person.get("/status").text
    assert f"worker 0.0.1 (2), web {__version__} (1). What is new here is used once all know it<" in page


def test_an_open_status_page_learns_of_a_drill(person: FlaskClient, services: Services, clock: Clock) -> None:
    tag = person.get("/status").headers["ETag"]
    headers = {"X-Live": "now", "If-None-Match": tag}
    assert person.get("/status", headers=headers).status_code == 304
    services.store.drills.ended(LastDrill(clock(), True, "The whole way is open."))
    changed = person.get("/status", headers=headers)
    assert changed.status_code == 200
    assert "The whole way is open." in changed.text


def test_the_wall_has_no_buttons(person: FlaskClient, report: Report) -> None:
    report(title="Disk full")
    page = person.get("/", query_string={"view": "wall"}, headers={"X-Live": "now"}).text
    assert "Disk full" in page
    assert "<b>1</b> pending" in page
    assert "<button" not in page
    assert person.get("/?view=ceiling").status_code == 400


def test_the_list_says_how_many_webhooks_were_refused_for_a_day(
    person: FlaskClient, client: FlaskClient, clock: Clock
) -> None:
    assert "refused</a>" not in person.get("/").text
    client.post("/api/incidents", data="{broken nonsense")
    assert "1 webhook refused</a>, newest" in person.get("/").text
    clock.wind(hours=24)
    log_in(person)
    assert "refused</a>" not in person.get("/").text


@pytest.mark.parametrize(("trusted", "name"), [("127.0.0.1", "dana@example.com"), ("192.0.2.1", "Dana")])
def test_a_trusted_proxy_names_who_is_logged_in_and_logs_nobody_in(
    services: Services, trusted: str, name: str
) -> None:
    config = services.config
    networks = config.__class__(trusted_proxies=trusted).trusted_proxies
    update = {"trusted_proxies": networks, "trusted_name_header": "X-Forwarded-User"}
    client = create_app(replace(services, config=config.model_copy(update=update))).test_client()
    client.environ_base["HTTP_X_FORWARDED_USER"] = "dana@example.com"
    assert client.get("/").status_code == 303
    assert client.get("/api/incidents").status_code == 401
    log_in(client, name="Dana")
    assert f'<span class="person"><bdi>{name}</bdi>' in client.get("/").text
