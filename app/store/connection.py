"""The one connection to Redis: tries for a while, then `StoreUnavailable`; and Redis's clock."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
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

# The host's clock is trusted for as long as it takes to drift by nothing that matters.
CLOCK_TRUSTED = 5.0

# Seconds for which a refusal is tried again, at most. A failover is over by then or takes long, and a worker
# must get to what it can still do.
REFUSED_FOR = 2.0

T = TypeVar("T")


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
    # The master is looked up for each new connection, so that nothing has to be told of a failover.
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
    return StoreRefusesWrites(str(error))


class Connection:
    """Runs commands against Redis, again and again for `patience` seconds while it is away or refuses.

    Everything that is run must be safe to run twice: after a time-out nobody knows whether Redis did it.
    `timeout` (seconds) bounds each single try. Threads share so many `connections`, and wait for one.
    """

    def __init__(self, url: str, *, retry_seconds: float, timeout: float, connections: int = 7) -> None:
        self._client = _client(redis_address(url), timeout)
        self._retry_seconds = retry_seconds
        self._timeout = timeout
        self._free = threading.BoundedSemaphore(connections)
        self._request = threading.local()
        self._clock_offset = float("-inf")
        self._clock_checked = float("-inf")

    def script(self, source: str) -> Callable[[Sequence[str], Sequence[str | float]], Any]:
        """A Lua script, to be called with its keys and arguments. Raises `StoreUnavailable` when called."""
        script = self._client.register_script(source)
        return lambda keys, args: self.run(lambda _: script(keys=keys, args=args))

    def call(self, *command: str | float) -> Any:
        """The answer to one command. Raises `StoreUnavailable`."""
        return self.run(lambda client: client.execute_command(*command))  # type: ignore[no-untyped-call]

    def calls(self, commands: Iterable[Command], *, atomic: bool = False) -> list[Any]:
        """The answers to several commands, in one round trip. Raises `StoreUnavailable`."""
        commands = list(commands)
        if len(commands) == 1:
            return [self.call(*commands[0])]

        def ask(client: redis.Redis) -> list[Any]:
            pipe = client.pipeline(transaction=atomic)
            for command in commands:
                pipe.execute_command(*command)  # type: ignore[no-untyped-call]
            return pipe.execute()

        return self.run(ask) if commands else []

    @contextmanager
    def deadline(self, seconds: float) -> Iterator[None]:
        """All that this thread runs inside the block shares one deadline, `seconds` from now."""
        self._request.deadline = time.monotonic() + seconds
        try:
            yield
        finally:
            self._request.deadline = None

    def run(self, ask: Callable[[redis.Redis], T]) -> T:
        """What `ask` makes of the client. Raises `StoreUnavailable`."""
        began = time.monotonic()
        deadline = getattr(self._request, "deadline", None) or began + self._retry_seconds
        pause = 0.0
        while True:
            try:
                return self._try(ask, deadline)
            except redis.RedisError as error:
                failure = _unavailable(error)
                until = (
                    min(deadline, began + REFUSED_FOR)
                    if isinstance(failure, StoreRefusesWrites)
                    else deadline
                )
                # A try that hangs takes its whole time-out; one more has to fit in.
                cost = self._timeout if isinstance(error, redis.TimeoutError) else 0.0
                if time.monotonic() + pause + cost >= until:
                    raise failure from error
            time.sleep(pause)
            pause = min(0.2, pause * 2 or 0.01)

    def _try(self, ask: Callable[[redis.Redis], T], deadline: float) -> T:
        if not self._free.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise StoreUnavailable("Redis can't be reached (all connections to it are waiting).")
        try:
            return ask(self._client)
        finally:
            self._free.release()

    def now(self) -> datetime:
        """Redis's time, UTC: one clock for every host, whatever a host's own clock says."""
        if time.monotonic() - self._clock_checked > CLOCK_TRUSTED:
            self._check_clock()
        return datetime.fromtimestamp(time.monotonic() + self._clock_offset, UTC)

    def _check_clock(self) -> None:
        """An answer may be slow, or this process be stopped while it waits for it, so it says no more than
        between which two limits Redis's time is; what was known before stands if it lies between them."""
        asked = time.monotonic()
        # redis-py turns the answer into two integers: seconds, microseconds.
        seconds, microseconds = self.call("TIME")
        answered = time.monotonic()
        stated = seconds + microseconds / 1e6
        self._clock_offset = min(max(self._clock_offset, stated - answered), stated - asked)
        self._clock_checked = answered
