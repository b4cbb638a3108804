"""The service behind nginx, with the site of deploy/nginx: TLS, slow senders, kept connections, addresses."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
import requests

from local.embedded import free_port
from local.processes import ROOT
from tests.fakes import GATEWAY_SECRET
from tests.stories.stack import Stack, answered_within, wait_until
from tests.tls import certificates
from tests.web.conftest import csrf_of

SITE = ROOT / "deploy" / "nginx" / "versus-incident.conf"
PAGE = ROOT / "docs" / "deploy" / "host.md"
NAME = "localhost"
SLOW_SENDERS = 150
LIMIT = 50
"""Connections that the site takes from one address."""

pytestmark = pytest.mark.skipif(
    shutil.which("nginx") is None and not os.environ.get("VERSUS_REQUIRE_ALL_TESTS"),
    reason="nginx is not installed",
)

MAIN = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes 1;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


def below_a_path() -> str:
    """What the documentation says for a service that shares its name with others."""
    [block] = re.findall(r"```nginx\n(.*?)```", PAGE.read_text(), re.S)
    return str(block)


class Proxy:
    """nginx with the shipped site; only its names, ports and files are those of the test."""

    def __init__(self, folder: Path, upstream: str) -> None:
        folder.mkdir()
        # A folder that its workers, who are not root, can reach.
        self.ca = certificates(folder).ca
        self.port, plain = free_port(), free_port()
        self.base = f"https://{NAME}:{self.port}"
        self.plain = f"http://{NAME}:{plain}"
        site = SITE.read_text().replace("127.0.0.1:3000", upstream).replace("versus.example.com", NAME)
        site = re.sub(r"/etc/ssl/\S+\.(crt|key)", rf"{folder}/server.\1", site)
        site = re.sub(r"listen \[::\]:\d+[^;]*;", "", site)
        site = site.replace("listen 443", f"listen 127.0.0.1:{self.port}").replace(
            "listen 80", f"listen 127.0.0.1:{plain}"
        )
        site = site.replace("    location / {", f"{below_a_path()}\n    location / {{", 1)
        (folder / "site.conf").write_text(site)
        self.config = folder / "nginx.conf"
        self.config.write_text(MAIN.format(folder=folder) + ("user root;\n" if os.geteuid() == 0 else ""))
        self._errors = folder / "error.log"
        self._process: subprocess.Popen[bytes] | None = None

    def check(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["nginx", "-t", "-e", self._errors, "-c", self.config], capture_output=True, text=True, timeout=60
        )

    def start(self) -> Proxy:
        self._process = subprocess.Popen(["nginx", "-e", self._errors, "-c", self.config])
        wait_until(lambda: _listens(self.port), f"nginx listens; see {self._errors}")
        return self

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)

    def sender(self) -> requests.Session:
        """Somebody who trusts its certificate, whatever the environment says."""
        session = requests.Session()
        session.trust_env = False
        session.verify = str(self.ca)
        return session

    def connect(self, source: str) -> ssl.SSLSocket:
        """A connection from this address."""
        plain = socket.create_connection(("127.0.0.1", self.port), 15, (source, 0))
        context = ssl.create_default_context(cafile=str(self.ca))
        return context.wrap_socket(plain, server_hostname=NAME)

    def connections(self, port: int) -> set[int]:
        """Ports from which somebody on this machine has, or just had, a connection to this one."""
        found: set[int] = set()
        for one in psutil.net_connections("tcp"):
            match one.laddr, one.raddr:
                case (_, here), (_, there) if there == port:
                    found.add(here)
        return found


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Story:
    """The service, and nginx in front of it."""

    def __init__(self, folder: Path, parts: ExitStack) -> None:
        config = {"host": "127.0.0.1", "trusted_proxies": "127.0.0.1"}
        self.stack = Stack(folder, config={**config, "public_host": "https://localhost"})
        parts.callback(self.stack.stop)
        self.proxy = Proxy(folder / "nginx", self.stack.base.removeprefix("http://")).start()
        parts.callback(self.proxy.stop)
        self.stack.ready()
        self.http = parts.enter_context(self.proxy.sender())


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with ExitStack() as parts:
        yield Story(tmp_path_factory.mktemp("nginx"), parts)


def test_nginx_takes_the_site(tmp_path: Path) -> None:
    checked = Proxy(tmp_path / "nginx", "127.0.0.1:3000").check()
    assert checked.returncode == 0, checked.stderr
    assert "[warn]" not in checked.stderr


def test_an_incident_pages_through_it_and_another_is_acknowledged(story: Story) -> None:
    bodies = [{"title": "Disk full"}, {"title": "Seen"}]
    unseen, seen = (
        story.http.post(
            f"{story.proxy.base}/api/incidents?oncall_wait_minutes=0.05", json=body, timeout=60
        ).json()["incident"]
        for body in bodies
    )
    link = seen["ack_url"].replace("https://localhost", story.proxy.base)
    assert story.http.post(link, timeout=60).status_code == 200
    story.stack.wait_for_state(unseen, "escalated")
    assert story.stack.show(seen)["state"] == "acknowledged"


def test_http_leads_to_https(story: Story) -> None:
    answer = requests.post(f"{story.proxy.plain}/api/incidents", json={}, timeout=60, allow_redirects=False)
    assert answer.status_code == 308
    assert answer.headers["Location"] == "https://localhost/api/incidents"


def test_metrics_are_for_this_machine(story: Story) -> None:
    assert "versus_redis_up 1.0" in story.http.get(f"{story.proxy.base}/metrics", timeout=60).text
    site = SITE.read_text().partition("location = /metrics")[2]
    assert "deny all;" in site.partition("}")[0]


def test_connections_to_web_are_kept(story: Story) -> None:
    port = int(story.stack.base.rpartition(":")[2])
    before = story.proxy.connections(port)
    for _ in range(40):
        with story.proxy.sender() as sender:
            assert sender.get(f"{story.proxy.base}/healthz", timeout=60).status_code == 200
    assert len(story.proxy.connections(port) - before) <= 4


def test_slow_senders_keep_no_thread_of_web(story: Story) -> None:
    port = int(story.stack.base.rpartition(":")[2])
    before = story.proxy.connections(port)
    with ExitStack() as parts:
        for number in range(SLOW_SENDERS):
            # Each from an address of its own, as far as the limit for an address is concerned.
            source = f"127.0.0.{2 + number // (LIMIT - 10)}"
            slow = parts.enter_context(story.proxy.connect(source))
            slow.sendall(b"POST /api/incidents HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{")
        answer = answered_within(
            5,
            lambda: story.http.post(
                f"{story.proxy.base}/api/incidents", json={"title": "Among slow ones"}, timeout=60
            ),
        )
        assert answer.status_code == 201
        assert len(story.proxy.connections(port) - before) <= 4


def test_one_address_may_not_take_all_connections(story: Story) -> None:
    with ExitStack() as parts:
        for _ in range(LIMIT):
            slow = parts.enter_context(story.proxy.connect("127.0.0.9"))
            slow.sendall(b"POST /api/incidents HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{")
        last = parts.enter_context(story.proxy.connect("127.0.0.9"))
        last.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert last.recv(100).startswith(b"HTTP/1.1 503 ")
        assert story.http.get(f"{story.proxy.base}/healthz", timeout=60).status_code == 200


def test_a_body_that_is_too_large_is_refused_by_web_in_words(story: Story) -> None:
    answer = story.http.post(f"{story.proxy.base}/api/incidents", data=b"x" * 9_000_000, timeout=60)
    assert answer.status_code == 413
    assert "error" in answer.json()


def test_web_learns_who_really_asks(story: Story) -> None:
    with story.proxy.connect("127.0.0.9") as stranger:
        stranger.sendall(
            b"GET /api/incidents HTTP/1.1\r\nHost: localhost\r\nX-Gateway-Secret: wrong\r\n"
            b"X-Forwarded-For: 198.51.100.7\r\n\r\n"
        )
        assert stranger.recv(100).startswith(b"HTTP/1.1 401 ")
    wait_until(lambda: "gateway_secret_wrong" in story.stack.log.read_text(), "the wrong secret is logged")
    log = story.stack.log.read_text()
    assert "127.0.0.9" in log
    assert "198.51.100.7" not in log


def test_a_session_is_for_https_alone(story: Story) -> None:
    login = f"{story.proxy.base}/login"
    form = {
        "csrf": csrf_of(story.http.get(login, timeout=60).text),
        "name": "Dana",
        "secret": GATEWAY_SECRET,
    }
    answer = story.http.post(login, data=form, timeout=60, allow_redirects=False)
    assert answer.status_code == 303, answer.text
    assert "Secure" in answer.headers["Set-Cookie"]


def test_below_a_path_webhooks_arrive_and_links_work(story: Story) -> None:
    answer = story.http.post(
        f"{story.proxy.base}/versus/api/incidents", json={"title": "Below a path"}, timeout=60
    )
    assert answer.status_code == 201
    link = answer.json()["incident"]["ack_url"].replace("https://localhost", f"{story.proxy.base}/versus")
    assert story.http.post(link, timeout=60).status_code == 200
