"""Single values of the configuration: their types, and the checks that a type alone can't express."""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, UndefinedError
from jinja2.exceptions import SecurityError
from jinja2.sandbox import SandboxedEnvironment
from pydantic import AfterValidator, BeforeValidator, SecretStr

from config.redis_address import TLS_FILES, NotAnAddress, redis_address


class InvalidValue(ValueError):
    """A check failed; the text may be shown, so it never quotes the value."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What is known of a key besides its type."""

    right: str
    """Completes the sentence "… must be …"."""
    variable: str | None = None
    """The environment variable that sets it too."""
    variable_wins: bool = False
    """Whether the variable overrides the file; otherwise it fills in what the file leaves empty."""


# -- text ---------------------------------------------------------------------------------------------


def _config_id(text: str) -> str:
    # It becomes one segment of a URL's path.
    if not re.fullmatch(r"[!-~]+", text) or re.search(r"[/\\?#%]", text) or text in (".", ".."):
        raise InvalidValue
    return text


def _header_value(text: str) -> str:
    if not re.fullmatch(r"[!-~]([ -~]*[!-~])?", text):
        raise InvalidValue
    return text


def _token(secret: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[!-~]+", secret.get_secret_value()):
        raise InvalidValue
    return secret


def _pass_phrase(secret: SecretStr) -> SecretStr:
    _header_value(secret.get_secret_value())
    return secret


def _printable(text: str) -> str:
    if not text.isprintable():
        raise InvalidValue
    return text


def _sns_topics(text: Any) -> Any:
    # One text, so that a single variable can hold them all.
    topics = tuple(one.strip() for one in text.split(",") if one.strip()) if isinstance(text, str) else text
    if not all(
        re.fullmatch(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[\w-]{1,256}(\.fifo)?", one) for one in topics
    ):
        raise InvalidValue
    return topics or None


def _networks(text: Any) -> Any:
    # One text, so that a single variable can hold them all.
    named = [one.strip() for one in text.split(",") if one.strip()] if isinstance(text, str) else text
    try:
        return tuple(ipaddress.ip_network(one) for one in named)
    except (TypeError, ValueError) as error:
        raise InvalidValue from error


def _header_names(text: Any) -> Any:
    names = [one.strip() for one in text.split(",") if one.strip()] if isinstance(text, str) else text
    if not isinstance(names, list | tuple):
        raise InvalidValue
    if not all(isinstance(one, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,100}", one) for one in names):
        raise InvalidValue
    return tuple(names)


Name = Annotated[str, AfterValidator(_printable)]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Networks = Annotated[tuple[Network, ...], BeforeValidator(_networks)]
Words = Annotated[
    tuple[str, ...],
    BeforeValidator(lambda text: tuple(one.strip().lower() for one in text.split(",") if one.strip())),
]
"""Several, separated by commas."""
HeaderNames = Annotated[tuple[str, ...], BeforeValidator(_header_names)]
SnsTopics = Annotated[tuple[str, ...], BeforeValidator(_sns_topics)]
ConfigId = Annotated[str, AfterValidator(_config_id)]
ApiKey = Annotated[SecretStr, AfterValidator(_token)]
"""Goes into a header: visible ASCII without spaces."""
PassPhrase = Annotated[SecretStr, AfterValidator(_pass_phrase)]
"""Comes in a header: ASCII, no space at either end."""


# -- addresses ----------------------------------------------------------------------------------------


def _web_address(text: str) -> str:
    parts = urlsplit(text)
    plain = re.fullmatch(r"[!-~]+", text) and not (parts.query or parts.fragment or "@" in parts.netloc)
    # `port` raises ValueError unless it is a port.
    if not plain or parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise InvalidValue
    return text.rstrip("/?#")


def _tls_or_loopback(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise InvalidValue("plain http is for localhost alone, since the API key must travel over TLS")
    return text


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _host(text: str) -> str:
    if not re.fullmatch(r"[^\s/@?#\[\]\x00-\x1f]+", text):
        raise InvalidValue
    if ":" in text:
        # An IPv6 address; `name:port` and anything else raises ValueError.
        ipaddress.IPv6Address(text)
    return text


WebAddress = Annotated[str, AfterValidator(_web_address)]
"""http or https; without a slash at the end."""
ProviderAddress = Annotated[str, AfterValidator(_web_address), AfterValidator(_tls_or_loopback)]
Host = Annotated[str, AfterValidator(_host)]


# -- Redis --------------------------------------------------------------------------------------------


def _redis_url(secret: SecretStr) -> SecretStr:
    try:
        address = redis_address(secret.get_secret_value())
    except NotAnAddress as error:
        raise InvalidValue(*error.args) from None
    for name in TLS_FILES:
        # Found out now: the connection would only ever say that Redis can't be reached.
        if address.tls and name in address.tls and not os.access(str(address.tls[name]), os.R_OK):
            raise InvalidValue(f"its {name} names nothing that can be read here")
    return secret


def _ca_file(path: str) -> str:
    if not Path(path).is_file():
        raise InvalidValue("there is no such file")
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:
        raise InvalidValue("it holds no certificate" if isinstance(error, ssl.SSLError) else "") from None
    return path


RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
CaFile = Annotated[str, AfterValidator(_ca_file)]


def redis_url(host: str | None, port: int, username: str | None, password: str | None, db: int) -> SecretStr:
    """The URL of a Redis given by its parts; credentials are percent-encoded."""
    if host is None:
        return SecretStr("redis://localhost:6379/0")
    credentials = quote(username or "", safe="")
    if password:
        credentials += ":" + quote(password, safe="")
    host = f"[{host}]" if ":" in host else host
    return SecretStr(f"redis://{credentials}{'@' if credentials else ''}{host}:{port}/{db}")


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


# -- the title of an event ----------------------------------------------------------------------------


class _AnyLabel(dict[str, str]):
    """Labels are the sender's, so a template may ask for any."""

    def __missing__(self, name: str) -> str:
        return name


_NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
SAMPLE_INCIDENT = SimpleNamespace(
    id="3f0c4a52-8a59-4e0e-9d1f-6f4c2d7a9b10",
    state="escalating",
    title="Disk almost full",
    source="alertmanager",
    created_at=_NOON,
    description="92 % of /var is used.",
    severity="high",
    service="checkout",
    source_url="https://alerts.example.com/1",
    started_at=_NOON,
    labels=_AnyLabel(),
    identity="a1b2c3",
    alert_source="default",
    occurrences=1,
    due_at=_NOON,
    acknowledged_at=_NOON,
    acknowledged_by="somebody",
    escalated_at=_NOON,
    failed_at=_NOON,
    resolved_at=_NOON,
    attempts=1,
    last_error="timeout",
)
"""What a template may use of an incident, all of it set, so that only a wrong template fails."""

# What running somebody's template may raise; MemoryError and RecursionError are its doing too.
_TEMPLATE_ERRORS = (
    TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)


def _title(template: str) -> str:
    try:
        environment = SandboxedEnvironment(undefined=StrictUndefined)
        environment.from_string(template).render(incident=SAMPLE_INCIDENT)
    except _TEMPLATE_ERRORS as error:
        raise InvalidValue(_why(error)) from None
    return template


def _why(error: Exception) -> str:
    # Jinja's own words quote the template, and a variable may have put a secret there.
    if isinstance(error, TemplateSyntaxError):
        return f"line {error.lineno} is not valid Jinja"
    if isinstance(error, UndefinedError):
        return f"it asks for what does not exist; incident has {', '.join(vars(SAMPLE_INCIDENT))}"
    if isinstance(error, SecurityError):
        return "it asks for what a template must not reach"
    return f"rendering it ends in {type(error).__name__}"


TitleTemplate = Annotated[str, AfterValidator(_title)]
