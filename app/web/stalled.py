"""Clients that do not get to the end of their request: threads are few, and gunicorn would wait for ever."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import Any

from gunicorn.http.message import Request
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.base import Worker
from gunicorn.workers.gthread import TConn, ThreadWorker

SILENCE_SECONDS = 5
"""In the middle of a body, after which the client is let go of."""
READ_WITHIN_SECONDS = 20
"""From the beginning of a request, after which nothing more of it is read, however steadily it trickles.

Longer than any answer takes, so that a client that did send all of it can go on with its connection.
"""
LOOK_EVERY = 1.0


def limit_silence(_: Worker, request: Request) -> None:
    """Gunicorn calls it when it has read the head of a request."""
    if isinstance(request.unreader, SocketUnreader):
        request.unreader.sock.settimeout(SILENCE_SECONDS)


class Threads(ThreadWorker):
    """Gunicorn's worker with threads, which lets go of whoever has not sent a request in time."""

    def init_process(self) -> None:
        """Before the first connection."""
        self._since: dict[TConn, float] = {}
        threading.Thread(target=self._let_go, name="let-go", daemon=True).start()
        super().init_process()

    def enqueue_req(self, conn: TConn) -> None:
        """Those who wait for a thread count as well, or they would have their time one after another."""
        self._since[conn] = time.monotonic()
        super().enqueue_req(conn)

    def handle(self, conn: TConn) -> Any:
        """In a thread of its own."""
        try:
            return super().handle(conn)
        finally:
            self._since.pop(conn, None)

    def _let_go(self) -> None:
        while True:
            time.sleep(LOOK_EVERY)
            for conn, since in list(self._since.items()):
                if time.monotonic() - since > READ_WITHIN_SECONDS:
                    # The answer can still be written.
                    with suppress(OSError):
                        conn.sock.shutdown(socket.SHUT_RD)
