"""Every way in which a Redis answers and refuses: those that a real one can be brought to, and any words."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

from local.embedded import EmbeddedRedis, free_port
from tests.relay import Relay

PASSWORD = "rotated-pw-5b1"


class Refusing(Relay):
    """Passes on to a real server, or answers every command with the same error."""

    def __init__(self, target_port: int) -> None:
        super().__init__(target_port)
        self._answer: str | None = None
        self._refused: list[socket.socket] = []

    def answer(self, words: str | None) -> None:
        """What every command is answered from now on; None: what the server says."""
        self._answer = words
        self.cut()
        for client in self._refused:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        self._refused.clear()

    def _serve(self, client: socket.socket) -> None:
        if self._answer is None:
            super()._serve(client)
            return
        self._refused.append(client)
        error = f"-{self._answer}\r\n".encode()
        with client, contextlib.suppress(OSError):
            while said := client.recv(65536):
                client.sendall(error * len(re.findall(rb"^\*\d+\r\n", said, re.MULTILINE)))


class Refusal:
    """A state of Redis in which it refuses. `words`: what it says then."""

    def __init__(
        self, words: str, begin: Callable[[Any, Path], object], end: Callable[[Any, Path], object]
    ) -> None:
        self.words = words
        self.begin = begin
        self.end = end


def _client(server: EmbeddedRedis, password: str | None = None) -> Any:
    return redis.Redis(host="127.0.0.1", port=server.port, password=password)


def _set(name: str, value: str) -> Callable[[Any, Path], object]:
    return lambda client, _: client.config_set(name, value)


def _fail_to_save(client: Any, folder: Path) -> None:
    # The file can't take the place of a directory that is not empty.
    (folder / "dump.rdb" / "in-the-way").mkdir(parents=True)
    client.config_set("save", "3600 1")
    client.bgsave()
    while client.info("persistence")["rdb_bgsave_in_progress"]:
        pass


def _save(client: Any, folder: Path) -> None:
    (folder / "dump.rdb" / "in-the-way").rmdir()
    (folder / "dump.rdb").rmdir()
    client.config_set("save", "")


def _rotate(client: Any, _: Path) -> None:
    client.config_set("requirepass", PASSWORD)
    client.client_kill_filter(skipme=True, _type="normal")


REFUSALS = {
    "demoted": Refusal(
        "read only replica",
        lambda client, _: client.replicaof("127.0.0.1", free_port()),
        lambda client, _: client.replicaof("NO", "ONE"),
    ),
    "too few replicas": Refusal(
        "Not enough good replicas",
        _set("min-replicas-to-write", "1"),
        _set("min-replicas-to-write", "0"),
    ),
    "full": Refusal("command not allowed when used memory", _set("maxmemory", "1"), _set("maxmemory", "0")),
    "a failed save": Refusal("MISCONF", _fail_to_save, _save),
    "no right to write": Refusal(
        "no permissions",
        lambda client, _: client.execute_command("ACL", "SETUSER", "default", "-@write"),
        lambda client, _: client.execute_command("ACL", "SETUSER", "default", "+@all"),
    ),
    "another password": Refusal("it refuses the user name or the password", _rotate, _set("requirepass", "")),
}
"""What a real server does."""

READABLE = [name for name in REFUSALS if name != "another password"]
"""Where what is stored can still be read."""

WORDS = (
    "LOADING Redis is loading the dataset in memory",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "CLUSTERDOWN The cluster is down",
    "WRONGPASS invalid username-password pair or user is disabled.",
    "NEVERHEARD of this one",
)
"""What any server may say, to every command."""


def begin(name: str, server: EmbeddedRedis, folder: Path, relay: Refusing) -> None:
    """Let Redis refuse from now on."""
    if name in REFUSALS:
        REFUSALS[name].begin(_client(server), folder)
    else:
        relay.answer(name)


def end(name: str, server: EmbeddedRedis, folder: Path, relay: Refusing) -> None:
    """Let it work again."""
    if name in REFUSALS:
        password = PASSWORD if name == "another password" else None
        REFUSALS[name].end(_client(server, password), folder)
    else:
        relay.answer(None)
