"""The prefix under which the service is reached, and paths of the intake that are almost right."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

INTAKE = "/api/incidents"

FORWARDED = "versus.forwarded_prefix"
"""In the environment of a request: the prefix that a trusted proxy named (`app/web/http/proxies.py`)."""

_SLASHES = re.compile("/{2,}")


class Paths:
    """Passes requests on with the prefix before our own paths as `SCRIPT_NAME`, so that links carry it.

    A proxy may take the prefix off or leave it there. Senders write `/api/incidents/` and `//api/incidents`
    for the intake, and do not follow redirects.
    """

    def __init__(self, app: WSGIApplication, prefix: str, has: Callable[[str, str], bool]) -> None:
        """`prefix`: that of the configuration. `has`: whether there is such a path, for a method."""
        self._app = app
        self._prefix = prefix
        self._has = has

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        prefix = environ.get(FORWARDED, self._prefix)
        path = environ.get("PATH_INFO", "")
        if prefix and path.startswith(f"{prefix}/") and not self._has(path, environ["REQUEST_METHOD"]):
            path = path.removeprefix(prefix)
        plain = _SLASHES.sub("/", path).rstrip("/")
        if plain in (INTAKE, f"{prefix}{INTAKE}"):
            path = INTAKE
        environ["SCRIPT_NAME"] = prefix
        environ["PATH_INFO"] = path
        return self._app(environ, start_response)
