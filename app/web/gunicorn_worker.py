"""Clients that keep what is scarce: threads, by requests that do not end, and files, by idle connections."""

from __future__ import annotations

import errno
import resource
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
NO_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
FILES_EACH = 2
"""For each thread, besides its client's connection: one to Redis, one to a provider."""
PAUSE_SECONDS = 0.2
"""Without new connections, while there is no file for them."""


HESITATION_SECONDS = 0.0001
LONGEST_HESITATION = 0.001


def hesitation(connections: int) -> float:
    """Seconds that a process with so many connections leaves a new one to others, which may have fewer."""
    return min(LONGEST_HESITATION, HESITATION_SECONDS * connections)


def limit_silence(_: Worker, request: Request) -> None:
    """Gunicorn calls it when it has read the head of a request."""
    if isinstance(request.unreader, SocketUnreader):
        request.unreader.sock.settimeout(SILENCE_SECONDS)


class Threads(ThreadWorker):
    """Gunicorn's worker with threads, which lets go of clients that have not sent a request in time.

    Where files run out, gunicorn's own ends. This one closes the connection that has been idle for longest,
    or takes no new ones for a moment, and keeps enough connections back for its threads.
    """

    def init_process(self) -> None:
        """Before the first connection."""
        self._since: dict[TConn, float] = {}
        self._accepts_from = 0.0
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = max(files // 2, files - FILES_EACH * self.cfg.threads)
        self.worker_connections = min(self.worker_connections, most)
        threading.Thread(target=self._let_go, name="let-go", daemon=True).start()
        super().init_process()

    def accept(self, listener: Any) -> None:
        """Take a new connection, if there is a file for it, and no other process takes it meanwhile."""
        time.sleep(hesitation(self.nr_conns))
        try:
            super().accept(listener)
        except OSError as error:
            if error.errno not in NO_FILES:
                raise
            self._make_room()

    def set_accept_enabled(self, enabled: bool | None) -> None:
        """Gunicorn calls it before it waits for anything."""
        super().set_accept_enabled(bool(enabled) and time.monotonic() >= self._accepts_from)

    def _make_room(self) -> None:
        # Those that have sent nothing yet, then those that wait for their next request.
        if idle := self.pending_conns or self.keepalived_conns:
            idle[0].timeout = 0.0
            self.murder_pending()
            self.murder_keepalived()
        else:
            self._accepts_from = time.monotonic() + PAUSE_SECONDS
            self.set_accept_enabled(False)

    def enqueue_req(self, conn: TConn) -> None:
        """Those who wait for a thread count as well, or they would have their time one after another."""
        self._since[conn] = time.monotonic()
        if self.nr_conns >= self.worker_connections:
            self._make_room()
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
