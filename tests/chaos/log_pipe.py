"""A pipe between a process and its log, which may be left unread."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

BYTES = 4096
"""That a pipe takes while nobody reads it."""


class LogPipe:
    """Reads what processes write into their pipes into a file, one process after the other."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._reads = threading.Event()
        self._reads.set()

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """The end to write to, for a process that is started inside the block."""
        source, sink = os.pipe()
        fcntl.fcntl(sink, fcntl.F_SETPIPE_SZ, BYTES)
        threading.Thread(target=self._read, args=(source,), name=self._log.stem, daemon=True).start()
        with os.fdopen(sink, "wb", buffering=0) as file:
            yield file

    def leave_unread(self) -> None:
        """From now on nobody reads."""
        self._reads.clear()

    def read(self) -> None:
        """Read on."""
        self._reads.set()

    def _read(self, source: int) -> None:
        with os.fdopen(source, "rb", buffering=0) as pipe, self._log.open("ab", buffering=0) as log:
            while self._reads.wait() and (words := pipe.read(BYTES)):
                log.write(words)
