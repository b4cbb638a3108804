"""Keeps threads and files free, whatever clients do: requests that do not end, or too many at once."""

from __future__ import annotations

import errno
import resource
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ
from typing import Any

from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.base import Worker
from gunicorn.workers.gthread import TConn, ThreadWorker

from app.telemetry import log
from app.web.http import overload

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

OTHERS = 8
"""Threads for requests that are no webhooks, while webhooks have all the others."""
HEAD_BYTES = 2048
"""In which the first line of a request is."""
LINGER_SECONDS = 2.0
"""For which more is read from a client that was refused: a connection that is closed before takes the answer
with it."""
CHUNK = 65_536
ACCEPTED_TOGETHER = 2_048
"""Connections, while requests wait or a crowd comes: as many as gunicorn lets wait to be accepted."""
CROWD = 32
"""Connections that wait to be accepted; fewer are left to the process that has the fewest."""
TOGETHER = 4
"""Requests at a time while others wait: more of them would keep each other from the interpreter's lock."""
TOGETHER_SECONDS = 0.25
"""Those that wait for Redis or a provider keep nobody for longer."""
TCP_INFO = struct.Struct("24x I")
"""Of what Linux says of a socket that listens, how many connections wait."""

HESITATION_SECONDS = 0.0001
LONGEST_HESITATION = 0.001


def hesitation(connections: int) -> float:
    """Seconds that a process with so many connections leaves a new one to others, which may have fewer."""
    return min(LONGEST_HESITATION, HESITATION_SECONDS * connections)


def limit_silence(_: Worker, request: Request) -> None:
    """Gunicorn calls it when it has read the head of a request."""
    if isinstance(request.unreader, SocketUnreader):
        request.unreader.sock.settimeout(SILENCE_SECONDS)


def _backlog(listener: Any) -> int:
    """Connections that wait to be accepted, where the system says it."""
    with suppress(OSError, AttributeError):
        about = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO.size)
        waiting: int = TCP_INFO.unpack(about)[0]
        return waiting
    return 0


def _answer_refusal(conn: TConn) -> bytes:
    """Answer without waiting for anything; returns what of the request was there."""
    overload.refused.add()
    received = b""
    with suppress(OSError):
        received = conn.sock.recv(CHUNK)
        conn.sock.send(overload.REFUSAL)
        conn.sock.shutdown(socket.SHUT_WR)
    return received


class Threads(ThreadWorker):
    """Gunicorn's worker with threads, which lets go of clients that have not sent a request in time.

    Where files run out, gunicorn's own ends. This one closes the connection that has been idle for longest,
    or takes no new ones for a moment, and keeps enough connections back for its threads. Where webhooks have
    all threads, other requests have some of their own, and webhooks that would wait for too long are refused.
    """

    webhooks = overload.webhooks(None)

    def init_process(self) -> None:
        """Before the first connection."""
        self._since: dict[TConn, float] = {}
        self._accepts_from = 0.0
        self._enqueued = 0
        self._pace = overload.Pace()
        self._refused: dict[TConn, None] = {}
        self._looked_at = threading.Event()
        self._looked_at.set()
        self._together = threading.BoundedSemaphore(TOGETHER)
        self._others = ThreadPoolExecutor(OTHERS, thread_name_prefix="others")
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = max(files // 2, files - FILES_EACH * self.cfg.threads)
        self.worker_connections = min(self.worker_connections, most)
        threading.Thread(target=self._let_go, name="let-go", daemon=True).start()
        super().init_process()

    @property
    def _waiting(self) -> int:
        """Requests that have no thread yet."""
        return max(0, len(self._since) - int(self.cfg.threads))

    # -- connections ---------------------------------------------------------------------------------------

    def accept(self, listener: Any) -> None:
        """Take a new connection, if there is a file for it, and no other process takes it meanwhile."""
        together = ACCEPTED_TOGETHER if self._waiting or _backlog(listener) > CROWD else 1
        if together == 1:
            time.sleep(hesitation(self.nr_conns))
        for _ in range(together):
            before = self._enqueued
            try:
                super().accept(listener)
            except OSError as error:
                if error.errno not in NO_FILES:
                    raise
                self._make_room()
            if self._enqueued == before:
                return

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

    # -- requests ------------------------------------------------------------------------------------------

    def enqueue_req(self, conn: TConn) -> None:
        """Those who wait for a thread count as well, or they would have their time one after another."""
        self._since[conn] = time.monotonic()
        self._enqueued += 1
        if self.nr_conns >= self.worker_connections:
            self._make_room()
        waiting = self._waiting
        head = self._head(conn) if waiting else None
        if head is None:
            super().enqueue_req(conn)
        elif not head:
            self._await(conn)
        elif not self.webhooks.match(head):
            answer = self._others.submit(self.handle, conn)
            answer.add_done_callback(partial(self.method_queue.defer, self.finish_request, conn))
        elif self._pace.is_too_long(waiting) or waiting > self.worker_connections // 2:
            self._refuse(conn)
        else:
            super().enqueue_req(conn)

    def wait_for_and_dispatch_events(self, timeout: float | None) -> None:
        """As gunicorn's, but what one event closed has none any more.

        While requests wait, no thread begins one until what came is looked at: to refuse is quick.
        """
        events = self.poller.select(timeout)
        if self._waiting:
            self._looked_at.clear()
        for key, _ in events:
            if self.poller.get_map().get(key.fd) is key:
                key.data(key.fileobj)
        self._looked_at.set()

    def handle(self, conn: TConn) -> Any:
        """In a thread of its own."""
        held = self._waiting > 0 and self._together.acquire(timeout=TOGETHER_SECONDS)
        self._looked_at.wait(TOGETHER_SECONDS)
        try:
            return False if self._refused_late(conn) else super().handle(conn)
        finally:
            if held:
                self._together.release()
            self._since.pop(conn, None)
            self._pace.answered(self._waiting)

    def _refused_late(self, conn: TConn) -> bool:
        """Everything became slower while it waited."""
        since, waiting = self._since.get(conn), self._waiting
        if since is None or waiting <= overload.FEW or time.monotonic() - since < overload.MOST_SECONDS:
            return False
        late = bool(self.webhooks.match(self._head(conn) or b""))
        if late:
            _answer_refusal(conn)
        return late

    @staticmethod
    def _head(conn: TConn) -> bytes | None:
        """The beginning of the next request, empty if nothing has come; None where it can't be seen."""
        if isinstance(conn.parser, RequestParser) and conn.parser.unreader.buf.getvalue():
            return None
        conn.sock.setblocking(False)
        try:
            # Nothing more comes of one that was closed; gunicorn finds that out.
            return conn.sock.recv(HEAD_BYTES, socket.MSG_PEEK) or None
        except BlockingIOError:
            return b""
        except OSError:
            return None

    def _await(self, conn: TConn) -> None:
        """Without a thread, as gunicorn does where a client has sent nothing for a while."""
        del self._since[conn]
        conn.timeout = time.monotonic() + self.cfg.keepalive
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(self.on_pending_socket_readable, conn))

    # -- refusals ------------------------------------------------------------------------------------------

    def _refuse(self, conn: TConn) -> None:
        del self._since[conn]
        received = _answer_refusal(conn)
        if overload.is_whole(received):
            self._close(conn)
        else:
            conn.timeout = time.monotonic() + LINGER_SECONDS
            self._refused[conn] = None
            self.poller.register(conn.sock, EVENT_READ, partial(self._read_on, conn))

    def _read_on(self, conn: TConn, _: Any) -> None:
        try:
            if conn.sock.recv(CHUNK):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._close_refused(conn)

    def murder_pending(self) -> None:
        """Gunicorn calls it at least once a second."""
        super().murder_pending()
        now = time.monotonic()
        while (conn := next(iter(self._refused), None)) and (conn.timeout or 0.0) < now:
            self._close_refused(conn)

    def _close_refused(self, conn: TConn) -> None:
        del self._refused[conn]
        self.poller.unregister(conn.sock)
        self._close(conn)

    def _close(self, conn: TConn) -> None:
        self.nr_conns -= 1
        conn.close()

    # -- a thread of its own -------------------------------------------------------------------------------

    def _let_go(self) -> None:
        reported = 0
        while True:
            time.sleep(LOOK_EVERY)
            if (total := overload.refused.total) > reported:
                log.warning("webhooks_refused", count=total - reported, waiting=self._waiting)
                reported = total
            for conn, since in list(self._since.items()):
                if time.monotonic() - since > READ_WITHIN_SECONDS:
                    # The answer can still be written.
                    with suppress(OSError):
                        conn.sock.shutdown(socket.SHUT_RD)
