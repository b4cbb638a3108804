"""What `make demo` shows: the whole service, and two incidents, one acknowledged in time, one not.

Nothing leaves this machine: a stand-in plays incident.io, or the provider that DEMO_PROVIDER names.
"""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import yaml
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from local.demo_providers import DEFAULT, demo_provider
from local.embedded import EmbeddedRedis
from local.processes import Process

WAIT_SECONDS = 6
SECRET = "demo-gateway-secret"  # noqa: S105
# A first start compiles everything, on a slow machine maybe beside much else.
DEADLINE = 90.0

COLOURS = {"pending": "yellow", "acknowledged": "green", "escalating": "magenta", "escalated": "red"}


@dataclass
class Story:
    """One of the two incidents, as last seen."""

    name: str
    seen: dict[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> str:
        state: str = self.seen.get("state", "")
        return state


class Printer:
    """Tells what happens: a live view in a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._started = time.monotonic()
        self._lines: list[Text] = []
        self._stories: list[Story] = []
        self._live: Live | None = None

    @contextmanager
    def telling(self, stories: list[Story]) -> Iterator[None]:
        """Show the two incidents while they live."""
        self._stories = stories
        if not self._console.is_terminal:
            yield
            return
        with Live(self._picture(), console=self._console, refresh_per_second=8) as self._live:
            yield
            self._live.update(self._picture())

    def say(self, text: str, style: str = "") -> None:
        """One line of the story, with the seconds since the start."""
        line = Text(f"{time.monotonic() - self._started:5.1f} s  ", style="dim") + Text(text, style=style)
        if self._live is None:
            self._console.print(line, soft_wrap=True)
        else:
            self._lines.append(line)
            self.refresh()

    def refresh(self) -> None:
        """Bring the countdowns up to date."""
        if self._live is not None:
            self._live.update(self._picture())

    def _picture(self) -> Group:
        table = Table(expand=True, box=None)
        for heading in ("incident", "state", "pages in"):
            table.add_column(heading)
        for story in self._stories:
            left = "–"
            if story.state == "pending":
                due = story.seen["created_monotonic"] + WAIT_SECONDS
                left = f"{max(0.0, due - time.monotonic()):.1f} s"
            table.add_row(story.name, Text(story.state, style=COLOURS.get(story.state, "")), left)
        return Group(Panel(table, title="Versus Incident"), *self._lines)


class Demo:
    """The service with its parts, and the two stories. Raises `RuntimeError` when something does not work."""

    def __init__(self, printer: Printer, stack: ExitStack) -> None:
        self._say = printer.say
        self._printer = printer
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="versus-demo-")))
        redis = EmbeddedRedis(folder / "redis").start()
        stack.callback(redis.stop)
        self._name = os.environ.get("DEMO_PROVIDER") or DEFAULT
        self._provider = demo_provider(self._name)
        self._stand_in = stack.enter_context(self._provider.stand_in)
        # What the environment says of proxies is not for this machine.
        self._http = stack.enter_context(requests.Session())
        self._http.trust_env = False
        self.base = ""
        self._processes: list[Process] = []
        self._log = folder / "versus.log"
        self._start(folder, redis.url, stack)

    def _start(self, folder: Path, redis_url: str, stack: ExitStack) -> None:
        with listening(int(os.environ.get("PORT") or 3000)) as door:
            port = door.getsockname()[1]
            self.base = f"http://127.0.0.1:{port}"
            # Nothing of the environment besides, and no `.env`: this must neither page nor notify anybody.
            environ = {
                "PATH": os.environ.get("PATH", ""),
                "GUNICORN_CMD_ARGS": f"--bind fd://{door.fileno()}",
                "PORT": str(port),
                "WEB_CONCURRENCY": "1",
                "PUBLIC_HOST": self.base,
                "REDIS_URL": redis_url,
                "VERSUS_CONFIG": str(self._written(folder)),
                "GATEWAY_SECRET": SECRET,
                **self._provider.environ,
            }
            output = stack.enter_context(self._log.open("wb"))
            for name, inherited in (("web", door.fileno()), ("worker", None)):
                process = Process(name, environ, output, cwd=folder, inherited=inherited)
                stack.callback(process.stop)
                self._processes.append(process)

    def _written(self, folder: Path) -> Path:
        """The configuration, as far as it is not in variables."""
        oncall = {"enable": True, "provider": self._name, self._name: dict(self._provider.settings)}
        path = folder / "config.yaml"
        path.write_text(yaml.safe_dump({"oncall": oncall}))
        return path

    def run(self) -> bool:
        """Both stories; whether they came out right."""
        if not self.base.endswith(f":{os.environ.get('PORT') or 3000}"):
            self._say(f"Port {os.environ.get('PORT') or 3000} is taken, so this is at {self.base}.", "yellow")
        self._say(f"Redis, web, worker and a stand-in for {self._provider.called} are starting …")
        self._until("the service is ready", self._ready)
        self._say(f"Everything is up. Watch it at {self.base} (any name, gateway secret: {SECRET}).")
        self._say(f"The wait for an acknowledgement is {WAIT_SECONDS} seconds.")
        stories = [Story("Checkout is slow"), Story("Database disk is full")]
        with self._printer.telling(stories):
            return self._report(*stories)

    def _report(self, answered: Story, unanswered: Story) -> bool:
        for story in (answered, unanswered):
            self._send(story)
        self._until("two seconds went by", lambda: self._age(answered) > 2, answered, unanswered)
        acknowledgement = self._http.post(answered.seen["ack_url"], timeout=5)
        self._say(f"Somebody acknowledges “{answered.name}”: {acknowledgement.json()['status']}", "green")
        self._say(f"Nobody acknowledges “{unanswered.name}” …")
        self._until("the page left", lambda: bool(self._told(unanswered)), answered, unanswered)
        self._say(f"{self._provider.called} got “{unanswered.name}”: {self._titles(unanswered)[0]}", "red")
        # Long enough after it would have been due: an acknowledged incident must stay silent.
        self._until(
            "the incident is written down as escalated and the other one's time has gone by",
            lambda: unanswered.state == "escalated" and self._age(answered) > WAIT_SECONDS + 2,
            answered,
            unanswered,
        )
        return self._judge(answered, unanswered)

    def _judge(self, answered: Story, unanswered: Story) -> bool:
        called = self._provider.called
        silent = not self._told(answered)
        title = f"Incident {unanswered.seen['id']}" if self._name == DEFAULT else unanswered.name
        once = self._titles(unanswered) == [title] and len(self._told(unanswered)) == 1
        self._say(
            f"“{answered.name}” was acknowledged: {called} received nothing. {_check_pages(silent)}",
            "bold green" if silent else "bold red",
        )
        self._say(
            f"“{unanswered.name}” was not: one alert event reached {called}. {_check_pages(once)}",
            "bold green" if once else "bold red",
        )
        return silent and once

    def _send(self, story: Story) -> None:
        url = f"{self.base}/api/incidents?oncall_wait_minutes={WAIT_SECONDS / 60}"
        body = {"title": story.name, "severity": "critical", "service": "shop"}
        answer = self._http.post(url, json=body, timeout=5)
        answer.raise_for_status()
        story.seen = {**answer.json()["incident"], "created_monotonic": time.monotonic()}
        self._say(f"A monitoring tool reports “{story.name}” (HTTP {answer.status_code}).", "yellow")

    def _age(self, story: Story) -> float:
        age: float = time.monotonic() - story.seen["created_monotonic"]
        return age

    def _told(self, story: Story) -> list[str]:
        return self._stand_in.told(story.seen["id"])

    def _titles(self, story: Story) -> list[str]:
        return self._stand_in.titles(story.seen["id"])

    def _ready(self) -> bool:
        try:
            return self._http.get(f"{self.base}/readyz", timeout=5).ok
        except requests.RequestException:
            return False

    def _until(self, what: str, condition: Callable[[], bool], *stories: Story) -> None:
        deadline = time.monotonic() + DEADLINE
        while not condition():
            ended = not all(process.lives() for process in self._processes)
            if ended or time.monotonic() > deadline:
                log = self._log.read_text(errors="replace")[-3000:]
                why = "A process ended" if ended else f"{DEADLINE:.0f} s went by"
                raise RuntimeError(f"{why} before {what}. The log ends so:\n{log}")
            for story in stories:
                url = f"{self.base}/api/incidents/{story.seen['id']}"
                answer = self._http.get(url, headers={"X-Gateway-Secret": SECRET}, timeout=5)
                story.seen |= answer.json()
            self._printer.refresh()
            time.sleep(0.1)


def listening(wanted: int) -> socket.socket:
    """A socket that listens on this port of 127.0.0.1, or on a free one where something else does."""
    for port in (wanted, 0):
        door = socket.socket()
        # What an earlier run left behind there is no obstacle.
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind(("127.0.0.1", port))
            door.listen()
        except OSError:
            door.close()
        else:
            return door
    raise RuntimeError("There is no free port on 127.0.0.1.")


def _check_pages(right: bool) -> str:
    return "✔" if right else "✘ THIS IS WRONG"
