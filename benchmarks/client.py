"""A frugal HTTP client: it shares the cores with what it measures."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Mapping
from typing import Any

JSON = {"Content-Type": "application/json", "User-Agent": "benchmark"}
TIMEOUT_SECONDS = 30.0
TAKEN = (200, 201, 202)


class Client:
    """Posts JSON to one port of 127.0.0.1, over one kept-alive connection for each thread."""

    def __init__(self, port: int, headers: Mapping[str, str] | None = None) -> None:
        self.port = port
        self._headers = {**JSON, **(headers or {})}
        self._own = threading.local()

    @property
    def base(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self.port}"

    def post(self, path: str, body: bytes) -> bytes:
        """The body of the answer. Raises `RuntimeError` for a status that is none of `TAKEN`."""
        connection = getattr(self._own, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)
            self._own.connection = connection
        connection.request("POST", path, body, self._headers)
        answer = connection.getresponse()
        text: bytes = answer.read()
        if answer.status not in TAKEN:
            raise RuntimeError(f"{path} answered {answer.status}: {text[:200].decode('utf-8', 'replace')}")
        return text

    def report(self, incidents: Any, wait_seconds: float, **parameters: str) -> Any:
        """The JSON answer to a webhook whose incidents wait so long."""
        path = f"/api/incidents?oncall_wait_minutes={wait_seconds / 60:.8f}"
        path += "".join(f"&{name}={value}" for name, value in parameters.items())
        return json.loads(self.post(path, json.dumps(incidents).encode()))
