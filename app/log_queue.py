"""Log lines on their way out: through a bounded queue, so that a pipe that nobody reads delays nothing."""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections import deque

MOST_BYTES = 2 * 1024 * 1024
"""Of lines that wait to be written. What comes on top is dropped and counted."""
TOGETHER = 4096
"""Bytes in one write: a pipe takes so many whole, whatever other processes write into it."""
PAUSE = 1.0
"""Seconds after a write that failed."""
FLUSH_SECONDS = 1.0
"""For which the end of a process waits for its last lines."""


class LogQueue(logging.Handler):
    """Writes lines to a file descriptor, in a thread of its own.

    Lines are formatted at once, and dropped while the queue is full; where it flows again, a line says how
    many were. A forked process begins with an empty queue and a thread of its own.
    """

    def __init__(self, descriptor: int, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self._descriptor = descriptor
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        # Each with the number of lines that are lost with it.
        self._lines: deque[tuple[bytes, int]] = deque()
        self.waiting = 0
        """Bytes that are to be written."""
        self.dropped = 0
        """Lines that were, and are not reported yet."""
        self._uncounted = 0
        self._flows = True
        self._writing = False
        self._ended = False
        self._writer: threading.Thread | None = None
        # Reentrant, since a signal's handler may log while its thread does.
        self._changed = threading.Condition()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a line, or count it as dropped; never waits."""
        with self._changed:
            if self.waiting >= MOST_BYTES:
                self._drop(1)
                return
        try:
            line = self.format(record)
        except Exception as error:
            line = self._own(logging.ERROR, "log_line_failed", of=record.name, error=type(error).__name__)
        with self._changed:
            self._report_dropped()
            self._append(line, 1)
            self._start()
            self._changed.notify()

    def flush(self) -> None:
        """Return once all that is queued was written, or after a second."""
        until = time.monotonic() + FLUSH_SECONDS
        with self._changed:
            while self._writer and (self._lines or self._writing) and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)

    def close(self) -> None:
        """Flush, and let the thread end."""
        self.flush()
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        super().close()

    def take_dropped(self) -> int:
        """How many lines were dropped since this was asked last."""
        with self._changed:
            dropped, self._uncounted = self._uncounted, 0
        return dropped

    # -- with the lock held -----------------------------------------------------------------------------

    def _append(self, line: str, stands_for: int) -> None:
        data = f"{line}\n".encode(errors="backslashreplace")
        self._lines.append((data, stands_for))
        self.waiting += len(data)

    def _drop(self, lines: int) -> None:
        self.dropped += lines
        self._uncounted += lines

    def _report_dropped(self) -> None:
        if self.dropped:
            self._append(self._own(logging.WARNING, "log_lines_dropped", lines=self.dropped), self.dropped)
            self.dropped = 0

    def _start(self) -> None:
        if self._writer is None and not self._ended:
            writer = threading.Thread(target=self._write_on, name="log-writer", daemon=True)
            try:
                writer.start()
            except RuntimeError:
                # No thread can be had now; the next line tries again.
                return
            self._writer = writer

    def _next(self) -> tuple[bytes, int]:
        """The next lines, as many as one write takes, and how many they stand for; nothing at the end."""
        while not self._lines:
            self._writing = False
            self._changed.notify_all()
            if self.dropped and self._flows:
                self._report_dropped()
            elif self._ended:
                break
            else:
                self._changed.wait()
        data, stand_for = b"", 0
        while self._lines and (not data or len(data) + len(self._lines[0][0]) <= TOGETHER):
            line, stands_for = self._lines.popleft()
            data, stand_for = data + line, stand_for + stands_for
        self.waiting -= len(data)
        self._writing = bool(data)
        return data, stand_for

    # -- the thread -------------------------------------------------------------------------------------

    def _write_on(self) -> None:
        while True:
            with self._changed:
                data, stand_for = self._next()
            if not data:
                return
            try:
                self._write(data)
                self._flows = True
            except OSError:
                # Its reader is gone, or the disk is full.
                with self._changed:
                    self._drop(stand_for)
                    self._flows = False
                time.sleep(PAUSE)

    def _write(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:
                ready = select.poll()
                ready.register(self._descriptor, select.POLLOUT)
                ready.poll()

    def _own(self, level: int, event: str, **fields: object) -> str:
        """A line of the queue's own."""
        record = logging.LogRecord("versus", level, "", 0, event, None, None)
        vars(record).update(fields)
        return self.format(record)
