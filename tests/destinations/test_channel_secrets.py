"""Planted tokens of channels, channels that fail and tell what they know, and a search of what comes out."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
import redis

from app import bootstrap, telemetry
from app.bootstrap import Services
from app.cli import main
from app.delivery.notifications import notify
from app.web import create_app
from config import load_config
from local.embedded import free_port
from tests.destinations.standin import Answer, Got, StandIn
from tests.fakes import GATEWAY_SECRET
from tests.search import kept_in
from tests.test_secrets import encoded

PASSWORD = "planted-json-p@ss/7d01"
BOT = "123456789:planted_telegram_AAbbCCddEE1122334455"
SLACK = "xoxb-1111111111-planted-slack-9c2f"
SIGNING = "planted-signing-51fe8a0d"
HOOK = "planted0mattermost0hook012"
MAIL = "planted-smtp-p@ss-04ab"
ACCESS = "tk_planted_ntfy_8e61"
PLANTED = (PASSWORD, BOT, SLACK, SIGNING, HOOK, MAIL, ACCESS)

YAML = """
public_host: https://versus.example.com
gateway_secret: ${GATEWAY_SECRET}
alert:
  channels:
    - {name: json, url: "${JSON_URL}"}
    - {name: mattermost, url: "${MATTERMOST_URL}"}
    - {name: ntfy, url: "${NTFY_URL}"}
    - {name: tgram, url: "${TELEGRAM_URL}"}
  slack:
    enable: true
    token: ${TOKEN}
    channel_id: C0123456789
    signing_secret: ${SIGNING}
    base_url: ${SLACK_API}
  email:
    enable: true
    smtp_host: 127.0.0.1
    smtp_port: ${SMTP}
    username: v@example.com
    password: ${MAIL}
    to: a@example.com
"""


def leaks(text: str) -> list[str]:
    """The planted tokens that the text holds in any form."""
    return [secret for secret in PLANTED if any(form in text for form in encoded(secret))]


def variables(port: int) -> dict[str, str]:
    """The environment, with every channel at this port."""
    return {
        "GATEWAY_SECRET": GATEWAY_SECRET,
        "JSON_URL": f"json://user:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/x",
        "MATTERMOST_URL": f"mmost://127.0.0.1:{port}/{HOOK}",
        "NTFY_URL": f"ntfy://{ACCESS}@127.0.0.1:{port}/ops",
        "TELEGRAM_URL": f"tgram://{BOT}/1/",
        "TOKEN": SLACK,
        "SIGNING": SIGNING,
        "SLACK_API": f"http://127.0.0.1:{port}/api",
        "SMTP": str(free_port()),
        "MAIL": MAIL,
    }


def echo(status: int, got: Got) -> Answer:
    """An answer that tells all that a service was sent."""
    stated = {
        "ok": False,
        "error": f"{got.headers.get('Authorization', got.path)} was refused",
        "description": [*PLANTED],
    }
    return Answer(status, stated, {"Retry-After": "1", "X-Echo": got.headers.get("Authorization", "")})


@dataclass
class Service:
    """A service in this process, and all that it says."""

    services: Services
    log: io.StringIO
    answers: list[str]

    def run(self, redis_url: str) -> str:
        """A webhook, its messages, and questions about it; all that came out."""
        client = create_app(self.services).test_client()
        admin = {"X-Gateway-Secret": GATEWAY_SECRET}
        answer = client.post("/api/incidents", json={"title": "x"})
        incident_id = answer.get_json()["incident"]["id"]
        queued = kept_in(redis.Redis.from_url(redis_url))
        queues = self.services.store.notifications
        for destination in queues.channels():
            for waiting in queues.next(destination, self.services.clock(), 10):
                notify(self.services, destination, waiting)
        bad = ("channels=nobody", "slack_channel_id=x", "channels=ops>x")
        for one in (
            *(client.post(f"/api/incidents?{query}", json={"title": "x"}) for query in bad),
            client.post("/api/slack/interactions", data="payload={}", headers={"X-Slack-Signature": "v0=x"}),
            client.get(f"/api/incidents/{incident_id}", headers=admin),
            client.get("/api/rejected", headers=admin),
            client.get("/metrics"),
        ):
            self.answers.append(f"{one.headers}\n{one.text}")
        kept = kept_in(redis.Redis.from_url(redis_url))
        return "\n".join([self.log.getvalue(), answer.text, *self.answers, queued, kept])


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)


def started(folder: Path, environ: dict[str, str], log: io.StringIO) -> Service:
    file = folder / "config.yaml"
    file.write_text(YAML)
    config = load_config(file, environ)
    telemetry.configure(config.secrets(), log)
    return Service(bootstrap.build_services(config), log, [])


@pytest.mark.parametrize("secret", PLANTED)
def test_the_search_finds_what_is_there(secret: str) -> None:
    assert leaks(f"at https://x/{quote(secret, safe='')}/y") == [secret]


@pytest.mark.parametrize("status", [0, 302, 400, 401, 403, 404, 429, 500])
def test_channels_that_fail_tell_nothing(
    tmp_path: Path, redis_url: str, logged: io.StringIO, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    # Telegram's address is fixed, so it meets a proxy that is not there.
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with StandIn(lambda got: echo(status, got)).serving() as stand_in:
        port = stand_in.port if status else free_port()
        service = started(tmp_path, {**variables(port), "REDIS_URL": redis_url}, logged)
        found = service.run(redis_url)
        assert len(stand_in.got) >= 4 * bool(status)
    assert found.count("not_notified") >= 2 * len(service.services.channels.default) - 2
    assert leaks(found) == []


def test_check_config_and_previews_show_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(YAML)
    for name, value in {**variables(9), "REDIS_URL": redis_url}.items():
        monkeypatch.setenv(name, value)
    assert main(["check-config", "--config", str(file)]) == 0
    for name in ("json", "slack", "tgram", "email"):
        assert main(["preview", name, "--config", str(file)]) == 0
    output = capsys.readouterr()
    assert "<secret>" in output.out
    assert leaks(output.out + output.err) == []


@pytest.mark.parametrize("name", ["JSON_URL", "MATTERMOST_URL", "TELEGRAM_URL", "TOKEN"])
def test_an_address_that_is_wrong_is_not_shown(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    redis_url: str,
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(YAML)
    for key, value in {**variables(9), "REDIS_URL": redis_url}.items():
        monkeypatch.setenv(key, f"nonsense{json.dumps([*PLANTED])}" if key == name else value)
    assert main(["check-config", "--config", str(file)]) == 2
    output = capsys.readouterr()
    assert leaks(output.out + output.err) == []
    assert "alert." in output.err + output.out
