"""Single values of the configuration: their types, and the checks that a type alone can't express."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Literal, TypeVar, get_args
from urllib.parse import urlsplit

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, UndefinedError
from jinja2.exceptions import SecurityError
from jinja2.sandbox import SandboxedEnvironment
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, StringConstraints

from config.redis_address import TLS_FILES, NotAnAddress, redis_address

Severity = Literal["critical", "high", "medium", "low", "info"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)

SWITCH = "true or false"
"""What a setting that is on or off must be."""

Key = tuple[str, ...]
"""The path of a setting, from the top of the file."""

Text = TypeVar("Text", str, SecretStr)


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


def matching(pattern: str) -> AfterValidator:
    """A check that the whole text, which may be a secret, has this form."""

    def check(value: Text) -> Text:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if not re.fullmatch(pattern, text):
            raise InvalidValue
        return value

    return AfterValidator(check)


def _printable(text: str) -> str:
    if not text.isprintable():
        raise InvalidValue
    return text


def _separated(value: object) -> object:
    return [one.strip() for one in value.split(",") if one.strip()] if isinstance(value, str) else value


SEPARATED = BeforeValidator(_separated)
"""Several, separated by commas: one text, so that a single variable can hold them all."""


def _reopen_on(words: tuple[str, ...]) -> tuple[str, ...]:
    # An empty setting would have its default.
    if words == ("none",):
        return ()
    if not set(words) <= set(REOPEN_ON):
        raise InvalidValue
    return words


Name = Annotated[str, AfterValidator(_printable)]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Networks = Annotated[tuple[Network, ...], SEPARATED]
Words = Annotated[tuple[Annotated[str, StringConstraints(to_lower=True)], ...], SEPARATED]
REOPEN_ON = ("severity", "members")
ReopenOn = Annotated[Words, AfterValidator(_reopen_on)]
HeaderName = Annotated[str, matching("[A-Za-z0-9_-]{1,100}")]
HeaderNames = Annotated[tuple[HeaderName, ...], SEPARATED]
SnsTopics = Annotated[
    tuple[Annotated[str, matching(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[\w-]{1,256}(\.fifo)?")], ...],
    SEPARATED,
    AfterValidator(lambda topics: topics or None),
]
# It becomes one segment of a URL's path.
ConfigId = Annotated[str, matching(r"(?!\.\.?$)((?![/\\?#%])[!-~])+")]
Arn = Annotated[str, matching(r"arn:aws[a-z-]*:ssm-incidents:[\w:-]*:response-plan/[\w-]{1,200}")]
TableName = Annotated[str, matching(r"\w{1,80}")]
ApiKey = Annotated[SecretStr, matching("[!-~]+")]
"""Goes into a header: visible ASCII without spaces."""
PassPhrase = Annotated[SecretStr, matching("[!-~]([ -~]*[!-~])?")]
"""Comes in a header: ASCII, no space at either end."""
Headers = Mapping[HeaderName, PassPhrase]
Port = Annotated[int, Field(ge=1, le=65535)]


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


def _secret_address(secret: SecretStr) -> SecretStr:
    address, _, query = secret.get_secret_value().partition("?")
    _tls_or_loopback(_web_address(address))
    if query and not re.fullmatch(r"[!-~]+", query):
        raise InvalidValue
    return secret


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
SecretAddress = Annotated[SecretStr, AfterValidator(_secret_address)]
"""A `ProviderAddress` that may hold a token; it may have a query."""
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
    previous_id=None,
    next_id=None,
    due_at=_NOON,
    held_until=_NOON,
    silenced_until=_NOON,
    rule="not at night",
    acknowledged_at=_NOON,
    acknowledged_by="somebody",
    acknowledged_until=None,
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


def _json_template(template: str) -> str:
    environment = SandboxedEnvironment(undefined=StrictUndefined)
    environment.policies["json.dumps_kwargs"] = {"default": str}
    try:
        rendered = environment.from_string(template).render(incident=SAMPLE_INCIDENT, event="firing", url="")
        json.loads(rendered)
    except json.JSONDecodeError as error:
        raise InvalidValue(f"what it renders is not JSON, line {error.lineno}") from None
    except _TEMPLATE_ERRORS as error:
        raise InvalidValue(_why(error)) from None
    return template


JsonTemplate = Annotated[str, AfterValidator(_json_template)]
TitleTemplate = Annotated[str, AfterValidator(_title)]
