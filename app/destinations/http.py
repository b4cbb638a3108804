"""One request whose whole call has a deadline: name look-up, connecting, TLS, sending, and a slow answer."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal, TypeVar

import requests
from pydantic import SecretStr
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth
from requests.cookies import RequestsCookieJar
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from app import __version__

T = TypeVar("T")

CONNECT_SECONDS = 3.0
"""For each address of the host; the deadline of the call holds for all of them."""
WHOLE_SECONDS = 10.0
"""For a call to a provider, from its beginning to its end."""
USER_AGENT = f"versus-incident/{__version__}"
ANSWER_BYTES = 64 * 1024
CONNECTIONS = 64


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What the server said; of its body the beginning, or nothing when that did not come in time."""

    status: int
    headers: Mapping[str, str]
    """Names in any case."""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Why there is no answer."""

    reason: Literal["timeout", "connection", "tls", "address"]
    """`address`: the URL, or that of a proxy, can't be used at all."""
    detail: str
    sent: bool = False
    """The server may have the request, whole or in part."""


def whole_call(deadline: float) -> float:
    """The earlier of `deadline` (of `time.monotonic()`, seconds) and 10 s from now."""
    return min(deadline, time.monotonic() + WHOLE_SECONDS)


def seconds_left(deadline: float) -> float:
    """Until `deadline` (of `time.monotonic()`, seconds), 10 s at most."""
    return whole_call(deadline) - time.monotonic()


def in_thread(name: str, work: Callable[[], T]) -> Future[T]:
    """The result of some work, which a thread of its own does: nobody has to wait for its end."""
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return done


class DeadlineExceeded(Exception):
    """The deadline of the call is over: nothing may be sent any more."""


class Bearer(AuthBase):
    """Sends the key, and nothing else does; an auth object, since ~/.netrc would win over a plain header."""

    def __init__(self, key: SecretStr) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key.get_secret_value()}"
        return request

    def redact(self, text: str) -> str:
        """The text without the key, for servers that echo it."""
        return text.replace(self._key.get_secret_value(), "<secret>")


class Basic(Bearer):
    """Sends a user and a password."""

    def __init__(self, user: str, password: SecretStr) -> None:
        super().__init__(password)
        self._user = user

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        HTTPBasicAuth(self._user.encode(), self._key.get_secret_value().encode())(request)
        return request


def _nobody(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """No credentials, not even those that ~/.netrc has for the host."""
    return request


class _Call:
    """The deadline of one call, and how far it came."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.connection: HTTPConnection | None = None
        self.sent = False
        self.answer: HttpAnswer | None = None

    def seconds_left(self) -> float:
        return self.deadline - time.monotonic()

    def abandon(self) -> None:
        """Free the thread that still waits for the server."""
        sock = self.connection.sock if self.connection else None
        # TLS to the server within TLS to a proxy has the real socket inside.
        sock = getattr(sock, "socket", sock)
        if sock is not None:
            with suppress(OSError):
                # Not `sock.shutdown`: on TLS it first makes a plain socket of it, under the other thread.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)


_current: ContextVar[_Call] = ContextVar("_current")


class _Connection(HTTPConnection):
    """Sends nothing after the deadline, not even when the process was stopped in between."""

    def connect(self) -> None:
        call = _current.get()
        call.connection = self
        try:
            super().connect()
        finally:
            # What may have been sent now was a CONNECT to a proxy, not the request.
            call.sent = False

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        call = _current.get()
        call.connection = self
        if call.seconds_left() <= 0:
            raise DeadlineExceeded
        call.sent = True
        super().send(data)


class _TlsConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS = {"http": _Pool, "https": _TlsPool}


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        # Those of a SOCKS proxy bring connections of their own.
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = _POOLS
        return manager


class _NoCookies(RequestsCookieJar):
    """One session serves all threads, so no answer may leave anything for the next call."""

    def set_cookie(self, *args: Any, **kwargs: Any) -> None:
        """Keep nothing."""


class Http:
    """Requests over pooled connections, for any number of threads; verifies TLS, follows no redirects.

    `answer_bytes`: so much of a body is read.
    """

    def __init__(self, user_agent: str = USER_AGENT, *, answer_bytes: int = ANSWER_BYTES) -> None:
        self._answer_bytes = answer_bytes
        self._session = requests.Session()
        self._session.cookies = _NoCookies()
        self._session.headers["User-Agent"] = user_agent
        self._environments: dict[str, Mapping[str, Any]] = {}
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _Adapter(pool_maxsize=CONNECTIONS))

    def post(
        self,
        url: str,
        body: bytes,
        *,
        auth: Bearer | None,
        deadline: float,
        method: Literal["POST", "PATCH"] = "POST",
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> HttpAnswer | NoAnswer:
        """Send a JSON body; over at `deadline` (of `time.monotonic()`), and nothing is sent after it.

        The call runs in a thread of its own, since no timeout of requests covers a slow name server, a slow
        TLS handshake or an answer that comes byte by byte. At the deadline the thread is left to itself.
        Nothing is sent a second time: whether to try again is for the caller, who knows what happened since.
        """
        sent = {"Content-Type": "application/json", **headers}
        request = requests.Request(method, url, sent, data=body, auth=auth or _nobody)
        return self._ask(request, deadline)

    def get(self, url: str, *, deadline: float, auth: Bearer | None = None) -> HttpAnswer | NoAnswer:
        """Fetch, without credentials unless they are given; ends as `post` does."""
        return self._ask(requests.Request("GET", url, auth=auth or _nobody), deadline)

    def _ask(self, request: requests.Request, deadline: float) -> HttpAnswer | NoAnswer:
        call = _Call(deadline)
        if call.seconds_left() <= 0:
            return NoAnswer("timeout", "the time had run out before anything was sent")
        done = in_thread(str(request.method).lower(), lambda: self._send(call, request))
        try:
            return done.result(call.seconds_left())
        except TimeoutError:
            # First the answer: to the thread, what follows may look like the end of one.
            answer = call.answer
            call.abandon()
            return answer or NoAnswer("timeout", "the time ran out", call.sent)

    def _send(self, call: _Call, request: requests.Request) -> HttpAnswer | NoAnswer:
        _current.set(call)
        left = max(0.001, call.seconds_left())
        try:
            with self._session.send(
                self._session.prepare_request(request),
                timeout=(min(CONNECT_SECONDS, left), left),
                allow_redirects=False,
                **self._environment(request),
            ) as response:
                # The status decides; a body that breaks off, or never ends, takes nothing from it.
                call.answer = HttpAnswer(response.status_code, response.headers)
                body = response.raw.read(self._answer_bytes, decode_content=True)
                call.answer = replace(call.answer, body=body)
        except Exception as error:
            # Besides their own these libraries let out what Python raises, as TypeError for a bad proxy.
            return call.answer or _failure(error, call.sent)
        return call.answer

    def _environment(self, request: requests.Request) -> Mapping[str, Any]:
        """Proxies and trusted certificates from the environment, which is slow to look through."""
        url = str(request.url)
        if url in self._environments:
            return self._environments[url]
        environment = self._session.merge_environment_settings(url, {}, True, True, None)
        # There is no end of URLs that strangers may want us to GET.
        if request.method != "GET":
            self._environments[url] = environment
        return environment


def _failure(error: Exception, sent: bool) -> NoAnswer:
    detail = _cause(error)
    if isinstance(error, DeadlineExceeded):
        return NoAnswer("timeout", "the time ran out before anything was sent", sent)
    if isinstance(error, requests.Timeout):
        return NoAnswer("timeout", "the time ran out" if sent else "could not connect in time", sent)
    if not sent and isinstance(error, (ValueError, TypeError)):
        return NoAnswer("address", f"the address, or that of a proxy, can't be used ({type(error).__name__})")
    certificates = isinstance(error, OSError) and not isinstance(error, requests.RequestException)
    if not sent and (certificates or isinstance(error, requests.exceptions.SSLError)):
        # Without a request under way, a bare OSError is about the file of trusted certificates.
        return NoAnswer("tls", detail)
    return NoAnswer("connection", detail, sent)


def _cause(error: BaseException) -> str:
    """What the system, TLS or the proxy said; not the library's texts, that may quote a proxy's password."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
        return str(error.strerror or error)
    if isinstance(error, http.client.HTTPException):
        return "the answer was not HTTP"
    return type(error).__name__
