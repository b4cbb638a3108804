"""The service on a platform that starts again what ends; a relay before Redis, and before each provider."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import requests
import yaml

from local.embedded import EmbeddedRedis, free_port
from local.other_providers import PagerDuty
from local.processes import Process, release
from local.simulator import Simulator
from tests.chaos.history import History, Life, Notification
from tests.chaos.log_pipe import LogPipe
from tests.chaos.outages import LATE_AFTER, SPARE
from tests.chaos.plan import WEBS, WORKERS
from tests.chaos.quiet import RULES
from tests.chaos.second_provider import PAGERDUTY
from tests.destinations.standin import Answer, Got, StandIn
from tests.fakes import API_KEY, GATEWAY_SECRET
from tests.relay import Relay
from tests.stepping import SteppingClock, can_step

READY_WITHIN = 90.0
GRACE = 30.0
"""Seconds after SIGTERM until SIGKILL, as platforms have it."""
PAUSE = 1.0
"""Before a process that died is started again."""
LOOK = 0.05
CHANNELS = 40
"""Each problem is for one of them: of so many, few ever hear of more than twenty within a minute."""
FLOOD = 20
"""The first of them has as many as so many of the others together, so that it gets summaries."""
LAST = "last"
"""The channel that is tried after the spare alert source, when it has no page either."""
WANTED = (
    ("created", "acknowledged", "escalated", "failed", "resolved"),
    ("created", "resolved"),
    ("acknowledged", "escalated"),
)
TEMPLATE = "{{ event }} {{ incident.id }} {{ (incident.changes | map(attribute='at') | max).timestamp() }}"
"""The newest change, and when the last one happened; of two at once, either is stored first."""
NUMBER = re.compile(r"\d+")


class OnCallProvider(NamedTuple):
    """A stand-in, and what is before it."""

    stand_in: Simulator
    relay: Relay


class NotStarted(Exception):
    """The service did not become ready: nothing can be said about it."""


class Kept:
    """A process of the Procfile that is started again whenever it has ended."""

    def __init__(
        self,
        name: str,
        number: int,
        environ: Mapping[str, str],
        log: Path,
        lives: list[Life],
        configure: Callable[[Path], str],
    ) -> None:
        """`configure` writes the configuration as it is to be now, and returns the secret in it."""
        self.name = f"{name}-{number + 1}"
        self.log = log
        self.pipe = LogPipe(log)
        self.secret = ""
        """The gateway secret that it was started with."""
        self._configure = configure
        self._kind = name
        self._config = log.with_suffix(".yaml")
        self._environ = {**environ, "VERSUS_CONFIG": str(self._config)}
        self._lives = lives
        self._lock = threading.RLock()
        self._doomed = False
        """It was asked to end."""
        self._closed = False
        self._process = self._start()

    def _start(self) -> Process:
        # A file of its own: one that is restarted must not change what the others read.
        self.secret = self._configure(self._config)
        with self.pipe.open() as output:
            process = Process(self._kind, self._environ, output)
        self._tell("started", f"pid {process.pid}")
        return process

    def _tell(self, event: Any, detail: str) -> None:
        self._lives.append(Life(at=time.time(), name=self.name, event=event, detail=detail))

    def end(self, how: signal.Signals, pause: float, wait: Callable[[float], object]) -> None:
        """Ask the process (its parent alone) to end, or kill it; start it again after `pause` seconds."""
        with self._lock:
            if self._doomed:
                return
            self._doomed = True
        process = self._process
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, how)
        deadline = time.monotonic() + GRACE
        while process.lives() and time.monotonic() < deadline:
            time.sleep(LOOK)
        wait(pause)
        # Children that outlived their parent still hold the port; on a platform they end with it.
        process.kill()
        with self._lock:
            if self._closed:
                return
            self._tell("ended", how.name)
            self._process = self._start()
            self._doomed = False

    def signal_one(self, how: signal.Signals, child: int | None) -> psutil.Process | None:
        """Signal the process, or one of its children; which one it was."""
        try:
            one = psutil.Process(self._process.pid)
            if child is not None:
                children = sorted(one.children(), key=lambda process: process.pid)
                if not children:
                    return None
                one = children[child % len(children)]
            one.send_signal(how)
        except psutil.Error:
            return None
        return one

    def look(self) -> None:
        """Note it if the process died by itself, and start it again."""
        with self._lock:
            if self._doomed or self._process.lives():
                return
            self._tell("died", f"exit code {self._process.kill()}")
        time.sleep(PAUSE)
        with self._lock:
            if not self._doomed:
                self._process = self._start()

    def wake(self) -> None:
        """Let go on whatever was stopped."""
        self._process.signal(signal.SIGCONT)

    def kill(self) -> None:
        """The end."""
        with self._lock:
            self._doomed = self._closed = True
            self._process.kill()


class Platform:
    """Redis, incident.io, web and worker processes, and what is between them."""

    def __init__(self, folder: Path, history: History, *, children: int, max_per_minute: int) -> None:
        self._parts = ExitStack()
        self._over = threading.Event()
        self.history = history
        try:
            self._build(folder, children, max_per_minute)
        except BaseException:
            self._parts.close()
            raise

    def _build(self, folder: Path, children: int, max_per_minute: int) -> None:
        self.redis_folder = folder / "redis"
        self.clock = SteppingClock(folder)
        environ = self.clock.environ if can_step() else {}
        self.redis = EmbeddedRedis(self.redis_folder, fsync="always", environ=environ).start()
        self._parts.callback(self.redis.kill)
        self.simulator = self._parts.enter_context(Simulator({API_KEY: {"source-default", "source-infra"}}))
        self.pagerduty = self._parts.enter_context(PagerDuty({PAGERDUTY: set(), SPARE: set()}))
        self.to_redis = Relay(self.redis.port)
        self._parts.callback(self.to_redis.stop)
        self.providers = {
            name: OnCallProvider(stand_in, Relay(int(stand_in.base_url.rsplit(":", 1)[1])))
            for name, stand_in in (("incidentio", self.simulator), ("pagerduty", self.pagerduty))
        }
        for provider in self.providers.values():
            self._parts.callback(provider.relay.stop)
        self.channels = self._parts.enter_context(StandIn(self._notified).serving())
        self.history.channels = {f"c{n}": WANTED[n % len(WANTED)] for n in range(CHANNELS)}
        self.bases = [f"http://127.0.0.1:{free_port()}" for _ in range(WEBS)]
        self._secrets = [GATEWAY_SECRET]
        """The newest last."""
        self._max_per_minute = max_per_minute
        environ = {"PATH": os.environ["PATH"], "WEB_CONCURRENCY": str(children)}
        self.logs = folder
        self._configure(folder / "config.yaml")
        if code := release({**environ, "VERSUS_CONFIG": str(folder / "config.yaml")}):
            raise NotStarted(f"the Procfile's release ended with {code}")
        self.webs = [
            self._keep("web", n, {**environ, "PORT": base.rsplit(":", 1)[1]})
            for n, base in enumerate(self.bases)
        ]
        self.workers = [self._keep("worker", n, environ) for n in range(WORKERS)]
        threading.Thread(target=self._look, name="platform", daemon=True).start()
        self._parts.callback(self._over.set)

    def _keep(self, name: str, number: int, environ: Mapping[str, str]) -> Kept:
        log = self.logs / f"{name}-{number + 1}.log"
        kept = Kept(name, number, environ, log, self.history.lives, self._configure)
        self._parts.callback(kept.kill)
        return kept

    def rotate(self) -> str:
        """A new gateway secret for every process that is started from now on, and the one before it."""
        self._secrets.append(f"rotated-secret-{len(self._secrets)}-7c21")
        return self._secrets[-1]

    def _configure(self, path: Path) -> str:
        secrets = list(self._secrets)
        config = self._config(self._max_per_minute) | {"gateway_secret": secrets[-1]}
        previous = {"gateway_secret_previous": secrets[-2]} if len(secrets) > 1 else {}
        path.write_text(yaml.safe_dump(config | previous))
        return secrets[-1]

    def _config(self, max_per_minute: int) -> dict[str, Any]:
        incident_io = {
            "api_key": API_KEY,
            "alert_source_config_id": "source-default",
            "other_alert_source_config_ids": {"infra": "source-infra"},
            "base_url": f"http://127.0.0.1:{self.providers['incidentio'].relay.port}",
            "max_per_minute": max_per_minute,
            "max_per_minute_per_key": 2 * max_per_minute,
        }
        pagerduty = {
            "routing_key": PAGERDUTY,
            "other_routing_keys": {"spare": SPARE},
            "base_url": f"http://127.0.0.1:{self.providers['pagerduty'].relay.port}",
            "max_per_minute": max_per_minute,
        }
        return {
            "public_host": self.bases[0],
            "oncall": {
                "enable": True,
                "wait_minutes": 3,
                "provider": "incident_io",
                "late_after_minutes": LATE_AFTER / 60,
                "fallback": ["pagerduty/spare", f"channel/{LAST}"],
                "rules": RULES,
                "incident_io": incident_io,
                "pagerduty": pagerduty,
            },
            "alert": {"channels": [*map(self._channel, range(CHANNELS)), self._last_resort()]},
            "redis": {"host": "127.0.0.1", "port": self.to_redis.port},
        }

    def _channel(self, number: int) -> dict[str, Any]:
        return {
            "name": f"c{number}",
            "url": f"json://127.0.0.1:{self.channels.port}/{number}",
            "events": list(WANTED[number % len(WANTED)]),
            "template": TEMPLATE,
            "default": False,
        }

    def _last_resort(self) -> dict[str, Any]:
        return self._channel(CHANNELS) | {"name": LAST, "events": []}

    def _notified(self, got: Got) -> Answer:
        """A channel takes a message."""
        number = int(got.path.strip("/"))
        channel, words = f"c{number}" if number < CHANNELS else LAST, got.json["message"].split(" ")
        if counts := got.json["title"].partition("Many incidents at once")[2]:
            count = sum(map(int, NUMBER.findall(counts)))
            notification = Notification(at=time.time(), channel=channel, count=count)
        else:
            event, incident, through = words
            notification = Notification(
                at=time.time(), channel=channel, incident=incident, event=event, through=float(through)
            )
        messages = self.history.last_resorts if channel == LAST else self.history.notifications
        messages.append(notification)
        return Answer()

    def _look(self) -> None:
        while not self._over.wait(LOOK):
            for kept in (*self.webs, *self.workers):
                kept.look()

    def wait_until_ready(self) -> None:
        """Returns once every process works. Raises `NotStarted`."""
        deadline = time.monotonic() + READY_WITHIN
        while not (all(self.complaint(n) is None for n in range(WEBS)) and self._all_consume()):
            if time.monotonic() > deadline:
                raise NotStarted(
                    f"not ready within {READY_WITHIN:.0f} s: {self.complaint(0)}; see {self.logs}"
                )
            time.sleep(LOOK)

    def _all_consume(self) -> bool:
        # A worker's sweeper runs before Celery has connected.
        return all(" ready." in worker.log.read_text() for worker in self.workers)

    def complaint(self, web: int) -> str | None:
        """What `/readyz` complains of; None when all is well."""
        try:
            answer = requests.get(f"{self.bases[web]}/readyz", timeout=10)
        except requests.RequestException as error:
            return f"{self.webs[web].name} does not answer ({type(error).__name__})"
        return None if answer.status_code == 200 else answer.text

    def log_lines(self, words: str) -> list[str]:
        """The lines of all logs that hold these words."""
        return [
            f"{log.stem}: {line}"
            for log in sorted(self.logs.glob("*.log"))
            for line in log.read_text(errors="replace").splitlines()
            if words in line
        ]

    def stop(self) -> None:
        """End everything, in the reverse order."""
        self._over.set()
        self._parts.close()
