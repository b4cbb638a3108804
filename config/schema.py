"""Every setting with its type, default and check, and what follows from several settings together."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from config.block import Block
from config.channels import Alert, ChannelSettings
from config.intake import PHRASE, Intake, IntakeSignatures, Queue
from config.providers import (
    DEFAULT,
    AwsIncidentManager,
    IncidentIo,
    PagerDuty,
    ProviderBlock,
    ServiceNow,
    Webhook,
)
from config.redis_settings import Redis
from config.rules import Known, Rule, wrong_with
from config.values import (
    REOPEN_ON,
    SWITCH,
    HeaderName,
    Host,
    Name,
    Networks,
    PassPhrase,
    Port,
    ReopenOn,
    Setting,
    WebAddress,
    Words,
)


class UnknownAlertSource(ValueError):
    """No alert source, or what another provider calls it, has that name; the text lists those that exist."""


ProviderName = Literal["incident_io", "pagerduty", "servicenow", "aws_incident_manager", "webhook"]
PROVIDERS: tuple[ProviderName, ...] = get_args(ProviderName)
_ONE_OF_THEM = f"{', '.join(PROVIDERS[:-1])} or {PROVIDERS[-1]}"


class OnCall(Block):
    """Whether, when and through whom somebody is paged."""

    enable: Annotated[bool, Setting(SWITCH, "ONCALL_ENABLE", variable_wins=True)] = False
    initialized_only: Annotated[bool, Setting(SWITCH, "ONCALL_INITIALIZED_ONLY", variable_wins=True)] = False
    """On-call is ready, but off unless a request asks for it."""
    wait_minutes: Annotated[
        float,
        Field(ge=0, le=10080, allow_inf_nan=False),
        Setting("a number of minutes from 0 to 10080 (a week)", "ONCALL_WAIT_MINUTES", variable_wins=True),
    ] = 3.0
    provider: Annotated[ProviderName, Setting(_ONE_OF_THEM, "ONCALL_PROVIDER", variable_wins=True)] = (
        "incident_io"
    )
    late_after_minutes: Annotated[
        float, Field(gt=0, le=1440, allow_inf_nan=False), Setting("a number of minutes above 0, 1440 at most")
    ] = 2.0
    """After its due time, channels are notified that a page does not get out, and the fallback is tried."""
    reopen_on: Annotated[ReopenOn, Setting("a list of severity and members, or none")] = REOPEN_ON
    """What reopens an acknowledged incident: a higher severity, an alert that joins its group."""
    reopen_after_minutes: Annotated[
        float,
        Field(ge=0, le=525600, allow_inf_nan=False),
        Setting("a number of minutes from 0 to 525600 (a year); 0: never"),
    ] = 1440.0
    """A report so long after the acknowledgement, or after the page, opens it again."""
    fallback: Annotated[Words, Setting("a list such as incident_io/infra, channel/sms")] = ()
    rules: Annotated[Mapping[str, Rule], Setting("a list of rules, each with a name and a match")] = Field(
        default={}
    )
    """By their place in the list; the first that matches decides."""
    when_redis_is_down: Annotated[Literal["escalate", "reject"], Setting("escalate or reject")] = "escalate"
    incident_io: IncidentIo = IncidentIo()
    pagerduty: PagerDuty = PagerDuty()
    servicenow: ServiceNow = ServiceNow()
    aws_incident_manager: AwsIncidentManager = AwsIncidentManager()
    webhook: Webhook = Webhook()

    @property
    def by_default(self) -> bool:
        """Whether a webhook that says nothing of on-call escalates."""
        return self.enable and not self.initialized_only

    @property
    def ready(self) -> bool:
        """Whether the credentials are complete, so that a request may ask for on-call."""
        return DEFAULT in self.block(self.provider).names

    def block(self, provider: str) -> ProviderBlock:
        """The settings of a provider."""
        block: ProviderBlock = getattr(self, provider)
        return block

    @property
    def pagers(self) -> tuple[str, ...]:
        """Every destination that can be paged, such as `incident_io/default`."""
        return tuple(f"{provider}/{name}" for provider in PROVIDERS for name in self.block(provider).names)

    def pager(self, provider: str, name: str) -> str:
        """The destination of that name, in any case. Raises `UnknownAlertSource`."""
        block = self.block(provider)
        if name.lower() not in block.names:
            names = ", ".join(block.names) or "none, as none is configured"
            raise UnknownAlertSource(f"There is no {block.noun} {name[:100]!r}: the names are {names}.")
        return f"{provider}/{name.lower()}"

    @property
    def parameters(self) -> Mapping[str, str]:
        """The parameters of a request that name a place to page, and the provider of each."""
        return {self.block(provider).parameter: provider for provider in PROVIDERS}

    @property
    def wanted(self) -> bool:
        """Whether the configuration asks for on-call, always or on request."""
        return self.enable or self.initialized_only


class Retention(Block):
    """How long resolved incidents are kept, and how much of bodies."""

    days: Annotated[
        float, Field(ge=0.05, le=3650, allow_inf_nan=False), Setting("a number of days from 0.05 to 3650")
    ] = 30.0
    incidents: Annotated[
        int, Field(ge=1000, le=10_000_000), Setting("a whole number from 1000 to 10000000")
    ] = 100_000
    """The newest so many of them; those that are not resolved do not count."""
    rejected_mib: Annotated[int, Field(ge=1, le=1024), Setting("a whole number from 1 to 1024")] = 32
    """Of rejected bodies, the newest of them."""
    payload_mib: Annotated[int, Field(ge=1, le=65_536), Setting("a whole number from 1 to 65536")] = 256
    """Of bodies of incidents that are not resolved; of what comes beyond, the incident alone is kept."""


class Config(Block):
    """The whole configuration."""

    name: Annotated[Name, Setting("a text of one line")] = "versus"
    host: Annotated[Host, Setting("an IP address or a host name, without scheme and port")] = "0.0.0.0"  # noqa: S104
    port: Annotated[Port, Setting("a whole number from 1 to 65535", "PORT", variable_wins=True)] = 3000
    public_host: Annotated[
        WebAddress | None,
        Setting("an http or https address such as https://versus.example.com", "PUBLIC_HOST"),
    ] = None
    gateway_secret: Annotated[PassPhrase | None, Setting(PHRASE, "GATEWAY_SECRET")] = None
    gateway_secret_previous: Annotated[PassPhrase | None, Setting(PHRASE, "GATEWAY_SECRET_PREVIOUS")] = None
    """The secret before the last change: links that it signed are good as long as it is named here."""
    trusted_proxies: Annotated[
        Networks,
        Setting("IP addresses or networks such as 10.0.0.0/8, separated by commas", "TRUSTED_PROXIES"),
    ] = ()
    """Whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed."""
    trusted_name_header: Annotated[
        HeaderName | None, Setting("the name of a header such as X-Forwarded-User", "TRUSTED_NAME_HEADER")
    ] = None
    """In which trusted proxies say who somebody is; a name for those who are logged in, never a login."""
    intake_secret: Annotated[PassPhrase | None, Setting(PHRASE, "INTAKE_SECRET")] = None
    intake: Intake = Intake()
    queue: Queue = Queue()
    # After `queue`, which may name one more topic.
    intake_signatures: IntakeSignatures = Field(default=IntakeSignatures(), validate_default=True)
    oncall: OnCall = OnCall()
    alert: Alert = Alert()
    retention: Retention = Retention()
    redis: Redis = Redis()
    warnings: tuple[str, ...] = Field(default=(), exclude=True)
    """What works, but probably not as meant; sentences for people. No setting."""

    @field_validator("intake_signatures", mode="after")
    @classmethod
    def _with_topics(cls, signatures: IntakeSignatures, info: ValidationInfo) -> IntakeSignatures:
        more = info.data["queue"].sns.topics if "queue" in info.data else ()
        topics = tuple(dict.fromkeys((*(signatures.sns_topics or ()), *more))) or None
        return signatures.model_copy(update={"sns_topics": topics})

    @property
    def public_base(self) -> str:
        """The base of the links that people get; no slash at the end."""
        return self.public_host or f"http://localhost:{self.port}"

    @property
    def public_path(self) -> str:
        """What stands before the service's own paths in `public_base`; empty, or no slash at the end."""
        return urlsplit(self.public_base).path

    @property
    def address(self) -> str:
        """Host and port as a URL has them: an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def channels(self) -> tuple[ChannelSettings, ...]:
        """Every channel that is configured."""
        return tuple(self.alert.made())

    def secrets(self) -> list[str]:
        """As in any block, and the tokens in channels' addresses."""
        return list(dict.fromkeys([*super().secrets(), *(s for one in self.channels for s in one.secrets())]))

    @property
    def link_key(self) -> bytes | None:
        """Signs acknowledgement links; the same in every process with this configuration.

        None without any secret to make it from: then it is a random one, in Redis.
        """
        secret = self.gateway_secret or self.oncall.incident_io.api_key
        return _derived(secret, b"versus acknowledgement link") if secret else None

    @property
    def previous_link_key(self) -> bytes | None:
        """Signed the links that were sent before the gateway secret was changed."""
        secret = self.gateway_secret_previous
        return _derived(secret, b"versus acknowledgement link") if secret else None

    @property
    def session_key(self) -> bytes:
        """Signs the logins to the dashboard; another gateway secret ends them all.

        Random without one, as there are no logins then.
        """
        secret = self.gateway_secret
        return _derived(secret, b"versus dashboard session") if secret else secrets.token_bytes(32)

    def _unmet_by_fallback(self) -> Iterator[tuple[str, str]]:
        known = [*self.oncall.pagers, *(f"channel/{channel.name}" for channel in self.channels)]
        for entry in self.oncall.fallback:
            if entry not in known:
                names = ", ".join(known) or "none, as neither a provider nor a channel is configured"
                yield "oncall.fallback", f"has {entry[:100]!r}, which is not there: the names are {names}"

    def _unmet_by_rules(self) -> Iterator[tuple[str, str]]:
        channels = tuple(channel.name for channel in self.channels)
        known = Known(self.oncall.provider, self.oncall.pagers, channels, self.oncall.ready)
        for place, key, text in wrong_with(self.oncall.rules, known):
            yield f"oncall.rules.{place}.{key}", text

    def unmet(self) -> Iterator[tuple[str, str]]:
        """What settings ask of each other and is not so: a dotted key, and the rest of the sentence."""
        yield from self.alert.unmet()
        yield from self._unmet_by_fallback()
        yield from self._unmet_by_rules()
        if self.queue.sns.enable and self.intake_signatures.sns_topics is None:
            yield (
                "queue.sns.topic_arn",
                "is missing while queue.sns is on: it must be the ARN of the topic that may send",
            )
        if not self.oncall.wanted:
            return
        for name, text in self.oncall.block(self.oncall.provider).missing():
            yield f"oncall.{self.oncall.provider}.{name}", text


def _derived(secret: SecretStr, purpose: bytes) -> bytes:
    return hmac.new(secret.get_secret_value().encode(), purpose, hashlib.sha256).digest()
