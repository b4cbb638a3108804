"""A frugal HTTP client: it shares the cores with what it measures."""

from __future__ import annotations

import http.client
import json
import threading
from typing import Any

JSON = {"Content-Type": "application/json"}
TIMEOUT_SECONDS = 30.0


class Client:
    """Posts JSON to one port of 127.0.0.1, over one kept-alive connection for each thread."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._own = threading.local()

    def post(self, path: str, body: bytes) -> bytes:
        """The body of the answer. Raises `RuntimeError` for a status that is neither 200 nor 201."""
        connection = getattr(self._own, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)
            self._own.connection = connection
        connection.request("POST", path, body, JSON)
        answer = connection.getresponse()
        text: bytes = answer.read()
        if answer.status not in (200, 201):
            raise RuntimeError(f"{path} answered {answer.status}: {text[:200].decode('utf-8', 'replace')}")
        return text

    def report(self, incidents: Any, wait_seconds: float) -> Any:
        """The JSON answer to a webhook whose incidents wait so long."""
        path = f"/api/incidents?oncall_wait_minutes={wait_seconds / 60:.8f}"
        return json.loads(self.post(path, json.dumps(incidents).encode()))
