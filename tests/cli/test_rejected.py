"""`versus rejected`: what was refused, for eyes and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.cli import main
from app.store import Store
from local.embedded import free_port
from tests.fakes import Clock


@pytest.fixture
def config(tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A configuration file with this Redis in it."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    path = tmp_path / "config.yaml"
    path.write_text(f"redis: {{url: '{redis_url}'}}\n")
    return str(path)


@pytest.fixture
def refused(store: Store, clock: Clock) -> list[str]:
    """The IDs of two rejected bodies, the second one twice."""
    about = {"remote_address": "10.0.0.7", "headers": {}, "query": {}}
    first = store.rejected.add(
        b"first", clock(), error="It is broken.", status=400, about=about, most_bytes=10**9
    )
    for _ in range(2):
        now = clock.wind(minutes=1)
        second = store.rejected.add(
            b"\x1b[31m\nred", now, error="No secret.", status=401, about=about, most_bytes=10**9
        )
    return [first, second]


def test_it_lists_the_one_refused_last_first(
    config: str, refused: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rejected", "--config", config]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "2026-03-04T03:02:00.000Z     2x 401 No secret.",
        f"    {refused[1]} from 10.0.0.7, 9 bytes: [31m red",
        "2026-03-04T03:00:00.000Z     1x 400 It is broken.",
        f"    {refused[0]} from 10.0.0.7, 5 bytes: first",
    ]


def test_programs_get_whole_entries(
    config: str, refused: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rejected", "--config", config, "--json", "--limit", "1"]) == 0
    [line] = capsys.readouterr().out.splitlines()
    entry = json.loads(line)
    assert (entry["id"], entry["count"], entry["body"]) == (refused[1], 2, "\x1b[31m\nred")


def test_where_nothing_was_refused_it_says_nothing(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rejected", "--config", config]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("limit", ["0", "1001", "x"])
def test_a_bad_limit_ends_it(config: str, limit: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["rejected", "--config", config, "--limit", limit])
    assert ended.value.code == 2
    assert "--limit" in capsys.readouterr().err


def test_without_redis_it_ends_with_1_and_a_sentence(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(config).write_text(f"redis: {{url: 'redis://127.0.0.1:{free_port()}'}}\n")
    assert main(["rejected", "--config", config]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith(".\n")
    assert "Redis" in err
