"""A Redis with a replica, and three sentinels that make the replica the master when the master dies."""

from __future__ import annotations

import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import redis
from redis.sentinel import Sentinel

from local.embedded import free_port, server_binary
from tests.stories.stack import wait_until

PASSWORD = "redis-pw-7f/2@x"
SENTINEL_PASSWORD = "sentinel-pw-5e1?#"
MASTER = "pager"

SERVER = f"""
bind 127.0.0.1
port {{port}}
dir {{folder}}
requirepass "{PASSWORD}"
"""
REDIS = f"""
masterauth "{PASSWORD}"
appendonly yes
save ""
repl-diskless-sync-delay 0
"""
SENTINEL = f"""
sentinel monitor {MASTER} 127.0.0.1 {{master}} 2
sentinel auth-pass {MASTER} "{PASSWORD}"
sentinel sentinel-pass "{SENTINEL_PASSWORD}"
sentinel down-after-milliseconds {MASTER} 1000
sentinel failover-timeout {MASTER} 5000
"""


class Sentinels:
    """All five processes; `url` is what a user would configure."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parts = ExitStack()
        self._ports = {name: free_port() for name in ("master", "replica", "one", "two", "three")}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        ports = [self._ports[name] for name in ("one", "two", "three")]
        self._sentinel = Sentinel(  # type: ignore[no-untyped-call]
            [("127.0.0.1", port) for port in ports], sentinel_kwargs={"password": SENTINEL_PASSWORD}
        )
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        self.url = (
            f"sentinel://:redis-pw-7f%2F2%40x@{hosts}/0"
            f"?master_name={MASTER}&sentinel_password=sentinel-pw-5e1%3F%23"
        )

    def start(self) -> Sentinels:
        """Returns once every sentinel knows the others and the replica."""
        self._start("master", SERVER + REDIS)
        master = self._ports["master"]
        self._start("replica", f"{SERVER}{REDIS}\nreplicaof 127.0.0.1 {master}\n")
        # Sentinels look for replicas when they start, and then every ten seconds.
        wait_until(self._replica_follows, "the replica follows the master")
        sentinel = SERVER.replace(PASSWORD, SENTINEL_PASSWORD) + SENTINEL.replace("{master}", str(master))
        for name in ("one", "two", "three"):
            self._start(name, sentinel, "--sentinel")
        wait_until(self._know_each_other, "the sentinels know each other and the replica")
        return self

    def kill_master(self) -> None:
        """SIGKILL, as when its machine dies."""
        self._processes["master"].kill()

    def stop(self) -> None:
        """End everything."""
        self._parts.close()

    def master_port(self) -> int:
        """Where the sentinels say that the master is. Raises `redis.ConnectionError` when there is none."""
        port: int = self._sentinel.discover_master(MASTER)[1]  # type: ignore[no-untyped-call]
        return port

    @property
    def replica_port(self) -> int:
        return self._ports["replica"]

    def _start(self, name: str, settings: str, *flags: str) -> None:
        folder = self._folder / name
        folder.mkdir(parents=True)
        path = folder / "server.conf"
        path.write_text(settings.format(port=self._ports[name], folder=folder))
        with (folder / "server.log").open("ab") as log:
            process = subprocess.Popen([server_binary(), str(path), *flags], stdout=log, stderr=log)
        self._processes[name] = process
        self._parts.callback(process.wait)
        self._parts.callback(process.send_signal, signal.SIGKILL)

    def _replica_follows(self) -> bool:
        try:
            replica = redis.Redis(port=self.replica_port, password=PASSWORD)
            return bool(replica.info("replication")["master_link_status"] == "up")
        except redis.ConnectionError:
            return False

    def _know_each_other(self) -> bool:
        try:
            states: Any = [one.sentinel_masters() for one in self._sentinel.sentinels]
            replicas = [one.sentinel_slaves(MASTER) for one in self._sentinel.sentinels]
        except (redis.ConnectionError, redis.TimeoutError):
            return False
        return all(
            state[MASTER]["num-other-sentinels"] == 2 and known and known[0]["slave-repl-offset"] > 0
            for state, known in zip(states, replicas, strict=True)
        )
