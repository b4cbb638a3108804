"""A sender that does not wait: `python -m benchmarks.flood PORT RATE SECONDS`, a connection for each webhook.

Prints, as JSON, how many were sent, and of each its status, the seconds to the answer, and the incident's ID.
"""

from __future__ import annotations

import errno
import json
import select
import socket
import sys
import time
from contextlib import suppress
from typing import TypedDict

BODY = b'{"title": "Disk full on host 1234"}'
REQUEST = (
    b"POST /api/incidents?oncall_wait_minutes=120 HTTP/1.1\r\nHost: flood\r\nConnection: close\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
) % (len(BODY), BODY)
ANSWERED_WITHIN = 30.0
"""Seconds after the last was sent."""
CATCH_UP_SECONDS = 0.02
"""Of a delay of its own; what was to be sent before is left out, as it would come in one moment."""


class Sent(TypedDict):
    """What was sent, and what came of it."""

    sent: int
    seconds: float
    answers: list[tuple[int, float, str]]
    """Status, 0 for none; the seconds that it took; the ID of the incident."""


class Flood:
    """Sockets that are not blocking, and one loop: cheap, as it shares the cores with what it measures."""

    def __init__(self, port: int) -> None:
        self._address = ("127.0.0.1", port)
        self._events = select.epoll()
        self._open: dict[int, tuple[socket.socket, float, bytearray]] = {}
        self.answers: list[tuple[int, float, str]] = []

    def run(self, rate: float, seconds: float) -> Sent:
        """Send so many a second for so long, whatever is answered."""
        began = time.monotonic()
        sent, due = 0, began
        while (now := time.monotonic()) < began + seconds:
            due = max(due, now - CATCH_UP_SECONDS)
            while due <= now:
                self._send()
                sent += 1
                due += 1 / rate
            self._answered(max(0.0, due - time.monotonic()))
        took = time.monotonic() - began
        while self._open and time.monotonic() < began + took + ANSWERED_WITHIN:
            self._answered(0.05)
        self.answers += [(0, time.monotonic() - since, "") for _, since, _ in self._open.values()]
        return {"sent": sent, "seconds": took, "answers": self.answers}

    def _send(self) -> None:
        began, one = time.monotonic(), socket.socket()
        one.setblocking(False)
        if one.connect_ex(self._address) not in (0, errno.EINPROGRESS):
            one.close()
            self.answers.append((0, 0.0, ""))
            return
        self._open[one.fileno()] = (one, began, bytearray())
        self._events.register(one, select.EPOLLOUT)

    def _answered(self, within: float) -> None:
        for number, event in self._events.poll(within):
            one, began, received = self._open[number]
            if event == select.EPOLLOUT:
                with suppress(OSError):
                    one.send(REQUEST)
                self._events.modify(number, select.EPOLLIN)
            elif not _more(one, received):
                del self._open[number]
                one.close()
                self.answers.append(_answer(bytes(received), time.monotonic() - began))


def _more(one: socket.socket, received: bytearray) -> bool:
    """Whether something came, and the answer may go on."""
    data = b""
    with suppress(OSError):
        data = one.recv(65_536)
    received += data
    return bool(data)


def _answer(received: bytes, took: float) -> tuple[int, float, str]:
    status = int(received.split(b" ", 2)[1]) if received.startswith(b"HTTP/1.1 ") else 0
    _, _, body = received.partition(b"\r\n\r\n")
    return status, took, json.loads(body)["incident"]["id"] if status == 201 else ""


if __name__ == "__main__":
    print(json.dumps(Flood(int(sys.argv[1])).run(float(sys.argv[2]), float(sys.argv[3]))))
