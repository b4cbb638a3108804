"""Webhooks that come faster than they can be taken are refused at once, so that no answer takes long."""

from __future__ import annotations

import json
import re
import threading
import time

RETRY_AFTER_SECONDS = 5
"""For every answer 503."""
MOST_SECONDS = 2.0
"""That a webhook may wait for a thread."""
FEW = 100
"""Webhooks that may wait in any case: while Redis is away each takes long, and may be paged directly."""
WEIGHT = 0.05
"""Of the newest in the average time between two answers."""

_SENTENCE = "More webhooks come than can be taken: send it again in a moment."
_BODY = json.dumps({"error": _SENTENCE}).encode()
REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\nRetry-After: %d\r\nConnection: close\r\n\r\n%s"
) % (len(_BODY), RETRY_AFTER_SECONDS, _BODY)
"""The whole answer, as it is sent."""


def webhooks(sns_path: str | None) -> re.Pattern[bytes]:
    """Matches the beginning of a request that is a webhook, under any prefix; of no other request."""
    paths = [rb"/+api/+incidents", *([re.escape(sns_path.encode())] if sns_path else [])]
    return re.compile(rb"(?:POST|PUT) [^ ?]*(?:" + b"|".join(paths) + rb")/*[ ?]")


_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]{1,9})(?![^\r])", re.IGNORECASE)


def is_whole(request: bytes) -> bool:
    """Whether nothing more comes of a request."""
    head, _, body = request.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    return length is not None and len(body) >= int(length[1])


class Pace:
    """How long a webhook would wait for a thread, from the time between two answers while others wait."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._last = time.monotonic()

    def answered(self, waiting: int) -> None:
        """A request was answered, and so many wait."""
        now = time.monotonic()
        if waiting > 0:
            self._seconds += WEIGHT * (now - self._last - self._seconds)
        self._last = now

    def is_too_long(self, waiting: int) -> bool:
        """Whether one more behind so many would wait for too long."""
        return waiting > FEW and waiting * self._seconds > MOST_SECONDS


class Count:
    """Webhooks that this process refused."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._new = 0
        self.total = 0
        """Since the process began."""

    def add(self) -> None:
        """One more."""
        with self._lock:
            self._new += 1
            self.total += 1

    def take(self) -> int:
        """How many were refused since this was asked last."""
        with self._lock:
            new, self._new = self._new, 0
        return new


refused = Count()
