"""Story: web may open few files, and more clients are connected than there are files."""

from __future__ import annotations

import resource
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
import requests

from local.processes import ROOT, procfile, with_our_programs
from tests.stories.stack import Stack, wait_until

FILES = 64
CLIENTS = 200


class FewFiles(Stack):
    """Its web processes may have so many files open."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.web.stop()
        with self.log.open("ab") as log:
            self.few = subprocess.Popen(
                procfile()["web"].replace("'", "").split(),
                cwd=ROOT,
                env=with_our_programs(self._environ),
                stdout=log,
                stderr=log,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES)),
            )
        self._parts.callback(self.few.wait)
        self._parts.callback(self.few.kill)

    def children(self) -> set[int]:
        return {child.pid for child in psutil.Process(self.few.pid).children()}

    def connected(self) -> socket.socket:
        host, port = self.base.removeprefix("http://").split(":")
        return socket.create_connection((host, int(port)), timeout=60)


@pytest.fixture
def few(tmp_path: Path) -> Iterator[FewFiles]:
    stack = FewFiles(tmp_path)
    try:
        stack.ready()
        yield stack
    finally:
        stack.stop()


def test_every_sender_that_stays_connected_is_answered(few: FewFiles) -> None:
    children = few.children()
    assert len(children) == 2
    with ExitStack() as held:
        for number in range(CLIENTS):
            session = held.enter_context(requests.Session())
            answer = session.post(
                f"{few.base}/api/incidents", json={"title": f"Disk {number} full"}, timeout=60
            )
            assert answer.status_code == 201, answer.text
    assert few.children() == children
    assert few.few.poll() is None


def test_a_crowd_that_sends_nothing_ends_no_process(few: FewFiles) -> None:
    children = few.children()
    with ExitStack() as held:
        for _ in range(CLIENTS):
            held.enter_context(few.connected())
        # They fill what web accepts; nothing is answered then, and nothing ends.
        wait_until(
            lambda: all(psutil.Process(child).num_fds() >= FILES // 2 for child in children),
            "web has accepted what it can",
        )
        assert few.children() == children
    wait_until(lambda: few.post({"title": "Disk full"}).status_code == 201, "web answers again")
    assert few.children() == children
