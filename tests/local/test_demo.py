"""`make demo`: it finds a port, reaches nothing outside, and ends without a trace."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from local.embedded import free_port
from local.two_stories import listening
from tests.stories.stack import wait_until

UP = "Everything is up"
# Would page elsewhere, and notify somebody, if the demo read them.
OTHER_SETTINGS = {
    "INCIDENTIO_BASE_URL": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "ONCALL_ENABLE": "false",
    "SLACK_ENABLE": "true",
    "REDIS_URL": "redis://127.0.0.1:9/0",
}


class Running:
    """A demo in a process group of its own, as in a terminal."""

    def __init__(self, folder: Path, **variables: str) -> None:
        folder.mkdir(exist_ok=True)
        self._output = folder / "output"
        environ = {"PATH": os.environ["PATH"], "HOME": str(folder), **OTHER_SETTINGS, **variables}
        (folder / ".env").write_text("SLACK_TOKEN=planted\nGATEWAY_SECRET=planted\n")
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "local.demo"],
                cwd=folder,
                env=environ,
                stdout=output,
                stderr=output,
                process_group=0,
            )

    def said(self) -> str:
        return self._output.read_text()

    def wait_for(self, words: str) -> None:
        wait_until(lambda: words in self.said() or self.process.poll() is not None, words)
        assert words in self.said(), self.said()

    def interrupt(self) -> None:
        """Ctrl-C reaches the whole group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


@contextmanager
def taken(port: int) -> Iterator[None]:
    """Something listens there and never answers."""
    with socket.socket() as other:
        other.bind(("0.0.0.0", port))
        other.listen()
        yield


def test_two_at_once_both_come_out_right_with_any_provider(tmp_path: Path) -> None:
    port = free_port()
    both = [
        Running(tmp_path / name, PORT=str(port), DEMO_EXIT="1", DEMO_PROVIDER=name)
        for name in ("incident_io", "pagerduty")
    ]
    for one in both:
        assert one.process.wait(90) == 0, one.said()
    said = sorted(one.said().partition("\n")[0] for one in both)
    assert [f"Port {port} is taken, so this is at http://127.0.0.1:" in line for line in said].count(
        True
    ) == 1
    assert all(one.said().count("✔") == 2 for one in both)


def test_it_listens_on_this_machine_alone(tmp_path: Path) -> None:
    demo = Running(tmp_path, PORT=str(free_port()))
    try:
        demo.wait_for(UP)
        members = [psutil.Process(demo.process.pid), *demo.family()]
        doors = {
            door.laddr.ip
            for one in members
            for door in one.net_connections("tcp")
            if door.status == psutil.CONN_LISTEN
        }
    finally:
        demo.interrupt()
        demo.process.wait(60)
    assert doors == {"127.0.0.1"}


@pytest.mark.parametrize("moment", ["are starting", UP, "Somebody acknowledges"])
@pytest.mark.parametrize("times", [1, 3])
def test_ctrl_c_ends_it_at_any_moment_and_leaves_nothing(moment: str, times: int, tmp_path: Path) -> None:
    demo = Running(tmp_path, PORT=str(free_port()))
    demo.wait_for(moment)
    family = demo.family()
    for _ in range(times):
        demo.interrupt()
    assert demo.process.wait(60) == 130
    assert "Traceback" not in demo.said()
    assert "Exception" not in demo.said()
    assert family
    wait_until(lambda: not any(one.is_running() for one in family), "its processes have ended")


def test_a_port_that_is_taken_in_whatever_way_is_left_alone() -> None:
    port = free_port()
    with taken(port), listening(port) as door:
        assert door.getsockname()[0] == "127.0.0.1"
        assert door.getsockname()[1] != port
    with listening(port) as door:
        assert door.getsockname()[1] == port
