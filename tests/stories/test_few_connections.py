"""Story: a small plan of Redis takes 20 connections in all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import redis

from local.embedded import EmbeddedRedis
from tests.stories.stack import Stack, wait_until

CONNECTIONS = 20
INCIDENTS = 500
SENDERS = 32


def test_two_web_processes_and_a_worker_page_for_500_incidents(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path / "small").start()
    admin: Any = redis.Redis.from_url(server.url, decode_responses=True)
    admin.config_set("maxclients", CONNECTIONS)
    admin.config_resetstat()
    stack = Stack(tmp_path, config={"redis": {"host": "127.0.0.1", "port": server.port}})
    try:
        stack.ready()
        with ThreadPoolExecutor(SENDERS) as senders:
            incidents = list(senders.map(lambda _: stack.report(0), range(INCIDENTS)))
        expected = {incident["id"] for incident in incidents}
        assert len(expected) == INCIDENTS

        def paged() -> set[str]:
            return {event.body["deduplication_key"] for event in stack.simulator.events()}

        wait_until(lambda: paged() == expected, "every incident is paged")
        assert len(stack.simulator.events()) == INCIDENTS
        assert admin.info("stats")["rejected_connections"] == 0
        assert stack.is_ready()
    finally:
        stack.stop()
        server.kill()
