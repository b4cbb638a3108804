"""A stand-in for incident.io: as strict as its reference, and able to fail in every way when told to.

Used by `make demo` and the tests; on its own: `python -m local.simulator --port 3999 --key K --source ID`.
GET /_sim/events, /_sim/requests and /_sim/alerts then show what came, /_sim/counts how many alerts each
source has, and POST /_sim/answer (the fields of `Reply` and `count`), /_sim/limit and /_sim/reset control it.
"""

from __future__ import annotations

import argparse
import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any, Literal, Self

from local.incident_io_account import Account
from local.incident_io_rules import MODES, Reply, Request, judge, too_many
from local.simulator_http import Server


class Simulator:
    """incident.io's API on a port of 127.0.0.1, from `with` to its end.

    `keys`: the alert source config IDs that each API key may use. `per_minute`: events within any 60 s for
    each alert source, `key_per_minute` for each key, `per_second` the size and refill of a bucket for each
    alert source; None is no limit. `retry_after`: seconds that every refusal asks for, whatever is true.
    `on_event` sees each accepted event.
    """

    def __init__(
        self,
        keys: Mapping[str, set[str]],
        per_minute: int | None = None,
        port: int = 0,
        *,
        key_per_minute: int | None = None,
        per_second: int | None = None,
        retry_after: int | None = None,
        on_event: Callable[[Request], None] = lambda _: None,
    ) -> None:
        self.keys = keys
        self.per_minute = per_minute
        self.key_per_minute = key_per_minute
        self.per_second = per_second
        self.retry_after = retry_after
        self.requests: list[Request] = []
        self.out: set[str] = set()
        """Alert source config IDs that answer 503, whatever else is forced, as in an outage."""
        self.alerts: dict[tuple[str, str], Literal["firing", "resolved"]] = {}
        """State by alert source config ID and deduplication key."""
        self.account = Account()
        """What a key of the account may ask, and what is answered."""
        self._on_event = on_event
        self._changed = threading.Condition()
        self._next: deque[Reply] = deque()
        self._always: Reply | None = None
        self._times: dict[str, deque[float]] = {}
        self._buckets: dict[str, tuple[float, float]] = {}
        """Of each alert source: what is in it, and since when."""
        self._released = threading.Event()
        self._server = Server(port, self._receive, self._control)
        self.base_url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()
        self._server.shutdown()
        self._server.server_close()

    def events(self, incident_id: str | None = None) -> list[Request]:
        """The accepted alert events, of one incident or of all, in order."""
        with self._changed:
            accepted = [request for request in self.requests if request.accepted]
        return [r for r in accepted if incident_id in (None, r.body["deduplication_key"])]

    def told(self, incident_id: str) -> list[str]:
        """The events that it took about an incident, in order: `firing`, `resolved`."""
        return [request.body["status"] for request in self.events(incident_id)]

    def titles(self, incident_id: str) -> list[str]:
        """What the pages that it took about an incident are called."""
        return [r.body["title"] for r in self.events(incident_id) if r.body["status"] == "firing"]

    def answer_next(self, status: int = 500, *, count: int = 1, **reply: Any) -> None:
        """The next `count` requests get this reply (the fields of `Reply`), whatever they are."""
        with self._changed:
            self._next.extend([Reply(status, **reply)] * count)

    def answer_with(self, status: int = 500, **reply: Any) -> None:
        """Every request gets this reply, until `clear`."""
        with self._changed:
            self._always = Reply(status, **reply)

    def clear(self) -> None:
        """No reply is forced any more, and what hangs is let go."""
        with self._changed:
            self._next.clear()
            self._always = None
            self._released.set()
            self._released = threading.Event()

    def reset(self) -> None:
        """As new: nothing received, nothing forced."""
        self.clear()
        with self._changed:
            self.requests.clear()
            self.alerts.clear()
            self._times.clear()
            self._buckets.clear()

    def wait_for(self, predicate: Callable[[], object], timeout: float) -> bool:
        """Whether the predicate holds within `timeout` seconds; it is asked again after each request."""
        with self._changed:
            return bool(self._changed.wait_for(predicate, timeout))

    def _receive(
        self, request: Request, key: str | None, refusal: Reply | None
    ) -> tuple[Reply, threading.Event]:
        with self._changed:
            asked = None if refusal else self.account.answer(request, key, self.alerts)
            true = refusal or asked or judge(request, key, self.keys)
            source = request.path.rpartition("/")[2] if "/alert_events/" in request.path else None
            if true.status == 202 and source and key:
                true = self._limited(source, key) or true
            out = true.status == 202 and source in self.out
            true = Reply(503) if out else true
            forced = None if out else self._next.popleft() if self._next else self._always
            reply = forced or true
            accepted = true.status == 202 and (forced is None or forced.taken or forced.status == 202)
            request = replace(
                request, authorized=key in self.keys, status=reply.status, source=source, accepted=accepted
            )
            self.requests.append(request)
            if accepted and source:
                self.alerts[source, request.body["deduplication_key"]] = request.body["status"]
                self._on_event(request)
            self._changed.notify_all()
            return reply, self._released

    def _limited(self, source: str, key: str) -> Reply | None:
        limits = {f"alert source {source}": self.per_minute, f"key {key}": self.key_per_minute}
        now = time.monotonic()
        for name, limit in limits.items():
            times = self._times.setdefault(name, deque())
            while times and times[0] <= now - 60:
                times.popleft()
            if limit is not None and len(times) >= limit:
                wait = math.ceil(times[0] + 60 - now) if times else 60
                return too_many(name.rpartition(" ")[0], f"{limit} a minute", self.retry_after or wait)
        if self.per_second is not None and not self._drawn(source, self.per_second, now):
            return too_many("alert source", f"{self.per_second} a second", self.retry_after or 1)
        for name in limits:
            self._times[name].append(now)
        return None

    def _drawn(self, source: str, per_second: int, now: float) -> bool:
        level, since = self._buckets.get(source, (float(per_second), now))
        level = min(per_second, level + (now - since) * per_second)
        self._buckets[source] = (level - (level >= 1), now)
        return level >= 1

    def _control(self, path: str, told: dict[str, Any]) -> object:
        match path.removeprefix("/_sim/"):
            case "events":
                return [asdict(request) for request in self.events()]
            case "requests":
                return [asdict(request) for request in list(self.requests)]
            case "alerts":
                alerts = list(self.alerts.items())
                return [{"source": s, "deduplication_key": k, "state": state} for (s, k), state in alerts]
            case "counts":
                return Counter(source for source, _ in list(self.alerts))
            case "answer" if told.get("mode", "answer") in MODES:
                self.answer_next(**told)
            case "limit":
                self.per_minute = told.get("per_minute")
                self.key_per_minute = told.get("key_per_minute")
                self.per_second = told.get("per_second")
                self.retry_after = told.get("retry_after")
            case "reset":
                self.reset()
            case _:
                return None
        return {"status": "done"}


def _report(request: Request) -> None:
    clock = time.strftime("%H:%M:%S", time.localtime(request.at))
    event = request.body
    key = event["deduplication_key"]
    print(f"{clock}  {event['status']:8}  {event['title']}  (source {request.source}, key {key})", flush=True)


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(prog="python -m local.simulator", description=__doc__)
    parser.add_argument("--port", type=int, default=3999)
    parser.add_argument("--key", default="demo-key", help="the API key that it takes")
    parser.add_argument("--source", action="append", help="an alert source config ID; may be repeated")
    options = parser.parse_args()
    keys = {options.key: set(options.source or ["demo-source"])}
    with Simulator(keys, port=options.port, on_event=_report) as simulator:
        print(f"incident.io simulator at {simulator.base_url}", flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
