"""A TCP relay before a server: speaks TLS for one that can't, and breaks connections in several ways."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable

CHUNK = 65536


class _Line:
    """One client's connection and the relay's own to the server."""

    def __init__(
        self,
        client: socket.socket,
        server: socket.socket,
        latency: Callable[[], float],
        unanswered: Callable[[bytes], bool],
    ) -> None:
        self._client = client
        self._server = server
        self._latency = latency
        self._unanswered = unanswered
        self._frozen = threading.Event()

    def run(self) -> None:
        """Pass on in both directions until either side ends."""
        with self._client, self._server, contextlib.suppress(OSError):
            # Not `select`, which knows no more than 1,024 files.
            poll = select.poll()
            for one in (self._client, self._server):
                poll.register(one, select.POLLIN)
            while self._pass_on({number for number, _ in poll.poll()}):
                pass

    def _pass_on(self, readable: set[int]) -> bool:
        for source, sink in ((self._client, self._server), (self._server, self._client)):
            if source.fileno() in readable:
                data = source.recv(CHUNK)
                # TLS may have decrypted more than was asked for, which `poll` doesn't see.
                while isinstance(source, ssl.SSLSocket) and source.pending():
                    data += source.recv(CHUNK)
                if not data:
                    return False
                if latency := self._latency():
                    time.sleep(latency)
                if not self._frozen.is_set():
                    sink.sendall(data)
                if source is self._client and self._unanswered(data):
                    self.freeze()
        return True

    def freeze(self) -> None:
        """Swallow everything from now on."""
        self._frozen.set()

    def cut(self) -> None:
        """End both sides."""
        for one in (self._client, self._server):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


class Relay:
    """Passes on what comes to its port. With a `context`, its own side speaks TLS."""

    def __init__(self, target_port: int, context: ssl.SSLContext | None = None) -> None:
        self._target = ("127.0.0.1", target_port)
        self._context = context
        self._lines: list[_Line] = []
        self._refuses = False
        self._unanswered: tuple[bytes, ...] = ()
        self.latency = 0.0
        """Seconds that everything takes longer, in each direction."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self) -> None:
        """Connections that exist stay open, and nothing comes through any more; new ones work."""
        for line in list(self._lines):
            line.freeze()

    def cut(self) -> None:
        """End every connection that exists; new ones work."""
        for line in list(self._lines):
            line.cut()

    def lose_the_answer_to(self, *words: bytes) -> None:
        """Pass on the next request that has all of these words in it, and nothing more on its connection."""
        self._unanswered = words

    def _loses(self, sent: bytes) -> bool:
        if not self._unanswered or not all(word in sent for word in self._unanswered):
            return False
        self._unanswered = ()
        return True

    def refuse(self, refuses: bool) -> None:
        """Whether new connections are reset at once; those that exist go on."""
        self._refuses = refuses

    def stop(self) -> None:
        """Accept nothing more, and end what exists."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refuses:
                # Closing without lingering sends RST instead of FIN.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.close()
                continue
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            if self._context is not None:
                client = self._context.wrap_socket(client, server_side=True)
            server = socket.create_connection(self._target)
        except OSError:
            client.close()
            return
        line = _Line(client, server, lambda: self.latency, self._loses)
        self._lines.append(line)
        line.run()
        self._lines.remove(line)
