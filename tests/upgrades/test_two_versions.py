"""The released version, from its source archive, works on what the code as it is now stored; nothing is lost.

Before the first release it is the last commit.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from local.release import RELEASED, git, source_archive
from tests.upgrades import scene
from tests.upgrades.shape import NEWER, lost
from tests.upgrades.test_unknown_fields import make_newer


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """The folder of the released version."""
    tags = git("tag", "--list", RELEASED, "--sort=-version:refname", "--merged").split()
    archive = source_archive(tags[0] if tags else "HEAD", "older", tmp_path)
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    return tmp_path / "older"


def test_it_goes_on_with_what_a_newer_one_stored(older: Path, redis_url: str) -> None:
    cast, client = scene.Cast(redis_url), scene.client(redis_url)
    played = scene.play(cast)
    keys = {word: f"versus:incident:{one}" for word, one in played.items()}
    before = {word: make_newer(client, key) for word, key in keys.items()}

    said = subprocess.run(
        [sys.executable, "-m", "tests.upgrades.older", redis_url],
        cwd=older,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(older)},
        capture_output=True,
        text=True,
    )
    assert said.returncode == 0, said.stderr
    theirs = json.loads(said.stdout.splitlines()[-1])["states"]

    assert {word: theirs[one] for word, one in played.items()} == scene.states(cast, played)
    assert theirs[played["pending"]] == theirs[played["successor"]] == "escalated"
    assert theirs[played["acknowledged"]] == "acknowledged"
    for word, key in keys.items():
        now = client.hgetall(key)
        # What is done to one that is continued is done to its successor.
        assert now["v"] != before[word]["v"] or word == "continued", f"{word} was written"
        assert lost(json.loads(before[word]["doc"]), json.loads(now["doc"])) == [], word
        assert now["newer"] == "1"
    heard = json.loads(client.hgetall(keys["pending"])["channel:ops"])
    assert NEWER.items() <= heard.items()
    assert heard["attempts"] == 2
