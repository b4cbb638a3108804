"""Logging in and out: who may, how often they may try, and what a cookie is worth afterwards."""

from __future__ import annotations

import dataclasses
import io
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from itsdangerous import URLSafeTimedSerializer
from pydantic import SecretStr

from app.bootstrap import Services
from app.store.sessions import ATTEMPTS, SESSION
from app.web import create_app
from app.web.dashboard.login import local
from app.web.http import concurrency
from tests.fakes import GATEWAY_SECRET
from tests.web.conftest import Report, csrf_of, log_in


def configured(services: Services, **settings: object) -> FlaskClient:
    """Somebody at a service with these settings changed, and the same Redis."""
    config = services.config.model_copy(update=settings)
    return create_app(dataclasses.replace(services, config=config)).test_client()


def test_who_is_not_logged_in_is_asked_and_then_led_to_where_they_wanted(client: FlaskClient) -> None:
    answer = client.get("/?q=disk&state=pending")
    assert answer.status_code == 303
    assert answer.location == "/login?next=%2F%3Fq%3Ddisk%26state%3Dpending"
    page = client.get(answer.location)
    assert page.status_code == 200
    assert 'name="next" value="/?q=disk&amp;state=pending"' in page.text
    assert log_in(client, next="/?q=disk&state=pending").location == "/?q=disk&state=pending"
    assert client.get("/?q=disk").status_code == 200


def test_the_name_is_kept_on_one_line(client: FlaskClient) -> None:
    log_in(client, name="  Dana\r\nSet-Cookie: x=1  ")
    assert "<bdi>Dana Set-Cookie: x=1</bdi>" in client.get("/").text


@pytest.mark.parametrize("secret", ["", "wrong", GATEWAY_SECRET + " ", GATEWAY_SECRET[:-1], "ÿ", "\udcff"])
def test_a_wrong_secret_is_refused(client: FlaskClient, secret: str, logged: Callable[[], str]) -> None:
    answer = log_in(client, secret=secret.encode("utf-8", "replace").decode())
    assert answer.status_code == 401
    assert "Wrong gateway secret." in answer.text
    assert client.get("/").status_code == 303
    assert "event=login_failed" in logged()
    assert GATEWAY_SECRET not in logged() + answer.text


def test_a_name_is_needed(client: FlaskClient) -> None:
    answer = log_in(client, name=" \t")
    assert answer.status_code == 400
    assert "Enter your name" in answer.text


def test_ten_attempts_a_minute_and_address(client: FlaskClient) -> None:
    statuses = [log_in(client, secret="wrong").status_code for _ in range(ATTEMPTS)]
    assert set(statuses) == {401}
    refused = log_in(client)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
    assert "wait a minute" in refused.text
    elsewhere = client.post(
        "/login",
        data={"csrf": csrf_of(client.get("/login").text), "name": "Dana", "secret": GATEWAY_SECRET},
        environ_base={"REMOTE_ADDR": "203.0.113.9"},
    )
    assert elsewhere.status_code == 303


def test_an_invented_address_brings_no_more_attempts_but_that_of_a_trusted_proxy_counts(
    services: Services,
) -> None:
    def tries(client: FlaskClient) -> list[int]:
        fields = {"csrf": csrf_of(client.get("/login").text), "name": "Dana", "secret": "wrong"}
        heads = [{"X-Forwarded-For": f"203.0.113.{n}"} for n in range(ATTEMPTS + 1)]
        return [client.post("/login", data=fields, headers=head).status_code for head in heads]

    assert tries(configured(services))[-1] == 429
    trusting = configured(
        services, trusted_proxies=services.config.__class__(trusted_proxies="127.0.0.1").trusted_proxies
    )
    assert tries(trusting)[-1] == 401


def test_addresses_of_one_ipv6_network_count_together(client: FlaskClient) -> None:
    fields = {"csrf": csrf_of(client.get("/login").text), "name": "Dana", "secret": "wrong"}
    statuses = [
        client.post("/login", data=fields, environ_base={"REMOTE_ADDR": f"2001:db8::{n}"}).status_code
        for n in range(ATTEMPTS + 1)
    ]
    assert statuses[-1] == 429


# -- the cookie ---------------------------------------------------------------------------------------------


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(client: FlaskClient) -> None:
    cookie = log_in(client).headers["Set-Cookie"]
    assert cookie.startswith("versus=")
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert "Domain" not in cookie
    assert GATEWAY_SECRET not in cookie


def test_behind_tls_the_cookie_is_for_tls_and_this_host_alone(services: Services) -> None:
    over_tls = configured(services)
    cookie = over_tls.get("/login", base_url="https://versus.example.com").headers["Set-Cookie"]
    assert cookie.startswith("__Host-versus=")
    assert {"HttpOnly", "SameSite=Lax", "Path=/", "Secure"} <= set(cookie.split("; "))
    # A proxy ended TLS, and we were not told to trust it, but the host is that of our https address.
    public = configured(services, public_host="https://versus.example.com")
    assert "Secure" in public.get("/login", base_url="http://versus.example.com").headers["Set-Cookie"]
    assert "Secure" not in public.get("/login", base_url="http://10.0.0.4:3000").headers["Set-Cookie"]


def test_after_logging_out_the_cookie_is_worth_nothing(person: FlaskClient) -> None:
    page = person.get("/")
    cookie = person.get_cookie("versus")
    assert cookie is not None
    assert person.post("/logout", data={"csrf": csrf_of(page.text)}).location == "/login"
    assert person.get("/").status_code == 303
    person.set_cookie("versus", cookie.value)
    assert person.get("/").status_code == 303
    assert person.get("/api/incidents").status_code == 401


def test_another_gateway_secret_ends_every_login(services: Services, person: FlaskClient) -> None:
    cookie = person.get_cookie("versus")
    assert cookie is not None
    rotated = configured(services, gateway_secret=SecretStr("rotated"))
    rotated.set_cookie("versus", cookie.value)
    assert rotated.get("/").status_code == 303
    same = configured(services)
    same.set_cookie("versus", cookie.value)
    assert same.get("/").status_code == 200


def test_a_login_that_redis_lost_has_to_be_made_again(redis_url: str, person: FlaskClient) -> None:
    assert person.get("/").status_code == 200
    client = redis.Redis.from_url(redis_url)
    client.delete(*client.scan_iter(SESSION + "*"))
    assert person.get("/").status_code == 303


@pytest.mark.parametrize(
    "content",
    [
        {"id": "guessed", "name": "Mallory", "csrf": "x"},
        {"id": ["list"], "name": "Mallory"},
        {"name": "Mallory"},
        {},
    ],
)
def test_a_forged_cookie_is_none(client: FlaskClient, services: Services, content: dict[str, object]) -> None:
    services.store.sessions.begin("known")
    for key in (b"", b"versus", GATEWAY_SECRET.encode(), services.config.link_key or b""):
        forged = URLSafeTimedSerializer(key, "cookie-session").dumps({**content, "id": "known"})
        client.set_cookie("versus", str(forged))
        assert client.get("/").status_code == 303
    # Even signed with the right key it is none, unless Redis knows it.
    signer = client.application.session_interface.get_signing_serializer(client.application)  # type: ignore[attr-defined]
    client.set_cookie("versus", str(signer.dumps(content)))
    assert client.get("/").status_code == 303


def test_what_was_known_before_the_login_proves_nothing_after_it(client: FlaskClient) -> None:
    before = csrf_of(client.get("/login").text)
    assert (
        client.post("/login", data={"csrf": before, "name": "Dana", "secret": GATEWAY_SECRET}).status_code
        == 303
    )
    assert csrf_of(client.get("/").text) != before
    assert client.post("/logout", data={"csrf": before}).status_code == 403


# -- where a login leads ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/incidents/7?x=1", "/?q=%2F%2Fevil.example", "/rejected", "/a//b"])
def test_a_path_of_ours_is_gone_to(path: str) -> None:
    assert local(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "//evil.example",
        "///evil.example",
        "https://evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "evil.example",
        "/\t/evil.example",
        "/x\r\nSet-Cookie: a=b",
        " /x",
        "http:///evil.example",
        "http://[",
        "//[",
    ],
)
def test_a_login_leads_nowhere_else(client: FlaskClient, path: str) -> None:
    assert local(path) == "/"
    assert log_in(client, next=path).location == "/"
    assert 'name="next" value="/"' in client.get("/login", query_string={"next": path}).text


def test_with_redis_away_the_login_says_so(without_redis: Services) -> None:
    client = create_app(without_redis).test_client()
    answer = log_in(client)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


# -- strangers ----------------------------------------------------------------------------------------------

FORM = "application/x-www-form-urlencoded"


class Slow(io.BytesIO):
    """A body; notes whether anybody else may still have a page made while it comes in."""

    free = False

    def read(self, size: int | None = -1) -> bytes:
        """Some of it."""
        self._look()
        return super().read(size)

    def readinto(self, into: Any) -> int:
        """Some of it, too."""
        self._look()
        return super().readinto(into)

    def _look(self) -> None:
        taken = sum(concurrency.slots.acquire(blocking=False) for _ in range(concurrency.PAGES))
        for _ in range(taken):
            concurrency.slots.release()
        self.free = taken == concurrency.PAGES


@pytest.mark.parametrize("headers", [{}, {"X-Live": "poll"}], ids=["plain", "live"])
def test_who_sends_a_login_slowly_takes_no_place_from_others(
    client: FlaskClient, headers: dict[str, str]
) -> None:
    body = Slow(b"csrf=x&name=Dana&secret=x")
    client.post("/login", input_stream=body, content_type=FORM, content_length=25, headers=headers)
    assert body.free


def test_a_login_is_no_upload(client: FlaskClient) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
    body = io.BytesIO(head + b"x" * (8 << 20))
    kind, length = "multipart/form-data; boundary=b", len(body.getvalue())
    answer = client.post("/login", input_stream=body, content_type=kind, content_length=length)
    assert answer.status_code == 413
    assert body.tell() < 1 << 20


def test_a_login_ends_after_seven_days_however_much_it_is_used(
    client: FlaskClient, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, days = time.time(), 0
    monkeypatch.setattr("time.time", lambda: began + days * 86_400)
    log_in(client)
    for days in range(7):
        incident = report(deduplication_key=str(days))
        form = {"csrf": csrf_of(client.get("/").text), "next": "/"}
        # What it says is kept in the cookie, which is signed anew.
        assert client.post(f"/incidents/{incident['id']}/ack", data=form).status_code == 303
    days = 8
    assert client.get("/").status_code == 303


def test_logging_in_again_ends_the_login_before(client: FlaskClient) -> None:
    log_in(client)
    first = client.get_cookie("versus")
    assert first is not None
    log_in(client)
    assert client.get("/").status_code == 200
    client.set_cookie("versus", first.value)
    assert client.get("/").status_code == 303


def test_a_host_in_capitals_is_the_same_host(services: Services) -> None:
    client = configured(services, public_host="https://Versus.Example.com")
    answer = client.get("/login", base_url="http://versus.example.com")
    assert "Secure" in answer.headers["Set-Cookie"]


def test_a_wrong_gateway_secret_is_logged_with_its_address(
    client: FlaskClient, logged: Callable[[], str]
) -> None:
    client.get("/api/incidents", headers={"X-Gateway-Secret": "a guess"})
    assert re.search("event=gateway_secret_wrong.*127.0.0.1", logged())
    assert "a guess" not in logged()


def ask_with(client: FlaskClient, secret: str, address: str = "192.0.2.1") -> int:
    """The status of a program's request with this secret."""
    answer = client.get(
        "/api/incidents",
        headers={"X-Gateway-Secret": secret},
        environ_overrides={"REMOTE_ADDR": address},
    )
    return answer.status_code


def test_the_gateway_secret_can_be_guessed_ten_times_a_minute_from_one_address(
    client: FlaskClient, logged: Callable[[], str]
) -> None:
    assert [ask_with(client, f"guess {n}") for n in range(12)] == [401] * ATTEMPTS + [429] * 2
    # Or the throttle would only be another word for wrong.
    assert ask_with(client, GATEWAY_SECRET) == 429
    assert ask_with(client, GATEWAY_SECRET, "192.0.2.2") == 200
    assert "gateway_secret_throttled" in logged()


def test_guesses_behind_one_proxy_shut_out_no_program_that_knows_the_secret(
    client: FlaskClient,
) -> None:
    assert [ask_with(client, GATEWAY_SECRET) for _ in range(2 * ATTEMPTS)] == [200] * 2 * ATTEMPTS
    assert [ask_with(client, f"guess {n}") for n in range(12)] == [401] * 12
    assert ask_with(client, GATEWAY_SECRET) == 200


def test_the_addresses_of_one_ipv6_network_guess_together(client: FlaskClient) -> None:
    answers = [ask_with(client, "a guess", f"2001:db8::{n:x}") for n in range(1, 13)]
    assert answers == [401] * ATTEMPTS + [429] * 2
