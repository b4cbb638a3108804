"""The HTTP of the simulator: reads requests, and answers, breaks, hangs or trickles as it is told."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from local.incident_io_rules import LARGEST_BODY, Reply, Request, error

PACE = 0.02
"""Seconds between two bytes of an answer that trickles."""

Receive = Callable[[Request, str | None, Reply | None], tuple[Reply, threading.Event]]
"""Takes a request, its key, and what is wrong with its form; the event ends what hangs or trickles."""
Control = Callable[[str, dict[str, Any]], object]
"""Takes a path under /_sim/ and a JSON body; None for a path that does not exist."""


class Server(ThreadingHTTPServer):
    """Listens on 127.0.0.1; a thread for each connection."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port: int, receive: Receive, control: Control) -> None:
        self.receive = receive
        self.control = control
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nothing to tell of."""

    def server_close(self) -> None:
        super().server_close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = LARGEST_BODY

    def do_GET(self) -> None:
        text, refusal = self._read()
        if self.path.startswith("/_sim/"):
            done = self.server.control(self.path, json.loads(text or "{}"))
            return self._answer(Reply(404 if done is None else 200, done))
        key = self.headers.get("Authorization", "").removeprefix("Bearer ") or None
        headers = {name.lower(): value for name, value in self.headers.items()}
        headers.pop("authorization", None)
        request = Request(
            at=time.time(),
            monotonic=time.monotonic(),
            client="{}:{}".format(*self.client_address),
            method=self.command,
            path=self.path,
            headers=headers,
            body=_parsed(text),
        )
        return self._play(*self.server.receive(request, key, refusal))

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Silent: what came is in `requests`."""

    def _read(self) -> tuple[str, Reply | None]:
        length = self.headers.get("Content-Length")
        if length is None:
            if self.command == "GET":
                return "", None
            self.close_connection = True
            return "", error(411, "api_error", "length_required", "Send Content-Length")
        if int(length) > LARGEST_BODY:
            self.close_connection = True
            return "", error(413, "payload_too_large", "payload_too_large", "At most 512 KiB")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionError("The request broke off: nobody got it.")
        return body.decode("utf-8", "replace"), None

    def _play(self, reply: Reply, released: threading.Event) -> None:
        if reply.mode == "answer":
            return self._answer(reply)
        self.close_connection = True
        if reply.mode == "hang":
            released.wait()
        elif reply.mode == "reset":
            # Closing without lingering sends RST instead of FIN.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif reply.mode == "garbage":
            self.wfile.write(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
        else:
            body = reply.mode == "trickle_body"
            start = f"HTTP/1.1 {reply.status} OK\r\n" + (
                "Content-Length: 9999\r\n\r\n" if body else "X-Slow: "
            )
            self._trickle(start.encode(), released)
        return None

    def _trickle(self, start: bytes, released: threading.Event) -> None:
        self.wfile.write(start)
        with suppress(OSError):
            while not released.wait(PACE):
                self.wfile.write(b" ")
                self.wfile.flush()

    def _answer(self, reply: Reply) -> None:
        as_is = isinstance(reply.body, str)
        body = b"" if reply.body is None else (reply.body if as_is else json.dumps(reply.body)).encode()
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if body:
            self.send_header("Content-Type", "text/html" if as_is else "application/json")
        if reply.status >= 200 and reply.status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
