"""Story: standard output and error are a pipe that nobody reads. Webhooks are answered, and pages go out."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
import requests

from local.processes import Process
from tests.stories.stack import DEADLINE, Stack, wait_until

WEBHOOKS = 1000
PAGED_EVERY = 20
# What they log is many times as much as the pipe takes.
PIPE_BYTES = 4096


class Unread(Stack):
    """A service whose processes write into a pipe that is read when a test asks for it."""

    def __init__(self, folder: Path) -> None:
        read_end, write_end = os.pipe()
        fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self.reader = os.fdopen(read_end, errors="replace")
        self._output: IO[bytes] = os.fdopen(write_end, "wb", buffering=0)
        super().__init__(folder)

    def start(self, name: str, **environ: str) -> Process:
        process = Process(name, {**self._environ, **environ}, self._output)
        self._parts.callback(process.kill)
        return process

    def read(self) -> list[str]:
        """All that they have written and still write; they must have ended or end soon."""
        self._output.close()
        with self.reader:
            return self.reader.read().splitlines()


@pytest.fixture
def unread(tmp_path: Path) -> Iterator[Unread]:
    stack = Unread(tmp_path)
    try:
        wait_until(stack.is_ready, "the service is ready")
        yield stack
    finally:
        stack.stop()


def send(stack: Unread) -> list[str]:
    """The IDs of those that page."""
    paged: list[str] = []
    with requests.Session() as session:
        for number in range(WEBHOOKS):
            wait = 0 if number % PAGED_EVERY == 0 else 60
            answer = session.post(
                f"{stack.base}/api/incidents",
                json={"title": f"Disk {number} full"},
                params={"oncall_wait_minutes": wait},
                timeout=60,
            )
            assert answer.status_code == 201, answer.text
            if wait == 0:
                paged.append(answer.json()["incident"]["id"])
    return paged


def test_webhooks_are_answered_and_pages_go_out(unread: Unread) -> None:
    paged = send(unread)
    assert len(paged) == WEBHOOKS / PAGED_EVERY
    for incident_id in paged:
        unread.wait_for_state({"id": incident_id}, "escalated")
    assert unread.is_ready()
    # The end of a process, too, is not held up.
    assert unread.web.stop() == 0
    assert unread.workers[0].stop() == 0


def test_once_it_is_read_nothing_is_missing(unread: Unread) -> None:
    paged = send(unread)
    for incident_id in paged:
        unread.wait_for_state({"id": incident_id}, "escalated")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.extend(unread.read()))
    reader.start()
    unread.web.stop()
    unread.workers[0].stop()
    reader.join(DEADLINE)
    assert not reader.is_alive()
    sent = [line for line in read if "event=event_sent" in line]
    assert [one for one in paged if not any(one in line for line in sent)] == []
    assert not any("log_lines_dropped" in line for line in read)
    assert any('words="worker: Warm shutdown (MainProcess)"' in line for line in read)
