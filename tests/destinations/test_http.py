"""One request, over real sockets: when it ends, what it never sends, and which connection it takes."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from pydantic import SecretStr

from app.destinations.http import ANSWER_BYTES, Bearer, Http, HttpAnswer, NoAnswer
from local.incident_io_rules import Mode
from local.simulator import Simulator
from tests.destinations.conftest import KEY, soon

PATH = "/v2/alert_events/http/main"
BODY = b'{"title": "t", "status": "firing", "deduplication_key": "k"}'
GENEROUS = 10.0
"""Seconds that a slow machine may add to a deadline."""


def post(
    http: Http, base: str, seconds: float = 5.0, auth: Bearer | None = None
) -> tuple[HttpAnswer | NoAnswer, bool]:
    """The result, and whether it came by the deadline."""
    deadline = soon(seconds)
    auth = auth or Bearer(SecretStr(KEY))
    result = http.post(base + PATH, BODY, auth=auth, deadline=deadline)
    return result, time.monotonic() < deadline + GENEROUS


@pytest.fixture
def http() -> Http:
    return Http("test/1")


@pytest.fixture
def silent() -> Iterator[int]:
    """A port where connections are taken and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("mode", ["hang", "trickle"])
def test_a_slow_server_is_left_at_the_deadline(http: Http, simulator: Simulator, mode: Mode) -> None:
    simulator.answer_with(202, mode=mode)
    result, in_time = post(http, simulator.base_url, 0.3)
    assert result == NoAnswer("timeout", "the time ran out", sent=True)
    assert in_time


def test_a_status_counts_though_its_body_never_ends(http: Http, simulator: Simulator) -> None:
    simulator.answer_with(202, mode="trickle_body")
    result, in_time = post(http, simulator.base_url, 0.3)
    assert isinstance(result, HttpAnswer)
    assert (result.status, result.body, in_time) == (202, b"", True)


def test_a_tls_handshake_that_never_ends_is_left_at_the_deadline(http: Http, silent: int) -> None:
    result, in_time = post(http, f"https://127.0.0.1:{silent}", 0.3)
    assert isinstance(result, NoAnswer)
    assert (result.reason, result.sent, in_time) == ("timeout", False, True)


def test_a_slow_name_server_is_left_and_nothing_is_sent_later(
    http: Http, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    released, finished = threading.Event(), threading.Event()
    look_up = socket.getaddrinfo

    def slow(*args: Any, **kwargs: Any) -> Any:
        released.wait(60)
        finished.set()
        return look_up(*args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", slow)
        result, in_time = post(http, simulator.base_url, 0.2)
        assert isinstance(result, NoAnswer)
        assert (result.reason, result.sent, in_time) == ("timeout", False, True)
        late = [thread for thread in threading.enumerate() if thread.name == "post"]
        released.set()
        assert finished.wait(60)
    for thread in late:
        thread.join(60)
    assert simulator.requests == []


class Stalling(Bearer):
    """Holds a call up until it is too late, like a process that is stopped for a while."""

    def __init__(self, released: threading.Event) -> None:
        super().__init__(SecretStr(KEY))
        self._released = released

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        self._released.wait(60)
        return super().__call__(request)


def test_nothing_is_sent_after_the_deadline_on_a_connection_that_is_open(
    http: Http, simulator: Simulator
) -> None:
    post(http, simulator.base_url)
    released = threading.Event()
    result, _ = post(http, simulator.base_url, 0.1, Stalling(released))
    assert isinstance(result, NoAnswer)
    assert (result.reason, result.sent) == ("timeout", False)
    late = [thread for thread in threading.enumerate() if thread.name == "post"]
    released.set()
    for thread in late:
        thread.join(60)
    assert len(simulator.requests) == 1


def test_nothing_is_begun_after_the_deadline(http: Http, simulator: Simulator) -> None:
    result, _ = post(http, simulator.base_url, -1)
    assert isinstance(result, NoAnswer)
    assert (result.reason, result.sent) == ("timeout", False)
    assert simulator.requests == []


def test_connections_are_used_again(http: Http, simulator: Simulator) -> None:
    for _ in range(5):
        post(http, simulator.base_url)
    assert len({request.client for request in simulator.requests}) == 1


def test_64_calls_are_under_way_at_once(http: Http, simulator: Simulator) -> None:
    simulator.answer_with(202, mode="hang")
    threads = [threading.Thread(target=post, args=(http, simulator.base_url, 20)) for _ in range(64)]
    for thread in threads:
        thread.start()
    assert simulator.wait_for(lambda: len(simulator.requests) == 64, 60)
    simulator.clear()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize("used_before", [True, False])
def test_a_connection_that_breaks_is_told_and_nothing_is_sent_again(
    http: Http, simulator: Simulator, used_before: bool
) -> None:
    if used_before:
        post(http, simulator.base_url)
    simulator.answer_with(202, mode="reset")
    result, _ = post(http, simulator.base_url)
    assert isinstance(result, NoAnswer)
    assert (result.reason, result.sent) == ("connection", True)
    assert len(simulator.requests) == 1 + used_before


def test_a_connection_that_the_server_closed_in_order_is_not_used_again(
    http: Http, simulator: Simulator
) -> None:
    simulator.answer_next(202, headers={"Connection": "close"})
    post(http, simulator.base_url)
    result, _ = post(http, simulator.base_url)
    assert isinstance(result, HttpAnswer)
    assert result.status == 202


def test_garbage_is_no_answer(http: Http, simulator: Simulator) -> None:
    simulator.answer_with(202, mode="garbage")
    result, _ = post(http, simulator.base_url)
    assert result == NoAnswer("connection", "the answer was not HTTP", sent=True)


@pytest.mark.parametrize("host", ["127.0.0.1:1", "nowhere.invalid"])
def test_a_server_that_is_not_there_got_nothing(http: Http, host: str) -> None:
    result, _ = post(http, f"http://{host}")
    assert isinstance(result, NoAnswer)
    assert (result.reason, result.sent) == ("connection", False)
    assert result.detail


def test_a_large_answer_is_read_in_part(http: Http, simulator: Simulator) -> None:
    simulator.answer_next(500, body="x" * (4 * ANSWER_BYTES))
    result, _ = post(http, simulator.base_url)
    assert isinstance(result, HttpAnswer)
    assert result.body == b"x" * ANSWER_BYTES
    assert isinstance(post(http, simulator.base_url)[0], HttpAnswer)


def test_a_redirect_is_not_followed(http: Http, simulator: Simulator) -> None:
    simulator.answer_next(302, headers={"Location": simulator.base_url + PATH})
    result, _ = post(http, simulator.base_url)
    assert isinstance(result, HttpAnswer)
    assert result.status == 302
    assert len(simulator.requests) == 1


def test_netrc_does_not_replace_the_key(
    http: Http, simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    post(http, simulator.base_url)
    assert simulator.requests[0].authorized


def test_a_get_is_sent_as_a_get_with_no_credentials(
    http: Http, simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    simulator.answer_next(302, headers={"Location": simulator.base_url + "/elsewhere"})
    result = http.get(simulator.base_url + "/x.pem", deadline=soon(5.0))
    assert isinstance(result, HttpAnswer)
    assert result.status == 302
    [request] = simulator.requests
    assert (request.method, request.path) == ("GET", "/x.pem")
    assert "authorization" not in request.headers


def test_a_slow_server_is_left_by_a_get_too(http: Http, simulator: Simulator) -> None:
    simulator.answer_with(200, mode="hang")
    assert http.get(simulator.base_url, deadline=soon(0.3)) == NoAnswer(
        "timeout", "the time ran out", sent=True
    )


def test_cookies_are_not_kept(http: Http, simulator: Simulator) -> None:
    simulator.answer_next(202, headers={"Set-Cookie": "a=b; Path=/"})
    for _ in range(2):
        post(http, simulator.base_url)
    assert "cookie" not in simulator.requests[1].headers


def test_it_says_who_it_is(http: Http, simulator: Simulator) -> None:
    post(http, simulator.base_url)
    headers = simulator.requests[0].headers
    assert headers["user-agent"] == "test/1"
    assert headers["content-type"] == "application/json"


def test_a_proxy_of_the_environment_is_used_with_the_same_deadline(
    http: Http, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", simulator.base_url)
    monkeypatch.setenv("http_proxy", simulator.base_url)
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(variable, "")
    simulator.answer_with(202, mode="hang")
    result, in_time = post(http, "http://incident.example.com", 0.3)
    assert result == NoAnswer("timeout", "the time ran out", sent=True)
    assert in_time
    assert simulator.requests[0].path == "http://incident.example.com" + PATH


def test_a_proxy_that_refuses_to_connect_passed_nothing_on(
    http: Http, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(variable, simulator.base_url.replace("//", "//user:proxy-password@"))
    result, _ = post(http, "https://incident.example.com")
    assert isinstance(result, NoAnswer)
    assert (result.reason, result.sent) == ("connection", False)
    assert "501" in result.detail
    assert "proxy-password" not in result.detail


@pytest.mark.parametrize("proxy", ["http://user:proxy-password@", "http://user:proxy-password@[::1"])
def test_an_address_that_is_none_is_told_without_its_password(
    http: Http, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    for variable in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(variable, proxy)
    result, _ = post(http, "https://incident.example.com")
    assert isinstance(result, NoAnswer)
    assert "proxy-password" not in result.detail


@pytest.fixture
def self_signed(tmp_path: Path) -> Iterator[str]:
    """The address of a TLS server whose certificate nobody knows."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate for this test")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -out {certificate}"
    subprocess.run([*command.split(), "-keyout", str(key)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with ExitStack() as stack:
                stack.push(lambda *_: True)
                context.wrap_socket(connection, server_side=True).recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def test_a_certificate_that_nobody_knows_gets_no_request(http: Http, self_signed: str) -> None:
    result, _ = post(http, self_signed)
    assert isinstance(result, NoAnswer)
    assert (result.reason, result.sent) == ("tls", False)
    assert "certificate" in result.detail


def test_a_missing_file_of_certificates_gets_no_request(
    http: Http, silent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent/bundle.pem")
    result, _ = post(http, f"https://127.0.0.1:{silent}")
    assert isinstance(result, NoAnswer)
    assert (result.reason, result.sent) == ("tls", False)
    assert "/nonexistent/bundle.pem" in result.detail
