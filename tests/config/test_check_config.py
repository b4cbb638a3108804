"""`versus check-config`, and what else the command line says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from app import __version__
from app.cli import main

CREDENTIALS = {"INCIDENTIO_API_KEY": "planted-key", "INCIDENTIO_ALERT_SOURCE_CONFIG_ID": "source-1"}


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of its own, with credentials in the environment."""
    monkeypatch.chdir(tmp_path)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    for name in ("PORT", "VERSUS_CONFIG", "REDIS_URL", "GATEWAY_SECRET", "ONCALL_ENABLE", "ONCALL_PROVIDER"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_it_shows_what_is_in_force(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (directory / "mine.yaml").write_text("port: 4000\noncall: {enable: true}\nagent: {}\n")
    assert main(["check-config", "--config", "mine.yaml"]) == 0
    out, err = capsys.readouterr()
    shown = yaml.safe_load(out)
    assert (shown["port"], shown["oncall"]["incident_io"]["api_key"]) == (4000, "<secret>")
    assert [line.partition(" ")[0] for line in err.splitlines()] == ["warning:", "warning:"]
    assert "planted" not in out + err


def test_it_ends_with_2_and_every_sentence(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (directory / "mine.yaml").write_text("port: planted\nnmae: x\n")
    assert main(["check-config", "--config", "mine.yaml"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split()[0] for line in err.splitlines()] == ["nmae", "port"]
    assert "planted" not in err


def test_it_takes_the_file_from_the_environment(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VERSUS_CONFIG", "other.yaml")
    assert main(["check-config"]) == 2
    assert "other.yaml" in capsys.readouterr().err


def test_it_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"versus {__version__}\n"


def test_it_wants_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    assert "command" in capsys.readouterr().err
