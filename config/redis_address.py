"""What a Redis URL means: which servers, which user, which certificates; one reading for store and broker."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from pydantic import SecretStr

DEFAULT_PORT = {"redis": 6379, "rediss": 6379, "sentinel": 26379}
DEFAULT_MASTER = "mymaster"

_NODE = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]*)(?::(\d{1,5}))?")
_VERIFY = ("required", "optional", "none")
TLS_FILES = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")
_TLS = (*TLS_FILES, "ssl_password", "ssl_cert_reqs", "ssl_check_hostname")
_SENTINEL = ("master_name", "sentinel_username", "sentinel_password", "ssl")
_ANY = ("db", "username", "password")
_PARAMETERS = {"redis": _ANY, "rediss": (*_ANY, *_TLS), "sentinel": (*_ANY, *_TLS, *_SENTINEL)}


class NotAnAddress(ValueError):
    """The URL can't be read; the text says why, may be empty, and quotes nothing that may be secret."""


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """One Redis, or the sentinels that know which Redis is the master."""

    nodes: tuple[tuple[str, int], ...]
    """Host and port of the Redis; with `master_name`, of each sentinel."""
    db: int = 0
    username: str | None = None
    password: SecretStr | None = None
    master_name: str | None = None
    """The name that the sentinels have for it; None when there are no sentinels."""
    sentinel_username: str | None = None
    sentinel_password: SecretStr | None = None
    tls: Mapping[str, str | bool] | None = field(default=None, repr=False)
    """Options by redis-py's names, `ssl_cert_reqs` always among them; None: no TLS."""

    @property
    def url(self) -> str:
        """As Celery writes it, with credentials and without options."""
        scheme = "sentinel" if self.master_name is not None else "rediss" if self.tls else "redis"
        credentials = quote(self.username or "", safe="")
        if self.password:
            credentials += ":" + quote(self.password.get_secret_value(), safe="")
        at = "@" if credentials else ""
        return ";".join(
            f"{scheme}://{credentials}{at}{f'[{host}]' if ':' in host else host}:{port}/{self.db}"
            for host, port in self.nodes
        )


def redis_address(url: str) -> RedisAddress:
    """Read `redis://`, `rediss://` or `sentinel://` with one host, or several sentinels.

    Sentinels are separated by commas, or as Celery writes them:
    `sentinel://one:26379;sentinel://two:26379/0`. Raises `NotAnAddress`.
    """
    scheme = url.partition("://")[0]
    if scheme not in DEFAULT_PORT or not re.fullmatch(r"[!-~]+", url):
        raise NotAnAddress
    path, parameters = "", ""
    nodes: list[tuple[str, int]] = []
    credentials = ""
    for part in url.split(";") if scheme == "sentinel" else [url]:
        given, nodes_here, path, parameters = _split(part, scheme)
        credentials = credentials or given
        nodes += nodes_here
    if len(nodes) > 1 and scheme != "sentinel":
        raise NotAnAddress("several hosts are for sentinel:// alone")
    query = _query(parameters, scheme)
    username, _, password = (unquote(part) for part in credentials.partition(":"))
    return RedisAddress(
        nodes=tuple(nodes),
        db=_db(query.get("db", path.strip("/"))),
        username=username or query.get("username"),
        password=_secret(password or query.get("password")),
        master_name=query.get("master_name", DEFAULT_MASTER) if scheme == "sentinel" else None,
        sentinel_username=query.get("sentinel_username"),
        sentinel_password=_secret(query.get("sentinel_password")),
        tls=_tls(query, always=scheme == "rediss"),
    )


def with_tls(
    url: str, *, tls: bool | None = None, ca_cert: str | None = None, skip_verify: bool = False
) -> str:
    """The URL with what is said of TLS beside it, which wins over its parameters.

    Raises `NotAnAddress` when it asks for TLS and `tls` is false.
    """
    if tls is False and encrypted(url):
        raise NotAnAddress("it asks for TLS, while redis.tls (REDIS_TLS) is false: change one of them")
    if not tls and not encrypted(url):
        return url
    scheme, _, rest = url.partition("://")
    base, _, parameters = rest.partition("?")
    query = dict(parse_qsl(parameters, keep_blank_values=True))
    if scheme == "sentinel":
        query["ssl"] = "true"
    if ca_cert:
        query["ssl_ca_certs"] = ca_cert
    if skip_verify:
        query["ssl_cert_reqs"] = "none"
    base = f"{scheme if scheme == 'sentinel' else 'rediss'}://{base}"
    return f"{base}?{urlencode(query, safe='/', quote_via=quote)}" if query else base


def encrypted(url: str) -> bool:
    """Whether it asks for TLS."""
    return redis_address(url).tls is not None


def _secret(text: str | None) -> SecretStr | None:
    return SecretStr(text) if text else None


def _split(url: str, scheme: str) -> tuple[str, list[tuple[str, int]], str, str]:
    """Credentials, nodes, path and query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise NotAnAddress("its host can't be read") from None
    if parts.scheme != scheme:
        raise NotAnAddress("all of its parts must begin with sentinel://")
    credentials, _, hosts = parts.netloc.rpartition("@")
    if parts.fragment or not re.fullmatch(r"/?\d*", parts.path):
        raise _unquoted()
    return credentials, list(_nodes(hosts, scheme)), parts.path, parts.query


def _unquoted() -> NotAnAddress:
    # A / or # or ? in the password ends the host too early, and what follows makes no sense.
    return NotAnAddress("characters such as / # ? @ in its password must be percent-encoded")


def _nodes(hosts: str, scheme: str) -> Iterator[tuple[str, int]]:
    for one in hosts.split(","):
        match = _NODE.fullmatch(one)
        if match is None:
            raise _unquoted()
        port = int(match[2] or DEFAULT_PORT[scheme])
        if not 1 <= port <= 65535:
            raise NotAnAddress("a port is a number from 1 to 65535")
        yield unquote(match[1]).strip("[]") or "localhost", port


def _query(text: str, scheme: str) -> dict[str, str]:
    try:
        query = dict(parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text)))
    except ValueError:
        raise _unquoted() from None
    if unknown := sorted(query.keys() - set(_PARAMETERS[scheme])):
        # Not quoted: it may be the rest of a password with a ? in it.
        raise NotAnAddress(
            f"{len(unknown)} of its parameters can't be used; it may have {', '.join(_PARAMETERS[scheme])}, "
            "and a ? in its password must be percent-encoded"
        )
    return query


def _db(text: str) -> int:
    if not re.fullmatch(r"\d{0,5}", text):
        raise NotAnAddress("its database is a number")
    return int(text or 0)


def _tls(query: Mapping[str, str], *, always: bool) -> dict[str, str | bool] | None:
    options: dict[str, str | bool] = {name: query[name] for name in _TLS if name in query}
    if not (always or options or _true(query.get("ssl", "false"), "ssl")):
        return None
    # Celery writes CERT_NONE, redis-py none.
    verify = query.get("ssl_cert_reqs", "required").lower().removeprefix("cert_")
    if verify not in _VERIFY:
        raise NotAnAddress(f"ssl_cert_reqs is one of {', '.join(_VERIFY)}")
    options["ssl_cert_reqs"] = verify
    options["ssl_check_hostname"] = verify != "none" and _true(
        query.get("ssl_check_hostname", "true"), "ssl_check_hostname"
    )
    return options


def _true(text: str, name: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise NotAnAddress(f"{name} is true or false")
    return text.lower() == "true"


def passwords_in(url: str) -> Iterator[str]:
    """Every password in a Redis URL as written and as meant, and the URL itself if there is one."""
    given = [
        part.rpartition("@")[0].rpartition("://")[2].partition(":")[2]
        for part in url.partition("?")[0].split(";")
        if "@" in part
    ]
    given += [value for name, value in parse_qsl(url.partition("?")[2]) if name.endswith("password")]
    for password in filter(None, given):
        yield from (url, password, unquote(password), quote(unquote(password), safe=""))
