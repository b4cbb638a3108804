"""Every setting with its type, default and check, and what follows from several settings together."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr

from config.block import Block
from config.channels import Alert, ChannelSettings, Listed
from config.values import (
    ApiKey,
    ConfigId,
    Host,
    Name,
    Networks,
    PassPhrase,
    ProviderAddress,
    RedisUrl,
    Setting,
    SnsTopics,
    TitleTemplate,
    WebAddress,
    passwords_in,
    redis_url,
)

PROVIDER = "incident_io"
GO_PROVIDERS = ("aws_incident_manager", "pagerduty", "servicenow")
"""Providers of the Go edition alone."""
DEFAULT_SOURCE = "default"

_ID = "a config ID as incident.io shows it, without spaces and slashes"
_KEY = "an API key, without spaces and line ends"
_SWITCH = "true or false"
_PHRASE = "a secret of ASCII characters, without a space at either end"


class UnknownAlertSource(ValueError):
    """No alert source has the name that was asked for; the text lists the names that exist."""


@dataclass(frozen=True, slots=True)
class AlertSource:
    """An HTTP alert source of incident.io, complete with the key that it takes."""

    name: str
    id: str
    api_key: SecretStr


class Alternate(Block):
    """An alert source that a request may name."""

    id: Annotated[ConfigId, Setting(_ID)]
    api_key: Annotated[ApiKey | None, Setting(_KEY)] = None
    """Its own key; otherwise it takes the default one."""


class IncidentIo(Block):
    """The provider incident.io."""

    api_key: Annotated[ApiKey | None, Setting(_KEY, "INCIDENTIO_API_KEY")] = None
    alert_source_config_id: Annotated[ConfigId | None, Setting(_ID, "INCIDENTIO_ALERT_SOURCE_CONFIG_ID")] = (
        None
    )
    other_alert_source_config_ids: Annotated[
        Mapping[str, Alternate], Setting("a mapping of names to alert source config IDs")
    ] = Field(default={})
    base_url: Annotated[
        ProviderAddress,
        Setting("an https address such as https://api.incident.io", "INCIDENTIO_BASE_URL"),
    ] = "https://api.incident.io"
    title: Annotated[
        TitleTemplate, Setting("a Jinja template that renders, such as Incident {{ incident.id }}")
    ] = "Incident {{ incident.id }}"
    max_per_minute: Annotated[
        int, Field(ge=0), Setting("a whole number of events, 0 or more (0: no limit)")
    ] = 120
    """Events a minute and alert source; incident.io's documented limit. 0: no limit of ours."""
    heartbeat_config_id: Annotated[ConfigId | None, Setting(_ID)] = None

    @property
    def alert_sources(self) -> Mapping[str, AlertSource]:
        """`default` and the alternates, as far as they are complete."""
        ids = {DEFAULT_SOURCE: (self.alert_source_config_id, None)} | {
            name: (other.id, other.api_key) for name, other in self.other_alert_source_config_ids.items()
        }
        return {
            name: AlertSource(name, source_id, key)
            for name, (source_id, own_key) in ids.items()
            if source_id and (key := own_key or self.api_key)
        }

    def alert_source(self, name: str | None) -> AlertSource:
        """The source of that name in any case; None is the default one. Raises `UnknownAlertSource`."""
        sources = self.alert_sources
        wanted = DEFAULT_SOURCE if name is None else name.lower()
        if wanted not in sources:
            names = ", ".join(sources) or "none, as none is configured"
            raise UnknownAlertSource(f"There is no alert source {wanted[:100]!r}: the names are {names}.")
        return sources[wanted]


class OnCall(Block):
    """Whether, when and through whom somebody is paged."""

    enable: Annotated[bool, Setting(_SWITCH, "ONCALL_ENABLE", variable_wins=True)] = False
    initialized_only: Annotated[bool, Setting(_SWITCH)] = False
    """On-call is ready, but off unless a request asks for it."""
    wait_minutes: Annotated[
        float,
        Field(ge=0, le=10080, allow_inf_nan=False),
        Setting("a number of minutes from 0 to 10080 (a week)"),
    ] = 3.0
    provider: Annotated[
        Literal["incident_io", "aws_incident_manager", "pagerduty", "servicenow"],
        Setting("incident_io, the provider of this edition", "ONCALL_PROVIDER", variable_wins=True),
    ] = "incident_io"
    when_redis_is_down: Annotated[Literal["escalate", "reject"], Setting("escalate or reject")] = "escalate"
    incident_io: Annotated[IncidentIo, Setting("a mapping of settings")] = IncidentIo()

    @property
    def by_default(self) -> bool:
        """Whether a webhook that says nothing of on-call escalates."""
        return self.enable and not self.initialized_only

    @property
    def ready(self) -> bool:
        """Whether the credentials are complete, so that a request may ask for on-call."""
        return self.provider == PROVIDER and DEFAULT_SOURCE in self.incident_io.alert_sources

    @property
    def wanted(self) -> bool:
        """Whether the configuration asks for on-call, always or on request."""
        return self.enable or self.initialized_only


def _url_of_parts(parts: dict[str, Any]) -> SecretStr:
    password = parts["password"]
    return redis_url(
        parts["host"],
        parts["port"],
        parts["username"],
        password.get_secret_value() if password else None,
        parts["db"],
    )


class Redis(Block):
    """Where the incidents are."""

    host: Annotated[Host | None, Setting("a host name or an IP address, without scheme and port")] = None
    port: Annotated[int, Field(ge=1, le=65535), Setting("a whole number from 1 to 65535")] = 6379
    username: Annotated[str | None, Setting("a text")] = None
    password: Annotated[SecretStr | None, Setting("a text")] = None
    db: Annotated[int, Field(ge=0), Setting("a whole number, 0 or more")] = 0
    # After its parts, from which its default is made.
    url: Annotated[
        RedisUrl,
        Setting(
            "an address such as redis://, rediss:// or sentinel://host:port/0",
            "REDIS_URL",
            variable_wins=True,
        ),
    ] = Field(default_factory=_url_of_parts)
    """Wins over its parts; may hold a password."""

    @property
    def configured(self) -> bool:
        """Whether somebody said where Redis is; otherwise the address is that of the local machine."""
        return self.host is not None or "url" in self.model_fields_set

    def describe(self) -> dict[str, Any]:
        """As in any block; an address that can't hold a secret is shown, to see which Redis it is."""
        url = self.url.get_secret_value()
        plain = {} if "@" in url or "?" in url else {"url": url}
        return super().describe() | plain

    def secrets(self) -> list[str]:
        """The passwords, in each form that a message may have them in; a URL without one is no secret."""
        password = self.password.get_secret_value() if self.password else ""
        found = [password, *passwords_in(self.url.get_secret_value())]
        return list(dict.fromkeys(filter(None, found)))


class IntakeSignatures(Block):
    """What senders that sign their webhooks sign them with."""

    sentry: Annotated[PassPhrase | None, Setting(_PHRASE)] = None
    grafana: Annotated[PassPhrase | None, Setting(_PHRASE)] = None
    github: Annotated[PassPhrase | None, Setting(_PHRASE)] = None
    """For every sender that signs as GitHub does."""
    sns_topics: Annotated[
        SnsTopics | None,
        Setting(
            "ARNs of SNS topics such as arn:aws:sns:eu-central-1:123456789012:oncall, separated by commas"
        ),
    ] = None
    """SNS signs with a certificate that every AWS account shares, so it is the topic that counts."""


class Retention(Block):
    """How long resolved incidents are kept, and how much of rejected bodies."""

    days: Annotated[
        float, Field(ge=0.05, le=3650, allow_inf_nan=False), Setting("a number of days from 0.05 to 3650")
    ] = 30.0
    incidents: Annotated[
        int, Field(ge=1000, le=10_000_000), Setting("a whole number from 1000 to 10000000")
    ] = 100_000
    """The newest so many of them; those that are not resolved do not count."""
    rejected_mib: Annotated[int, Field(ge=1, le=1024), Setting("a whole number from 1 to 1024")] = 32
    """Of rejected bodies, the newest of them."""


class Config(Block):
    """The whole configuration."""

    name: Annotated[Name, Setting("a text of one line")] = "versus"
    host: Annotated[Host, Setting("an IP address or a host name, without scheme and port")] = "0.0.0.0"  # noqa: S104
    port: Annotated[
        int,
        Field(ge=1, le=65535),
        Setting("a whole number from 1 to 65535", "PORT", variable_wins=True),
    ] = 3000
    public_host: Annotated[
        WebAddress | None, Setting("an http or https address such as https://versus.example.com")
    ] = None
    gateway_secret: Annotated[
        PassPhrase | None,
        Setting(_PHRASE, "GATEWAY_SECRET"),
    ] = None
    trusted_proxies: Annotated[
        Networks,
        Setting("IP addresses or networks such as 10.0.0.0/8, separated by commas", "TRUSTED_PROXIES"),
    ] = ()
    """Whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed."""
    intake_secret: Annotated[PassPhrase | None, Setting(_PHRASE)] = None
    intake_signatures: Annotated[IntakeSignatures, Setting("a mapping of settings")] = IntakeSignatures()
    oncall: Annotated[OnCall, Setting("a mapping of settings")] = OnCall()
    alert: Annotated[Alert, Setting("a mapping of settings")] = Alert()
    retention: Annotated[Retention, Setting("a mapping of settings")] = Retention()
    redis: Annotated[Redis, Setting("a mapping of settings")] = Redis()
    warnings: tuple[str, ...] = Field(default=(), exclude=True)
    """What works, but probably not as meant; sentences for people. No setting."""

    @property
    def public_base(self) -> str:
        """The base of the links that people get; no slash at the end."""
        return self.public_host or f"http://localhost:{self.port}"

    @property
    def channels(self) -> tuple[ChannelSettings, ...]:
        """Every channel that is configured."""
        return tuple(self.alert.made())

    def secrets(self) -> list[str]:
        """As in any block, and the tokens in channels' addresses."""
        return list(dict.fromkeys([*super().secrets(), *(s for one in self.channels for s in one.secrets())]))

    @property
    def link_key(self) -> bytes:
        """Signs acknowledgement links; the same in every process with this configuration."""
        secret = self.gateway_secret or self.oncall.incident_io.api_key
        key = secret.get_secret_value() if secret else self.name
        return hmac.new(key.encode(), b"versus acknowledgement link", hashlib.sha256).digest()

    @property
    def session_key(self) -> bytes:
        """Signs the logins to the dashboard; another gateway secret ends them all."""
        secret = self.gateway_secret.get_secret_value() if self.gateway_secret else ""
        return hmac.new(secret.encode(), b"versus dashboard session", hashlib.sha256).digest()

    def unmet(self) -> Iterator[tuple[str, str]]:
        """What settings ask of each other and is not so: a dotted key, and the rest of the sentence."""
        yield from self.alert.unmet()
        if not self.oncall.wanted:
            return
        if self.oncall.provider != PROVIDER:
            yield (
                "oncall.provider",
                f"is {self.oncall.provider}, but this edition pages through {PROVIDER}: "
                f"set it to {PROVIDER}, or switch on-call off with oncall.enable: false "
                "and oncall.initialized_only: false",
            )
            return
        if self.oncall.incident_io.api_key is None:
            yield (
                "oncall.incident_io.api_key",
                "is missing while on-call is on: it must be the API key of your incident.io alert source",
            )
        if self.oncall.incident_io.alert_source_config_id is None:
            yield (
                "oncall.incident_io.alert_source_config_id",
                "is missing while on-call is on: it must be the config ID of your incident.io alert source",
            )


def _settings(block: type[Block], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Setting]]:
    for name, field in block.model_fields.items():
        for setting in (entry for entry in field.metadata if isinstance(entry, Setting)):
            yield (*path, name), setting
        if inner := inner_block(block, name):
            yield from _settings(inner, (*path, name))


def inner_block(block: type[Block], name: str) -> type[Block] | None:
    """The block that a key of a block holds, if it holds one."""
    kind = block.model_fields[name].annotation
    return kind if isinstance(kind, type) and issubclass(kind, Block) else None


ALTERNATES = ("oncall", "incident_io", "other_alert_source_config_ids")
CHANNELS = ("alert", "channels")
TEXTS = {("alert", "msteams", "other_power_urls"), ("alert", "lark", "other_webhook_urls")}
"""Mappings of names to texts."""
LISTS = {(*CHANNELS, "<name>", "events")}
"""Lists of texts."""
NAMED: dict[tuple[str, ...], type[Block]] = {ALTERNATES: Alternate, CHANNELS: Listed}
"""Mappings and lists whose entries are blocks."""
SETTINGS: dict[tuple[str, ...], Setting] = dict(_settings(Config))
"""Every key, as a path. The keys of what is named or listed stand under `<name>`."""
for _path, _block in NAMED.items():
    SETTINGS |= dict(_settings(_block, (*_path, "<name>")))

# Keys of channels that are secrets whatever they hold; the URL of a listed one may be none.
CHANNEL_SECRETS = {"token", "bot_token", "password", "signing_secret", "power_automate_url", "webhook_url"}


def is_secret(key: tuple[str, ...], text: str) -> bool:
    """Whether the file should not hold the value itself."""
    if rule_path(key) == (*CHANNELS, "<name>", "url"):
        # Besides the whole address, which may be one without a secret.
        return any(secret != text for secret in ChannelSettings("", SecretStr(text)).secrets())
    of_a_channel = key[0] == "alert" and (key[-1] in CHANNEL_SECRETS or key[:-1] in TEXTS)
    return key[-1] == "api_key" or of_a_channel


def rule_path(key: tuple[str, ...]) -> tuple[str, ...]:
    """Where the rules for a key stand in `SETTINGS`."""
    for path in NAMED:
        if key[: len(path)] == path and len(key) > len(path):
            return (*path, "<name>", *key[len(path) + 1 :])
    return key[:-1] if key[:-1] in TEXTS else key
