"""The one connection to Redis: tries for a while, then `StoreUnavailable`."""

from __future__ import annotations

import hashlib
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from queue import Empty, LifoQueue
from typing import Any, TypeVar

import redis
from pydantic import SecretStr
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from config.redis_address import RedisAddress, redis_address

PREFIX = "versus:"

Command = tuple[str | float, ...]
"""A Redis command with its arguments."""

# Seconds for which a refusal is tried again, at most. A failover is over by then or takes long, and a worker
# must get to what it can still do.
REFUSED_FOR = 2.0

T = TypeVar("T")
Ask = Callable[[Sequence[Command]], list[Any]]
"""Sends commands in one round trip; an answer that is a refusal is an error among the answers."""


def utc(seconds: str | float) -> datetime:
    """A time as scores and fields hold it: seconds since 1970."""
    return datetime.fromtimestamp(float(seconds), UTC)


class StoreUnavailable(Exception):
    """Redis can't be reached, or refuses to work, for longer than we were willing to wait."""


class StoreNotVerified(StoreUnavailable):
    """Redis's certificate was not accepted; until the configuration is changed it won't be."""


class StoreLoginRefused(StoreUnavailable):
    """Redis refuses the user or the password; another password may be right again later."""


class StoreRefusesWrites(StoreUnavailable):
    """Redis answers and refuses, whatever it says: READONLY, NOREPLICAS, OOM, MISCONF, NOPERM, MASTERDOWN.

    What it refuses are writes, mostly: it may still be read.
    """

    def __init__(self, answer: str) -> None:
        super().__init__(f"Redis refuses to work: {answer}")
        self.answer = answer


class WrongType(StoreRefusesWrites):
    """A key holds something of another kind than it was asked for; to ask again changes nothing."""


def _client(address: RedisAddress, timeout: float) -> redis.Redis:
    options: dict[str, Any] = {
        "socket_keepalive": True,
        # Plain replies, the same from every server version.
        "protocol": 2,
        # Trying again is decided here, where the deadline of the whole request is known.
        "retry": Retry(NoBackoff(), 0),
        "ssl": address.tls is not None,
        **(address.tls or {}),
    }
    redis_options = {
        **options,
        **_user(address.username, address.password),
        **_timeouts(timeout),
        "db": address.db,
        "decode_responses": True,
        # What was damaged is no reason to answer nothing.
        "encoding_errors": "replace",
    }
    if address.master_name is None:
        host, port = address.nodes[0]
        return redis.Redis(host=host, port=port, **redis_options)
    sentinel_options = {
        **options,
        **_user(address.sentinel_username, address.sentinel_password),
        # Asking one after the other, some of them dead, may take no longer than one try.
        **_timeouts(timeout / len(address.nodes)),
    }
    # The master is looked up for each new connection, so that a failover needs nothing else.
    sentinels = Sentinel(  # type: ignore[no-untyped-call]
        address.nodes, sentinel_kwargs=sentinel_options, **redis_options
    )
    master: redis.Redis = sentinels.master_for(address.master_name)  # type: ignore[no-untyped-call]
    return master


def _user(name: str | None, password: SecretStr | None) -> dict[str, Any]:
    return {"username": name, "password": password.get_secret_value() if password else None}


def _timeouts(seconds: float) -> dict[str, Any]:
    return {"socket_timeout": seconds, "socket_connect_timeout": seconds}


def _unreachable(error: redis.RedisError) -> StoreUnavailable:
    """Says why Redis can't be reached, in words that name neither host nor user."""
    if isinstance(error, redis.AuthenticationError):
        return StoreLoginRefused("Redis can't be reached (it refuses the user name or the password).")
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = cause.verify_message.rstrip(".")
            return StoreNotVerified(f"Redis can't be reached (its certificate was not accepted: {why}).")
        cause = cause.__cause__ or cause.__context__
    return StoreUnavailable(f"Redis can't be reached ({type(error).__name__}).")


def first_contact(url: str, timeout: float) -> StoreUnavailable | None:
    """What is wrong when Redis is asked for the first time, or None; each try may take `timeout` seconds.

    Sentinels are asked one by one where none leads to Redis: together they don't say why.
    """
    address = redis_address(url)
    failed = _failure(address, timeout)
    if failed is None or address.master_name is None:
        return failed
    for node in address.nodes:
        sentinel = RedisAddress(
            nodes=(node,),
            username=address.sentinel_username,
            password=address.sentinel_password,
            tls=address.tls,
        )
        asked = _failure(sentinel, timeout)
        if isinstance(asked, StoreNotVerified | StoreLoginRefused):
            return asked
    return failed


def _failure(address: RedisAddress, timeout: float) -> StoreUnavailable | None:
    client = _client(address, timeout)
    try:
        client.ping()
    except redis.RedisError as error:
        return _unreachable(error)
    finally:
        client.close()
    return None


def _unavailable(error: redis.RedisError) -> StoreUnavailable:
    # Those of connections include a refused password, and LOADING.
    if isinstance(error, redis.ConnectionError | redis.TimeoutError):
        return _unreachable(error)
    return (WrongType if "WRONGTYPE" in str(error) else StoreRefusesWrites)(str(error))


def _accepted(answers: list[Any]) -> list[Any]:
    """The answers; raises the first that is a refusal."""
    for answer in answers:
        if isinstance(answer, redis.ResponseError):
            raise answer
    return answers


class Script:
    """A Lua script, sent whole only to a server that does not know it. Its methods raise
    `StoreUnavailable`.
    """

    def __init__(self, connection: Connection, source: str) -> None:
        self._connection = connection
        self._source = source
        self._digest = hashlib.sha1(source.encode()).hexdigest()  # noqa: S324

    def __call__(self, keys: Sequence[str], args: Sequence[str | float]) -> Any:
        """The answer to one call."""
        return self.each([(keys, args)])[0]

    def each(self, calls: Iterable[tuple[Sequence[str], Sequence[str | float]]]) -> list[Any]:
        """The answers to several calls, in one round trip."""
        words = [(len(keys), *keys, *args) for keys, args in calls]
        return self._connection.run(lambda ask: _accepted(self._answers(ask, words))) if words else []

    def _answers(self, ask: Ask, words: list[Command]) -> list[Any]:
        answers = ask([("EVALSHA", self._digest, *call) for call in words])
        for i, answer in enumerate(answers):
            if isinstance(answer, redis.exceptions.NoScriptError):
                # A server that was started anew knows it from now on.
                [answers[i]] = ask([("EVAL", self._source, *words[i])])
        return answers


class Connection:
    """Runs commands against Redis, again and again for `retry_seconds` while it is away or refuses.

    Everything that is run must be safe to run twice: after a time-out nobody knows whether Redis did it.
    `timeout` (seconds) bounds each single try. Threads share so many `connections`, and wait for one.
    """

    def __init__(self, url: str, *, retry_seconds: float, timeout: float, connections: int = 7) -> None:
        # Kept, since connections through Sentinel ask its pool for the master, and hold that only weakly.
        self._client = client = _client(redis_address(url), timeout)
        self._callbacks: dict[str, Callable[[Any], Any]] = dict(client.response_callbacks)
        # The one that was used last is used next: where one has timed out, the others may hang as well.
        self._free: LifoQueue[Any] = LifoQueue()
        for _ in range(connections):
            self._free.put(client.connection_pool.make_connection())
        self._retry_seconds = retry_seconds
        self._timeout = timeout
        self._request = threading.local()

    def script(self, source: str) -> Script:
        """What runs this Lua."""
        return Script(self, source)

    def call(self, *command: str | float) -> Any:
        """The answer to one command. Raises `StoreUnavailable`."""
        return self.calls([command])[0]

    def calls(self, commands: Iterable[Command]) -> list[Any]:
        """The answers to several commands, in one round trip. Raises `StoreUnavailable`."""
        commands = list(commands)
        return self.run(lambda ask: _accepted(ask(commands))) if commands else []

    @contextmanager
    def deadline(self, seconds: float) -> Iterator[None]:
        """All that this thread runs inside the block shares one deadline, `seconds` from now."""
        self._request.deadline = time.monotonic() + seconds
        try:
            yield
        finally:
            self._request.deadline = None

    def run(self, work: Callable[[Ask], T]) -> T:
        """What `work` makes of Redis's answers. Raises `StoreUnavailable`."""
        began = time.monotonic()
        deadline = getattr(self._request, "deadline", None) or began + self._retry_seconds
        pause = 0.0
        while True:
            try:
                return self._try(work, deadline)
            except redis.RedisError as error:
                failure = _unavailable(error)
                until = (
                    min(deadline, began + REFUSED_FOR)
                    if isinstance(failure, StoreRefusesWrites)
                    else deadline
                )
                until = began if isinstance(failure, WrongType) else until
                # A try that hangs takes its whole time-out; one more has to fit in.
                cost = self._timeout if isinstance(error, redis.TimeoutError) else 0.0
                if time.monotonic() + pause + cost >= until:
                    raise failure from error
            time.sleep(pause)
            pause = min(0.2, pause * 2 or 0.01)

    def _try(self, work: Callable[[Ask], T], deadline: float) -> T:
        try:
            connection = self._free.get(timeout=max(0.0, deadline - time.monotonic()))
        except Empty:
            raise StoreUnavailable("Redis can't be reached (all connections to it are waiting).") from None
        try:
            return work(partial(self._ask, connection))
        finally:
            self._free.put(connection)

    def _ask(self, connection: Any, commands: Sequence[Command]) -> list[Any]:
        try:
            # Nothing if it is connected; otherwise one through Sentinel would not ask it for the master.
            connection.connect()
            connection.send_packed_command(connection.pack_commands(commands))
            return [self._answer(connection, str(command[0])) for command in commands]
        except BaseException:
            # What is still to come would be taken for the answer to another command.
            connection.disconnect()
            raise

    def _answer(self, connection: Any, name: str) -> Any:
        try:
            answer = connection.read_response()
        except redis.ResponseError as error:
            return error
        callback = self._callbacks.get(name)
        return callback(answer) if callback else answer
