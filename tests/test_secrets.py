"""Planted secrets, every failure that might tell one, and a search of all that comes out."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import socket
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pytest
import redis
from flask.testing import FlaskClient

from app import bootstrap
from app.bootstrap import Services
from app.cli import main
from app.delivery.pages import deliver
from app.web import create_app
from config import Config, ConfigError, load_config
from local.embedded import EmbeddedRedis, free_port
from local.simulator import Simulator
from tests.fakes import API_KEY, GATEWAY_SECRET, PAGER
from tests.search import kept_in
from tests.stories.stack import Stack, wait_until

OTHER_KEY = "planted-other-key-2b71"
REDIS_PASSWORD = "planted redis/p@ss:word-77d0"
INTAKE_SECRET = "planted-intake-5e09"
PROXY_PASSWORD = "planted-proxy-6c3a"
SENTRY_SECRET = "planted-sentry-91d4"
GRAFANA_SECRET = "planted-grafana-3e77"
GITHUB_SECRET = "planted-github-a20c"
# A token of yesterday, which some sender still has: no setting tells that it is a secret.
OLD_TOKEN = "planted-yesterday-4f1e"
SECRETS = (
    *(API_KEY, OTHER_KEY, REDIS_PASSWORD, GATEWAY_SECRET, INTAKE_SECRET, PROXY_PASSWORD),
    *(SENTRY_SECRET, GRAFANA_SECRET, GITHUB_SECRET, OLD_TOKEN),
)

YAML = """
gateway_secret: ${GATEWAY_SECRET}
intake_secret: ${INTAKE_SECRET}
intake_signatures:
  sentry: ${SENTRY_SECRET}
  grafana: ${GRAFANA_SECRET}
  github: ${GITHUB_SECRET}
  sns_topics: arn:aws:sns:eu-central-1:123456789012:oncall
oncall:
  enable: true
  wait_minutes: ${WAIT:-0}
  when_redis_is_down: ${WHEN_DOWN:-escalate}
  incident_io:
    api_key: ${API_KEY}
    alert_source_config_id: main
    other_alert_source_config_ids:
      db: {id: db-id, api_key: "${OTHER_KEY}"}
"""

BEARER = {"Authorization": f"Bearer {INTAKE_SECRET}"}
ADMIN = {"X-Gateway-Secret": GATEWAY_SECRET}


def encoded(secret: str) -> Iterator[str]:
    """How the secret may look in a text: as it is, in a URL, and inside something in base64."""
    yield from {secret, quote(secret), quote(secret, safe=""), secret.replace(" ", "+")}
    for offset in range(3):
        inside = base64.b64encode(b"\0" * offset + secret.encode() + b"\0" * 3).decode()
        # The first and the last few letters depend on what stands beside it.
        yield inside[4:][: len(secret) * 4 // 3 - 6]


def leaks(text: str) -> list[str]:
    """The secrets that the text holds in any form."""
    return [secret for secret in SECRETS if any(form in text for form in encoded(secret))]


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """A Redis that asks for the planted password."""
    server = EmbeddedRedis(tmp_path_factory.mktemp("locked")).start()
    redis.Redis.from_url(server.url).config_set("requirepass", REDIS_PASSWORD)
    yield server
    server.kill()


def opened(server: EmbeddedRedis) -> redis.Redis:
    return redis.Redis(port=server.port, password=REDIS_PASSWORD)


def url_of(server: EmbeddedRedis, password: str = REDIS_PASSWORD) -> str:
    return f"redis://:{quote(password, safe='')}@127.0.0.1:{server.port}/0"


@dataclass
class Service:
    """A service in this process, with planted secrets, and all that it says."""

    services: Services
    client: FlaskClient
    log: io.StringIO
    answers: list[str]

    def ask(self, method: str, path: str, **how: Any) -> Any:
        """A request; its answer is kept for the search."""
        answer = self.client.open(path, method=method, **how)
        self.answers.append(f"{answer.headers}\n{answer.text}")
        return answer

    def report(self, **parameters: str) -> str:
        """The ID of a new incident."""
        answer = self.ask(
            "POST", "/api/incidents", json={"title": "x"}, headers=BEARER, query_string=parameters
        )
        assert answer.status_code == 201, answer.text
        incident_id: str = answer.get_json()["incident"]["id"]
        return incident_id

    def said(self) -> str:
        return "\n".join([self.log.getvalue(), *self.answers])


Start = Callable[..., Service]


@pytest.fixture
def start(locked: EmbeddedRedis, tmp_path: Path, log_without: Callable[..., io.StringIO]) -> Start:
    """Starts the service over the locked Redis, emptied; the parameters are variables of its environment."""
    opened(locked).flushall()

    def make(**variables: str) -> Service:
        config = configured(tmp_path, REDIS_URL=url_of(locked), **variables)
        log = log_without(*config.secrets())
        services = bootstrap.build_services(config, retry_seconds=0.3, timeout=0.2)
        return Service(services, create_app(services).test_client(), log, [])

    return make


def configured(folder: Path, text: str = YAML, **variables: str) -> Config:
    path = folder / "config.yaml"
    path.write_text(text)
    planted = {
        "API_KEY": API_KEY,
        "OTHER_KEY": OTHER_KEY,
        "GATEWAY_SECRET": GATEWAY_SECRET,
        "INTAKE_SECRET": INTAKE_SECRET,
        "SENTRY_SECRET": SENTRY_SECRET,
        "GRAFANA_SECRET": GRAFANA_SECRET,
        "GITHUB_SECRET": GITHUB_SECRET,
        "REDIS_URL": "",
    }
    return load_config(path, {**planted, **variables})


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator({API_KEY: {"main"}, OTHER_KEY: {"db-id"}}) as simulator:
        yield simulator


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of the machine that runs the tests stands before the simulator."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


# -- the search itself ------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", SECRETS)
def test_the_search_finds_what_is_there(secret: str) -> None:
    basic = base64.b64encode(f"user:{secret}".encode()).decode()
    for text in (f"a {secret} b", f"redis://:{quote(secret, safe='')}@host", f"Basic {basic}"):
        assert leaks(text) == [secret]


# -- incident.io tells what it was sent -------------------------------------------------------------------


def echoes(key: str) -> list[tuple[int, Any, dict[str, str]]]:
    """Answers (status, body, headers) that hold the key everywhere where we look at an answer."""
    error = {"code": key, "message": "x" * 190 + f" Bearer {key}", "source": {"field": key, "pointer": key}}
    stated = {"request_id": f"req-{key}", "errors": [error, key, {"message": key}]}
    return [
        (202, {"status": "success", "message": key, "request_id": key}, {}),
        (401, stated, {}),
        (403, {"errors": key, "message": key}, {"WWW-Authenticate": key}),
        (404, f"<html>{key}</html>", {}),
        (422, stated, {}),
        (429, {**stated, "rate_limit": {"retry_after": key}}, {"Retry-After": key}),
        (500, stated, {}),
        (503, f"{key} " * 50, {"Retry-After": key}),
        (302, stated, {"Location": f"https://elsewhere.example.com/?key={key}"}),
    ]


@pytest.mark.parametrize("n", range(len(echoes(""))), ids=[str(status) for status, _, _ in echoes("")])
@pytest.mark.parametrize(("name", "key"), [("default", API_KEY), ("db", OTHER_KEY)])
def test_an_answer_of_incident_io_that_echoes_the_key(
    start: Start, simulator: Simulator, locked: EmbeddedRedis, name: str, key: str, n: int
) -> None:
    service = start(INCIDENTIO_BASE_URL=simulator.base_url)
    status, body, headers = echoes(key)[n]
    simulator.answer_next(status, body=body, headers=headers)
    incident_id = service.report(incidentio_other_alert_source=name)
    deliver(service.services, incident_id)
    assert simulator.requests[0].authorized
    shown = service.ask("GET", f"/api/incidents/{incident_id}", headers=ADMIN).get_json()
    assert str(status) in shown["timeline"][-1]["detail"]
    service.ask("GET", "/api/incidents", headers=ADMIN)
    assert leaks(service.said() + kept_in(opened(locked))) == []


@pytest.mark.parametrize("kind", ["tls", "connection", "proxy", "garbage"])
def test_an_incident_io_that_cannot_be_reached(
    start: Start, simulator: Simulator, locked: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    base = {
        "tls": simulator.base_url.replace("http:", "https:"),
        "connection": f"http://127.0.0.1:{free_port()}",
        "proxy": "https://api.incident.io",
        "garbage": simulator.base_url,
    }[kind]
    if kind == "proxy":
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:{PROXY_PASSWORD}@127.0.0.1:{free_port()}")
    simulator.answer_with(200, mode="garbage")
    service = start(INCIDENTIO_BASE_URL=base)
    incident_id = service.report()
    deliver(service.services, incident_id)
    shown = service.ask("GET", f"/api/incidents/{incident_id}", headers=ADMIN).get_json()
    assert shown["timeline"][-1]["event"] == "attempt_failed"
    assert leaks(service.said() + kept_in(opened(locked))) == []


# -- Redis ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("when_down", "incident_io"), [("escalate", "down"), ("reject", "well")])
def test_a_redis_that_refuses_the_password(
    start: Start, simulator: Simulator, locked: EmbeddedRedis, when_down: str, incident_io: str
) -> None:
    if incident_io == "down":
        simulator.answer_with(500, body={"message": API_KEY})
    service = start(INCIDENTIO_BASE_URL=simulator.base_url, WHEN_DOWN=when_down)
    opened(locked).config_set("requirepass", "another")
    try:
        kill_connections(redis.Redis(port=locked.port, password="another"))
        statuses = {
            service.ask("POST", "/api/incidents", json={"title": "x"}, headers=BEARER).status_code,
            service.ask("POST", "/api/incidents", data="{", headers=BEARER).status_code,
            service.ask("GET", "/readyz").status_code,
            service.ask("GET", "/metrics").status_code,
            service.ask("GET", "/api/incidents", headers=ADMIN).status_code,
        }
        service.services.task_queue.enqueue("some-id", 0, [PAGER], "x")
    finally:
        redis.Redis(port=locked.port, password="another").config_set("requirepass", REDIS_PASSWORD)
    assert 503 in statuses
    assert leaks(service.said()) == []


def kill_connections(client: redis.Redis) -> None:
    client.client_kill_filter(skipme=True, _type="normal")


def test_messages_and_records_hold_no_secret(start: Start, locked: EmbeddedRedis) -> None:
    service = start(WAIT="1")
    service.report()
    service.report(incidentio_other_alert_source="db")
    kept = kept_in(opened(locked))
    assert kept.count("versus.deliver") == 2
    assert leaks(kept) == []


# -- the web process --------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", SECRETS[:5])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/incidents"),
        ("GET", "/api/incidents"),
        ("GET", "/readyz"),
        ("GET", "/api/ack/some-id?exp=1&sig=x"),
        ("POST", "/api/ack/some-id?exp=1&sig=x"),
    ],
)
def test_an_unexpected_exception_with_a_secret_in_its_text(
    start: Start, method: str, path: str, secret: str
) -> None:
    service = start()

    def broken() -> datetime:
        raise RuntimeError(f"cannot use {secret!r} or {url_of_nobody(secret)}")

    service.client = create_app(replace(service.services, clock=broken)).test_client()
    answer = service.ask(method, path, json={"title": "x"}, headers={**BEARER, **ADMIN})
    assert answer.status_code >= 400
    assert leaks(service.said()) == []
    if answer.status_code == 503:
        assert "<secret>" in service.log.getvalue()


def url_of_nobody(secret: str) -> str:
    return f"redis://:{quote(secret, safe='')}@nobody.example.com:6379/0"


def as_basic(secret: str) -> str:
    return "Basic " + base64.b64encode(f"versus:{secret}".encode()).decode()


def offers(secret: str) -> list[dict[str, Any]]:
    """Every way to send the intake secret, and proxies that repeat it in headers of their own."""
    query = {"token": secret}
    link = f"/api/incidents?token={secret}"
    return [
        {"headers": {"Authorization": f"Bearer {secret}"}},
        {"headers": {"Authorization": as_basic(secret)}},
        {"headers": {"Authorization": secret}},
        {"headers": {"X-Versus-Token": secret}},
        {"query_string": query},
        {"query_string": {"token": ["wrong", secret]}},
        {"query_string": query, "headers": {"Referer": f"https://versus.example.com{link}"}},
        {"query_string": query, "headers": {"X-Original-URI": link}},
        {"query_string": query, "headers": {"X-Forwarded-Uri": link}},
        {"query_string": query, "headers": {"Cookie": f"session={secret}"}},
    ]


@pytest.mark.parametrize("how", range(len(offers(""))))
@pytest.mark.parametrize(
    "secret", [INTAKE_SECRET, INTAKE_SECRET + "x", OLD_TOKEN], ids=["right", "nearly right", "of yesterday"]
)
def test_a_webhook_that_is_refused_with_an_intake_secret_in_it(
    start: Start, locked: EmbeddedRedis, how: int, secret: str
) -> None:
    service = start()
    answer = service.ask("POST", "/api/incidents", data='{"broken": ', **offers(secret)[how])
    assert answer.status_code in (400, 401)
    rejected = service.ask("GET", "/api/rejected", headers=ADMIN).get_json()["rejected"]
    assert len(rejected) == 1
    assert leaks(service.said() + kept_in(opened(locked))) == []


@pytest.mark.parametrize(
    ("header", "secret"),
    [
        ("Sentry-Hook-Signature", SENTRY_SECRET),
        ("X-Grafana-Alerting-Signature", GRAFANA_SECRET),
        ("X-Hub-Signature-256", GITHUB_SECRET),
    ],
)
@pytest.mark.parametrize("right", [True, False])
def test_a_signed_webhook(start: Start, locked: EmbeddedRedis, header: str, secret: str, right: bool) -> None:
    service = start()
    body = b'{"broken": '
    digest = hmac.new(secret.encode(), body if right else b"", hashlib.sha256).hexdigest()
    signature = f"sha256={digest}" if "Hub" in header else digest
    answer = service.ask("POST", "/api/incidents", data=body, headers={header: signature, "X-Secret": secret})
    assert answer.status_code == (400 if right else 401)
    [entry] = service.ask("GET", "/api/rejected", headers=ADMIN).get_json()["rejected"]
    service.ask("POST", f"/api/rejected/{entry['id']}/replay", headers=ADMIN)
    found = service.said() + kept_in(opened(locked))
    assert leaks(found) == []
    assert digest not in found


def test_a_wrong_gateway_secret_is_not_repeated(start: Start) -> None:
    service = start()
    for headers in (
        {"X-Gateway-Secret": GATEWAY_SECRET + "x"},
        {"Authorization": f"Bearer {GATEWAY_SECRET}"},
    ):
        assert service.ask("GET", "/api/incidents", headers=headers).status_code == 401
    assert leaks(service.said()) == []


# -- configuration ----------------------------------------------------------------------------------------

MISTAKES = {
    "a key in place of a port": "port: ${API_KEY}",
    "a key in place of a number": "oncall: {wait_minutes: '${API_KEY}'}",
    "a key in place of a switch": "oncall: {enable: '${API_KEY}'}",
    "a key in place of a block": "oncall: ${API_KEY}",
    "a key in place of a provider": "oncall: {enable: true, provider: '${API_KEY}'}",
    "a key with a line end": 'oncall: {incident_io: {api_key: "${API_KEY}\\n"}}',
    "a key as a config ID": "oncall: {incident_io: {alert_source_config_id: '${API_KEY}/x y'}}",
    "a list of keys": "oncall: {incident_io: {api_key: ['${API_KEY}', '${OTHER_KEY}']}}",
    "a mapping as a key": "oncall: {incident_io: {api_key: {value: '${API_KEY}'}}}",
    "a secret with a space at its end": 'gateway_secret: "${GATEWAY_SECRET} "',
    "a secret beyond ASCII": 'intake_secret: "${INTAKE_SECRET}\u00fc"',
    "a secret as a Redis port": "redis: {port: '${REDIS_PASSWORD}'}",
    "a secret as a Redis host": "redis: {host: 'user:${REDIS_PASSWORD}@host'}",
    "a Redis URL that is none": "redis: {url: 'redis://:${REDIS_PASSWORD}@host:port/x'}",
    "a Redis URL of another kind": "redis: {url: 'http://:${GATEWAY_SECRET}@host'}",
    "a password in a base URL": "oncall: {incident_io: {base_url: 'https://user:${API_KEY}@host'}}",
    "a template with a key": "oncall: {incident_io: {title: '{{ ${API_KEY} }} {% ${OTHER_KEY} %}'}}",
    "a public address with a secret": "public_host: 'https://x/?token=${INTAKE_SECRET}'",
    "broken YAML around a key": f"gateway_secret: {GATEWAY_SECRET}: {API_KEY}: [",
    "an alias that is a key": f"gateway_secret: *{GATEWAY_SECRET}",
    "a tag that is a key": f"gateway_secret: !{GATEWAY_SECRET} x",
    "two of the same": f"gateway_secret: {GATEWAY_SECRET}\ngateway_secret: {INTAKE_SECRET}",
    "a control character": f"gateway_secret: {GATEWAY_SECRET}\x07",
    "only a key": API_KEY,
}


@pytest.mark.parametrize("text", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_the_configuration(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError) as caught:
        configured(tmp_path, text, REDIS_PASSWORD=REDIS_PASSWORD)
    stated = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert leaks(stated) == []
    for name, value in (("API_KEY", API_KEY), ("OTHER_KEY", OTHER_KEY), ("REDIS_PASSWORD", REDIS_PASSWORD)):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GATEWAY_SECRET", GATEWAY_SECRET)
    monkeypatch.setenv("INTAKE_SECRET", INTAKE_SECRET)
    assert main(["check-config", "--config", str(tmp_path / "config.yaml")]) == 2
    output = capsys.readouterr()
    assert leaks(output.out + output.err) == []


@pytest.mark.parametrize("literal", [False, True])
def test_a_configuration_that_is_shown(
    tmp_path: Path, literal: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = YAML + f"redis: {{url: '{url_of_nobody(REDIS_PASSWORD)}'}}\n"
    planted = {"API_KEY": API_KEY, "OTHER_KEY": OTHER_KEY, "GATEWAY_SECRET": GATEWAY_SECRET}
    planted |= {
        "SENTRY_SECRET": SENTRY_SECRET,
        "GRAFANA_SECRET": GRAFANA_SECRET,
        "GITHUB_SECRET": GITHUB_SECRET,
    }
    for name, value in (planted | {"INTAKE_SECRET": INTAKE_SECRET}).items():
        monkeypatch.setenv(name, value)
        text = text.replace(f"${{{name}}}", value) if literal else text
    monkeypatch.delenv("REDIS_URL", raising=False)
    config = configured(tmp_path, text)
    assert main(["check-config", "--config", str(tmp_path / "config.yaml")]) == 0
    output = capsys.readouterr()
    assert "<secret>" in output.out
    assert leaks(output.out + output.err + repr(config) + str(config) + "".join(config.warnings)) == []


# -- the whole service in its own processes ---------------------------------------------------------------


@pytest.fixture
def stack(tmp_path: Path, locked: EmbeddedRedis) -> Iterator[Stack]:
    """What the Procfile starts, over the locked Redis and with an intake secret."""
    opened(locked).flushall()
    connection = {"host": "127.0.0.1", "port": locked.port, "password": REDIS_PASSWORD}
    stack = Stack(tmp_path, config={"intake_secret": INTAKE_SECRET, "redis": connection})
    try:
        yield stack.ready()
    finally:
        stack.stop()


def command_lines(stack: Stack) -> list[str]:
    """What the process list shows of the service."""
    lines: list[str] = []
    for process in (stack.web, *stack.workers):
        parent = psutil.Process(process.pid)
        for one in (parent, *parent.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                lines.append(" ".join([one.name(), *one.cmdline()]))
    return lines


def test_a_running_service_tells_nothing(stack: Stack, locked: EmbeddedRedis) -> None:
    simulator = stack.simulator
    simulator.answer_next(401, body={"errors": [{"message": f"bad key {API_KEY}"}]})
    refused = stack.report(0, token=INTAKE_SECRET)
    acknowledged = stack.report(600, token=INTAKE_SECRET)
    answers = [
        stack.acknowledge(acknowledged).text,
        str(stack.wait_for_state(refused, "failed")),
        stack.post({"title": "x"}, token=f"{INTAKE_SECRET}x").text,
        stack.post({"title": "x"}, token=OLD_TOKEN).text,
        stack.post([], token=INTAKE_SECRET).text,
    ]
    bad = f"X-Versus-Token {INTAKE_SECRET}"
    answers += [say(stack, f"GET /?token={one} HTTP/9.9", bad) for one in (INTAKE_SECRET, OLD_TOKEN)]
    # What a proxy says of the path is not believed; who is not logged in is led to the login.
    for one in (INTAKE_SECRET, OLD_TOKEN):
        asked = f"GET /?q=disk&token={one} HTTP/1.1"
        answers += [say(stack, asked, "Host: x", "SCRIPT_NAME: /elsewhere", "Connection: close")]
        assert "Location: /login?next=%2F%3Fq%3Ddisk" in answers[-1]
    lines = command_lines(stack)
    assert len(lines) >= 4
    kept = kept_in(opened(locked))
    lose_redis(stack, locked)
    assert leaks("\n".join([*answers, *lines, kept, stack.log.read_text()])) == []


def say(stack: Stack, *lines: str) -> str:
    """What gunicorn answers to a request of these lines."""
    host, port = stack.base.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return connection.recv(65536).decode()


def lose_redis(stack: Stack, locked: EmbeddedRedis) -> None:
    """Redis refuses the password for a while, and every process notices."""
    client = redis.Redis(port=locked.port, password="another")
    opened(locked).config_set("requirepass", "another")
    try:
        kill_connections(client)
        assert stack.post({"title": "x"}, token=INTAKE_SECRET).status_code == 202
        wait_until(lambda: "sweep_waits" in stack.log.read_text(), "the worker noticed")
        wait_until(lambda: "consumer" in stack.log.read_text(), "the worker's consumer noticed")
    finally:
        client.config_set("requirepass", REDIS_PASSWORD)
    wait_until(stack.is_ready, "well again")
