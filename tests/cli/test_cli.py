"""`versus`: what people and programs get from each command, against a real Redis."""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.bootstrap import Services, build_services
from app.cli import main
from app.cli.parser import parser
from app.domain.alert import Alert
from app.domain.incident import Incident
from app.domain.state import State
from config import load_config
from local.embedded import free_port
from local.processes import with_our_programs
from tests.destinations.standin import StandIn
from tests.factories import receive_one
from tests.fakes import PAGER

DOCUMENT = Path(__file__).parents[2] / "docs" / "cli.md"
NASTY = "[bold]Disk[/bold]\x1b[31m full\nsecond line"


@pytest.fixture
def service() -> Iterator[StandIn]:
    with StandIn().serving() as stand_in:
        yield stand_in


@pytest.fixture
def config(tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch, service: StandIn) -> Path:
    """A configuration file with this Redis and a channel in it."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    path = tmp_path / "config.yaml"
    path.write_text(
        f"redis: {{url: '{redis_url}'}}\n"
        f"alert: {{channels: [{{name: ops, url: 'json://127.0.0.1:{service.port}/planted-token'}}]}}\n"
    )
    return path


@pytest.fixture
def whole(config: Path) -> Services:
    """The services that commands build."""
    return build_services(load_config(config, {}))


def create(services: Services, **about: Any) -> Incident:
    return receive_one(services, payload='{"planted": 1}', **about)


class Shell:
    """Runs commands and keeps what they wrote."""

    def __init__(self, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._config, self._capsys = config, capsys
        self.status, self.out, self.err = 0, "", ""

    def run(self, *words: str) -> list[str]:
        self.status = main([*words, "--config", str(self._config)])
        self.out, self.err = self._capsys.readouterr()
        assert "planted-token" not in self.out + self.err
        return self.out.splitlines()

    def json(self, *words: str) -> list[Any]:
        return [json.loads(line) for line in self.run(*words, "--json")]


@pytest.fixture
def shell(config: Path, capsys: pytest.CaptureFixture[str], log: io.StringIO) -> Shell:
    return Shell(config, capsys)


def test_list_shows_the_newest_first_and_what_is_asked_for(shell: Shell, whole: Services) -> None:
    first = create(whole, severity="critical")
    second = create(whole, title="CPU hot", service="shop", source="sentry")
    assert [line.split("\t")[0] for line in shell.run("list")] == [second.id, first.id]
    assert [one["id"] for one in shell.json("list", "--severity", "critical")] == [first.id]
    for words in (["cpu"], ["--service", "shop"], ["--source", "sentry"]):
        assert [one["id"] for one in shell.json("list", *words)] == [second.id]
    assert shell.json("list", "--state", "resolved") == []
    assert len(shell.json("list", "--limit", "1")) == 1
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert shell.json("list", "--since", tomorrow) == []
    assert len(shell.json("list", "--until", tomorrow)) == 2


def test_list_says_when_there_is_nothing(shell: Shell, whole: Services) -> None:
    assert shell.run("list") == []
    assert "versus send-test" in shell.err
    create(whole)
    assert shell.run("list", "--state", "resolved") == []
    assert shell.err == "No incidents match.\n"


def test_list_fits_a_terminal_of_80_columns(
    shell: Shell, whole: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    incident = create(whole, title="Disk of the database is full " * 4, severity="critical")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    heading, line = shell.run("list")
    assert max(len(heading), len(line)) <= 80
    assert line.startswith(f"{incident.id[:8]} ")
    assert re.search(r"Disk of the database.*…", line)
    assert re.search(r"critical +open", line)


def test_what_strangers_wrote_does_nothing_to_a_terminal(shell: Shell, whole: Services) -> None:
    incident = create(whole, title=NASTY.split("\n")[0], description=NASTY)
    for words in (["list"], ["show", incident.id], ["explain", incident.id], ["ack", incident.id]):
        shell.run(*words)
        assert "\x1b" not in shell.out


def test_show_tells_everything(shell: Shell, whole: Services) -> None:
    incident = create(whole)
    shown = "\n".join(shell.run("show", incident.id))
    assert "state: open" in shown
    assert " received from grafana" in shown
    [one] = shell.json("show", incident.id[:8])
    assert (one["id"], one["payload"]) == (incident.id, {"planted": 1})


def test_explain_tells_why(shell: Shell, whole: Services) -> None:
    incident = create(whole)
    lines = shell.run("explain", incident.id)
    assert lines[0] == "No page: the alert came in without on-call."
    assert lines[-1] == "Next: nothing; there is nothing to send to the provider."
    [one] = shell.json("explain", incident.id)
    assert one["explanation"] == lines


@pytest.mark.parametrize(
    ("command", "state"),
    [("ack", State.ACKNOWLEDGED), ("resolve", State.RESOLVED), ("escalate", State.PENDING)],
)
def test_people_can_act(shell: Shell, whole: Services, command: str, state: State) -> None:
    incident = create(whole)
    [line] = shell.run(command, incident.id, "--by", "Dana")
    assert (shell.status, incident.id in line) == (0, True)
    now = whole.store.incidents.require(incident.id)
    assert now.state is state
    assert "by Dana" in now.timeline[-1].detail
    assert shell.json(command, incident.id)[0]["id"] == incident.id or shell.status == 1


def test_what_is_not_allowed_is_said_and_ends_with_1(shell: Shell, whole: Services) -> None:
    incident = create(whole)
    shell.run("resolve", incident.id)
    assert shell.run("ack", incident.id) == []
    assert (shell.status, "resolved already" in shell.err) == (1, True)


@pytest.mark.parametrize("wanted", ["nothing", "0000", "x"])
def test_an_id_that_stands_for_nothing_is_said(shell: Shell, whole: Services, wanted: str) -> None:
    create(whole)
    shell.run("show", wanted)
    assert (shell.status, "no such incident" in shell.err) == (1, True)


def test_an_id_that_stands_for_several_is_said(shell: Shell, whole: Services) -> None:
    alert = Alert(title="Disk full", source="grafana")
    now = whole.clock()
    twins = [Incident.opened(f"abcd-{n}", alert, now, due_at=None, pager=PAGER) for n in range(2)]
    whole.update(lambda unit: [unit.save(one, "{}") for one in twins])
    shell.run("show", "abcd")
    assert (shell.status, "2 incidents have an ID that begins with abcd" in shell.err) == (1, True)


def test_preview_shows_every_message_and_sends_nothing(shell: Shell, service: StandIn) -> None:
    shell.run("preview", "ops")
    for event in ("created", "acknowledged", "escalated", "failed", "resolved", "summary"):
        assert f"== {event} (text): " in shell.out
    assert "Pages at 2026-03-04 03:03:00 UTC unless somebody acknowledges." in shell.out
    assert service.got == []


def test_preview_of_a_payload_and_one_event(shell: Shell, tmp_path: Path) -> None:
    payload = tmp_path / "payload.json"
    payload.write_text('{"title": "Queue is long", "severity": "low"}')
    [one] = shell.json("preview", "ops", str(payload), "--event", "created")
    assert (one["event"], one["title"]) == ("created", "New incident: Queue is long")


def test_preview_can_send(shell: Shell, service: StandIn) -> None:
    shell.run("preview", "ops", "--event", "failed", "--send")
    assert (shell.status, len(service.got), "failed: sent" in shell.err) == (0, 1, True)


@pytest.mark.parametrize(
    ("content", "words"), [(None, "can't be read"), ("{", "is not JSON"), ("[]", "must hold one JSON object")]
)
def test_preview_of_a_bad_file_is_said(shell: Shell, tmp_path: Path, content: str | None, words: str) -> None:
    payload = tmp_path / "payload.json"
    if content is not None:
        payload.write_text(content)
    shell.run("preview", "ops", str(payload))
    assert (shell.status, words in shell.err) == (1, True)


def test_preview_of_an_unknown_channel_lists_the_names(shell: Shell) -> None:
    shell.run("preview", "slack")
    assert (shell.status, "the names are ops" in shell.err) == (1, True)


def test_send_test_to_nobody_is_said(shell: Shell) -> None:
    shell.run("send-test", "--url", f"http://127.0.0.1:{free_port()}")
    assert (shell.status, "Web does not answer" in shell.err) == (1, True)


def test_send_test_tells_what_web_answers(shell: Shell, service: StandIn) -> None:
    [answer] = shell.json("send-test", "--url", service.base, "--channels", "ops")
    assert answer == {}
    [got] = service.got
    assert got.path == "/api/incidents?oncall_enable=false&channels=ops"
    assert got.json["severity"] == "info"


# -- help -------------------------------------------------------------------------------------------------


def helps() -> dict[str, str]:
    """The help of each command."""
    [commands] = [a for a in parser()._actions if isinstance(a, argparse._SubParsersAction)]
    return {name: command.format_help() for name, command in commands.choices.items()}


def test_every_command_has_an_example_that_is_understood() -> None:
    for name, text in helps().items():
        example = text.partition("example:\n")[2].splitlines()[0].split()
        assert example[:2] == ["versus", name]
        parser().parse_args(example[1:])
        assert "exit status: 0 done" in text


def test_the_page_about_the_command_line_is_what_the_program_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    page = DOCUMENT.read_text()
    for name, text in helps().items():
        assert f"## versus {name}\n" in page
        assert text.strip() in page, f"docs/cli.md is old: COLUMNS=100 versus {name} --help"


def test_bash_takes_the_completion() -> None:
    bash = [
        'eval "$(versus --print-completion bash)"',
        "COMP_WORDS=(versus ex)",
        "COMP_CWORD=1",
        "_shtab_versus",
        'echo "${COMPREPLY[@]}"',
    ]
    completed = subprocess.run(
        ["bash", "-c", "; ".join(bash)],
        env=with_our_programs(dict(os.environ)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert completed.stdout.split() == ["explain"]


def test_route_says_which_rule_decides_and_needs_no_redis(tmp_path: Path) -> None:
    rules = {"name": "db team", "match": {"service": "db"}, "alert_source": "infra", "wait_minutes": 1}
    file = tmp_path / "config.yaml"
    provider = {
        "api_key": "${KEY}",
        "alert_source_config_id": "a",
        "other_alert_source_config_ids": {"infra": "b"},
    }
    file.write_text(json.dumps({"oncall": {"enable": True, "incident_io": provider, "rules": [rules]}}))
    body = tmp_path / "body.json"
    body.write_text('[{"title": "Down", "service": "db"}, {"title": "Up", "status": "resolved"}]')
    versus = [Path(sys.executable).parent / "versus", "route", body, "--config", file]
    more = ["--at", "2026-03-04T03:00:00Z", "--param", "oncall_wait_minutes=5"]
    environ = {"KEY": "planted-key-1234", "PATH": os.environ["PATH"]}

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        done = [*map(str, versus), *options]
        return subprocess.run(done, capture_output=True, text=True, cwd=tmp_path, env=environ, check=False)

    words = run(*more)
    assert words.stdout.splitlines() == [
        "Down (generic, db)",
        "    decided by: the rule 'db team'",
        "    notifies: nobody",
        "    it pages through infra after 5 minutes unless acknowledged, due at 2026-03-04T03:05:00.000Z",
        "Up (generic)",
        "    it opens no incident: it is resolved",
    ]
    assert json.loads(run(*more, "--json").stdout.splitlines()[0])["rule"] == "db team"
    wrong = run("--param", "oncall_wait=5")
    assert (wrong.returncode, "the nearest one is oncall_wait_minutes" in wrong.stderr) == (1, True)
