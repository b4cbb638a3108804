"""The relay breaks connections as it is told, so that tests which rely on it test something."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.relay import Relay


@pytest.fixture
def relay() -> Iterator[Relay]:
    """Before a server that sends back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def echo(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while data := connection.recv(4096):
                connection.sendall(data)

    def serve() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    relay = Relay(listener.getsockname()[1])
    yield relay
    relay.stop()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def connect(relay: Relay) -> socket.socket:
    return socket.create_connection(("127.0.0.1", relay.port), timeout=10)


def says(line: socket.socket, words: bytes) -> bytes:
    line.sendall(words)
    return line.recv(4096)


def is_reset(relay: Relay) -> bool:
    try:
        with connect(relay) as line:
            says(line, b"hello")
    except ConnectionError:
        return True
    return False


def test_what_comes_is_passed_on_both_ways(relay: Relay) -> None:
    with connect(relay) as line:
        assert says(line, b"hello") == b"hello"


def test_latency_holds_for_lines_that_exist_and_in_both_directions(relay: Relay) -> None:
    with connect(relay) as line:
        says(line, b"hello")
        relay.latency = 0.1
        began = time.monotonic()
        assert says(line, b"again") == b"again"
        assert time.monotonic() - began >= 0.2


def test_frozen_lines_stay_silent_and_new_ones_work(relay: Relay) -> None:
    with connect(relay) as line, connect(relay) as other:
        assert says(line, b"hello") == b"hello"
        relay.freeze()
        line.sendall(b"anybody?")
        line.settimeout(0.2)
        with pytest.raises(TimeoutError):
            line.recv(4096)
        other.close()
        with connect(relay) as fresh:
            assert says(fresh, b"hello") == b"hello"


def test_a_cut_ends_lines_that_exist(relay: Relay) -> None:
    with connect(relay) as line:
        says(line, b"hello")
        relay.cut()
        assert line.recv(4096) == b""


def test_new_lines_are_reset_while_it_refuses(relay: Relay) -> None:
    with connect(relay) as line:
        says(line, b"hello")
        relay.refuse(True)
        assert is_reset(relay)
        assert says(line, b"still here") == b"still here"
        relay.refuse(False)
        assert not is_reset(relay)
        with connect(relay) as fresh:
            assert says(fresh, b"hello") == b"hello"
