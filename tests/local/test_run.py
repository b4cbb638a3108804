"""`make run` and the `versus` beside it: each says which Redis it uses, and both use the same."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app import cli
from config import Config, load_config
from local import run
from local.embedded import EmbeddedRedis, free_port
from local.processes import ROOT
from tests.fakes import environment

COMPLETE = {name: value for name, value in environment("").items() if name != "REDIS_URL"}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Complete but for Redis, in a folder of its own; the environment says the same."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REDIS_URL", raising=False)
    for name, value in COMPLETE.items():
        monkeypatch.setenv(name, value)
    return load_config()


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedRedis]:
    """A Redis on the usual port that somebody else runs."""
    server = EmbeddedRedis(tmp_path / "other").start()
    monkeypatch.setattr(run, "USUAL_PORT", server.port)
    yield server
    server.kill()


def test_beside_another_redis_it_says_which_one_it_uses(
    config: Config, other: EmbeddedRedis, capsys: pytest.CaptureFixture[str]
) -> None:
    with ExitStack() as stack:
        url = run.redis_for(config, stack)["REDIS_URL"]
        out = capsys.readouterr().out
        assert url != other.url
        assert f"using an embedded one at {url}, data in ./data" in out
        assert f"listens on port {other.port}. If it is the Redis to use, set REDIS_URL=" in out
        assert cli.main(["list"]) == 0
        assert capsys.readouterr().err.startswith(f"No Redis is configured, so this asks {url}.\n")
    assert not cli.REDIS_OF_MAKE_RUN.exists()


def test_a_second_one_does_not_write_to_the_files_of_the_first(
    config: Config, other: EmbeddedRedis, capsys: pytest.CaptureFixture[str]
) -> None:
    with ExitStack() as first:
        url = run.redis_for(config, first)
        with ExitStack() as second:
            assert run.redis_for(config, second) == url
        assert "of another `make run` here" in capsys.readouterr().out
        # The end of the second did not take it away.
        assert cli.main(["list"]) == 0


def test_a_configured_redis_is_the_one(config: Config, other: EmbeddedRedis) -> None:
    configured = load_config(environ={**COMPLETE, "REDIS_URL": other.url})
    with ExitStack() as stack:
        assert run.redis_for(configured, stack) == {}


def test_before_make_run_every_command_says_what_is_missing(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    # As left behind by one that was killed.
    cli.REDIS_OF_MAKE_RUN.parent.mkdir()
    away = f"redis://127.0.0.1:{free_port()}/0"
    cli.REDIS_OF_MAKE_RUN.write_text(away)
    assert cli.main(["list"]) == 1
    err = capsys.readouterr().err
    assert f"No Redis is configured, so this asks {away}." in err
    assert "`make run` starts a Redis of its own: start it first, or set REDIS_URL." in err


def test_check_config_online_before_make_run_says_so_too(
    config: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INCIDENTIO_BASE_URL", f"http://127.0.0.1:{free_port()}")
    cli.REDIS_OF_MAKE_RUN.parent.mkdir()
    cli.REDIS_OF_MAKE_RUN.write_text(f"redis://127.0.0.1:{free_port()}/0")
    assert cli.main(["check-config", "--online"]) == 1
    [line] = [line for line in capsys.readouterr().out.splitlines() if " redis: " in line]
    assert line.startswith("error")
    assert "None is configured, so this asked redis://127.0.0.1:" in line
    assert "`make run` starts a Redis of its own" in line


def test_a_port_that_is_taken_is_said_in_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **COMPLETE, "PORT": port}
        done = subprocess.run(
            [sys.executable, "-m", "local.run"],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    assert f"Port {port} is taken: end what listens there, or set PORT." in done.stderr
    assert not (tmp_path / "data").exists()
