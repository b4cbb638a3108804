"""Where a request came from: what a proxy says of it is believed only if the proxy is one of ours."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from app.web.http.paths import FORWARDED
from config import Network

# It comes back in links: nothing in it may lead to another host, or end an attribute.
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]{1,100}){1,10}")


PERSON = "versus.person"
"""Of the environment of a request: who sent it, as a trusted proxy says."""


class Proxies:
    """Passes requests on with the address, scheme and prefix that the client used, as trusted proxies say.

    Each proxy appends to `X-Forwarded-For` whom it heard from, so the client is the last one in it that is no
    proxy of ours; whatever stands before that, the client may have invented.
    """

    def __init__(
        self, app: WSGIApplication, trusted: Sequence[Network], name_header: str | None = None
    ) -> None:
        self._app = app
        self._trusted = trusted
        self._name_key = f"HTTP_{name_header.upper().replace('-', '_')}" if name_header else ""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        peer = environ.get("REMOTE_ADDR", "")
        if self._is_ours(peer):
            stated = [
                one.strip() for one in environ.get("HTTP_X_FORWARDED_FOR", "").split(",") if one.strip()
            ]
            hops = [peer, *reversed(stated)]
            environ["REMOTE_ADDR"] = next((hop for hop in hops if not self._is_ours(hop)), hops[-1])
            scheme = environ.get("HTTP_X_FORWARDED_PROTO", "").rpartition(",")[2].strip().lower()
            if scheme in ("http", "https"):
                environ["wsgi.url_scheme"] = scheme
            prefix = environ.get("HTTP_X_FORWARDED_PREFIX", "").rpartition(",")[2].strip().rstrip("/")
            if _PREFIX.fullmatch(prefix):
                environ[FORWARDED] = prefix
            # What a client wrote itself stands before what the proxy added.
            environ[PERSON] = environ.get(self._name_key, "").rpartition(",")[2].strip()
        return self._app(environ, start_response)

    def _is_ours(self, address: str) -> bool:
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        # A socket that listens for both kinds shows IPv4 in this form.
        ip = (ip.ipv4_mapped or ip) if ip.version == 6 else ip
        return any(ip in network for network in self._trusted)
