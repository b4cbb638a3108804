"""A server that stands in for a service: it keeps what it gets, checks it, and answers what it is told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Got:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Answer:
    """What the stand-in says."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


class StandIn:
    """`rules` turns a request into an answer; a problem that it raises fails the test that asks `checked`."""

    def __init__(self, rules: Callable[[Got], Answer] = lambda got: Answer()) -> None:
        self.got: list[Got] = []
        self.answers: list[Answer] = []
        self.problems: list[str] = []
        self.hangs = threading.Event()
        self._rules = rules
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                stand_in._handle(self)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.base = f"http://127.0.0.1:{self.port}"

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        got = Got(request.command, request.path, dict(request.headers.items()), body)
        self.got.append(got)
        if self.hangs.is_set():
            # Until the client has gone away.
            request.connection.settimeout(60)
            request.rfile.read(1)
            return
        try:
            answer = self.answers.pop(0) if self.answers else self._rules(got)
        except AssertionError as problem:
            self.problems.append(f"{got.path}: {problem}")
            answer = Answer(400, {"ok": False, "error": "invalid_arguments"})
        content = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        request.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    @contextmanager
    def serving(self) -> Iterator[StandIn]:
        thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
        assert self.problems == []
