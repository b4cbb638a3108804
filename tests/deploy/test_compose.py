"""compose.yaml: the image's processes, and a Valkey that keeps its data."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from local.embedded import free_port, server_binary
from local.processes import ROOT
from tests.stories.stack import wait_until

SERVICES: Mapping[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
VALKEY: Mapping[str, Any] = SERVICES["valkey"]


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[redis.Redis]:
    """A server with the words of compose.yaml."""
    port = free_port()
    program, *words = VALKEY["command"]
    assert program == "valkey-server"
    here = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(tmp_path)]
    server = subprocess.Popen([server_binary(), *words, *here], stdout=subprocess.DEVNULL)
    with redis.Redis(port=port, decode_responses=True) as client:
        wait_until(lambda: answers(client), "Valkey answers")
        yield client
    server.kill()
    server.wait()


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def test_valkey_loses_nothing_and_throws_nothing_away(valkey: redis.Redis) -> None:
    settings: Any = valkey.config_get("appendonly", "appendfsync", "maxmemory-policy")
    assert settings == {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}
    assert VALKEY["volumes"] == ["valkey:/data"]


@pytest.mark.parametrize("name", ["web", "worker"])
def test_a_process_is_one_of_the_image_and_can_do_no_more_than_it_must(name: str) -> None:
    process = SERVICES[name]
    assert process["command"] == [name]
    assert process["environment"]["REDIS_URL"] == "redis://valkey:6379/0"
    assert process["env_file"] == [".env"]
    assert process["read_only"]
    assert process["tmpfs"] == ["/tmp"]
    assert process["cap_drop"] == ["ALL"]
    assert process["stop_grace_period"] == "40s"


def test_only_web_is_reachable_and_from_this_machine_alone() -> None:
    published = {name: service.get("ports", []) for name, service in SERVICES.items()}
    assert published == {"web": ["${PUBLISH:-127.0.0.1:3000}:3000"], "worker": [], "valkey": []}
