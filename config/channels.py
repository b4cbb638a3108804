"""Channels in which people are told: a list, and blocks of the Go edition, which become channels."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote, unquote, urlsplit

from jinja2 import TemplateSyntaxError
from jinja2.sandbox import SandboxedEnvironment
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from config.block import Block
from config.values import ProviderAddress, Setting, Wrong

SEVERITIES = ("critical", "high", "medium", "low", "info")
EVENTS = ("created", "acknowledged", "escalated", "failed", "resolved")
SERVICES = {"slack": "slack", "tgram": "telegram", "mailto": "email", "mailtos": "email"}
"""Services that a request may give another address, by the scheme of their URLs."""

SMTP_TLS_PORT = 465

_SWITCH = "true or false"
_TEXT = "a text"


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """One channel: where it is, and what it is told."""

    name: str
    url: SecretStr
    """As Apprise understands it."""
    events: tuple[str, ...] = EVENTS
    template: str | None = None
    """Jinja for the body; None: the default messages."""
    min_severity: str | None = None
    default: bool = True
    """Told when a request names no channels."""

    @property
    def service(self) -> str:
        """`slack`, `telegram`, `email`, or the scheme of its URL."""
        scheme = self.url.get_secret_value().partition("://")[0].lower()
        return SERVICES.get(scheme, scheme)

    @property
    def slack_bot(self) -> tuple[SecretStr, str] | None:
        """Token and channel of Slack's own API; None for anything else, Slack's webhooks included."""
        match = re.fullmatch(r"slack://(xoxb-[\w-]+)/([^/?]+)/?(\?.*)?", self.url.get_secret_value())
        return (SecretStr(match[1]), unquote(match[2])) if match else None

    def wants(self, news: str, severity: str | None) -> bool:
        """Whether this piece of news is for it."""
        event = "created" if news == "severity_raised" else news
        least = self.min_severity or SEVERITIES[-1]
        return event in self.events and SEVERITIES.index(severity or "medium") <= SEVERITIES.index(least)

    def secrets(self) -> Iterator[str]:
        """What of its URL must never be shown, in each form that a message may have it in."""
        url = self.url.get_secret_value()
        parts = urlsplit(url)
        pieces = [parts.password or "", *parts.path.split("/")]
        # Some services have their token where others have a host.
        pieces += [parts.netloc] if "." not in parts.netloc else []
        query = [pair.partition("=") for pair in parts.query.split("&")]
        pieces += [value for name, _, value in query if name not in ("to", "from", "smtp")]
        yield url
        for piece in pieces:
            if len(piece) >= 8:
                yield from (piece, unquote(piece))


# -- the list ---------------------------------------------------------------------------------------------


def _name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,39}", text.lower()):
        raise Wrong
    return text.lower()


def _url(secret: SecretStr) -> SecretStr:
    if ChannelSettings("", secret).slack_bot:
        return secret
    # It costs a third of a second, so whoever has no channels shall not wait for it.
    from apprise import Apprise

    if Apprise.instantiate(secret.get_secret_value(), suppress_exceptions=True) is None:
        raise Wrong("it has no service that Apprise knows, or lacks something that the service needs")
    return secret


def _events(value: Any) -> Any:
    # One text, so that a single variable can hold them all.
    if isinstance(value, str):
        value = tuple(one.strip() for one in value.split(",") if one.strip())
    if not set(value) <= set(EVENTS):
        raise Wrong
    return value


def _severity(text: str) -> str:
    if text.lower() not in SEVERITIES:
        raise Wrong
    return text.lower()


def _template(text: str) -> str:
    try:
        SandboxedEnvironment().from_string(text)
    except TemplateSyntaxError as error:
        raise Wrong(f"line {error.lineno} is not valid Jinja") from None
    return text


Url = Annotated[SecretStr, AfterValidator(_url)]
_URL = Setting("a URL of Apprise such as ntfy://ntfy.example.com/ops (docs/channels.md)")


class Listed(Block):
    """A channel of the list `alert.channels`."""

    name: Annotated[
        str | None, AfterValidator(lambda text: text and _name(text)), Setting("1 to 40 of a-z, 0-9, _ and -")
    ] = None
    url: Annotated[Url | None, _URL] = None
    events: Annotated[
        tuple[str, ...], BeforeValidator(_events), Setting(f"a list of some of {', '.join(EVENTS)}")
    ] = EVENTS
    template: Annotated[
        str | None, AfterValidator(lambda text: text and _template(text)), Setting("a Jinja template")
    ] = None
    min_severity: Annotated[
        str | None,
        AfterValidator(lambda text: text and _severity(text)),
        Setting(f"one of {', '.join(SEVERITIES)}"),
    ] = None
    default: Annotated[bool, Setting(_SWITCH)] = True


# -- blocks of the Go edition ------------------------------------------------------------------------------


class Slack(Block):
    """Slack through its own API."""

    enable: Annotated[bool, Setting(_SWITCH, "SLACK_ENABLE", variable_wins=True)] = False
    token: Annotated[SecretStr | None, Setting("a bot token, xoxb-…", "SLACK_TOKEN")] = None
    channel_id: Annotated[str | None, Setting("an ID such as C0123456789", "SLACK_CHANNEL_ID")] = None
    signing_secret: Annotated[
        SecretStr | None, Setting("the signing secret of your Slack app", "SLACK_SIGNING_SECRET")
    ] = None
    base_url: Annotated[ProviderAddress, Setting("an https address such as https://slack.com/api")] = (
        "https://slack.com/api"
    )

    def urls(self) -> Iterator[tuple[str, str]]:
        """Names and URLs of the channels that this block stands for."""
        token = self.token.get_secret_value() if self.token else ""
        yield "slack", f"slack://{token}/{quote(self.channel_id or '', safe='')}"


class Telegram(Block):
    """A bot of Telegram's."""

    enable: Annotated[bool, Setting(_SWITCH, "TELEGRAM_ENABLE", variable_wins=True)] = False
    bot_token: Annotated[SecretStr | None, Setting("the token of a bot", "TELEGRAM_BOT_TOKEN")] = None
    chat_id: Annotated[str | None, Setting("a chat's ID", "TELEGRAM_CHAT_ID")] = None

    def urls(self) -> Iterator[tuple[str, str]]:
        """Names and URLs of the channels that this block stands for."""
        token = self.bot_token.get_secret_value() if self.bot_token else ""
        yield "telegram", f"tgram://{token}/{self.chat_id}/"


class Email(Block):
    """Mail through an SMTP server."""

    enable: Annotated[bool, Setting(_SWITCH, "EMAIL_ENABLE", variable_wins=True)] = False
    smtp_host: Annotated[str | None, Setting("a host name", "SMTP_HOST")] = None
    smtp_port: Annotated[int, Field(ge=1, le=65535), Setting("a port", "SMTP_PORT")] = 587
    username: Annotated[str | None, Setting(_TEXT, "SMTP_USERNAME")] = None
    password: Annotated[SecretStr | None, Setting(_TEXT, "SMTP_PASSWORD")] = None
    to: Annotated[str | None, Setting("mail addresses, separated by commas", "EMAIL_TO")] = None
    subject: Annotated[str | None, Setting("a text of one line", "EMAIL_SUBJECT")] = None

    def urls(self) -> Iterator[tuple[str, str]]:
        """Names and URLs of the channels that this block stands for."""
        user = self.username or ""
        password = self.password.get_secret_value() if self.password else ""
        secure = bool(user) or self.smtp_port == SMTP_TLS_PORT
        mode = "ssl" if self.smtp_port == SMTP_TLS_PORT else "starttls"
        login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
        sender = user if "@" in user else f"versus@{self.smtp_host}"
        query = f"from={quote(sender, safe='')}&to={quote(self.to or '', safe=',')}"
        query += f"&smtp={self.smtp_host}&mode={mode}" if secure else ""
        yield "email", f"mailto{'s' * secure}://{login}{self.smtp_host}:{self.smtp_port}?{query}"


class MsTeams(Block):
    """Teams through Power Automate; each other URL is a channel of its own."""

    enable: Annotated[bool, Setting(_SWITCH, "MSTEAMS_ENABLE", variable_wins=True)] = False
    power_automate_url: Annotated[
        SecretStr | None, Setting("the URL of a workflow in Power Automate", "MSTEAMS_POWER_AUTOMATE_URL")
    ] = None
    other_power_urls: Annotated[Mapping[str, SecretStr], Setting("a mapping of names to URLs")] = Field(
        default={}
    )

    def urls(self) -> Iterator[tuple[str, str]]:
        """Names and URLs of the channels that this block stands for."""
        yield from _with_others("msteams", self.power_automate_url, self.other_power_urls)


class Lark(Block):
    """A bot of Lark's; each other URL is a channel of its own."""

    enable: Annotated[bool, Setting(_SWITCH, "LARK_ENABLE", variable_wins=True)] = False
    webhook_url: Annotated[SecretStr | None, Setting("the webhook of a bot", "LARK_WEBHOOK_URL")] = None
    other_webhook_urls: Annotated[Mapping[str, SecretStr], Setting("a mapping of names to URLs")] = Field(
        default={}
    )

    def urls(self) -> Iterator[tuple[str, str]]:
        """Names and URLs of the channels that this block stands for."""
        yield from _with_others("lark", self.webhook_url, self.other_webhook_urls)


def _with_others(
    name: str, url: SecretStr | None, others: Mapping[str, SecretStr]
) -> Iterator[tuple[str, str]]:
    yield name, url.get_secret_value() if url else ""
    for other, secret in others.items():
        if secret.get_secret_value().strip():
            yield f"{name}-{other.lower()}", secret.get_secret_value()


class Alert(Block):
    """Who is told, and where."""

    channels: Annotated[Mapping[str, Listed], Setting("a list of channels")] = Field(default={})
    """By their place in the list."""
    slack: Annotated[Slack, Setting("a mapping of settings")] = Slack()
    telegram: Annotated[Telegram, Setting("a mapping of settings")] = Telegram()
    email: Annotated[Email, Setting("a mapping of settings")] = Email()
    msteams: Annotated[MsTeams, Setting("a mapping of settings")] = MsTeams()
    lark: Annotated[Lark, Setting("a mapping of settings")] = Lark()

    def made(self) -> Iterator[ChannelSettings]:
        """Every channel that is configured, those of the list first."""
        for one in self.channels.values():
            if one.name and one.url:
                yield ChannelSettings(
                    one.name, one.url, one.events, one.template, one.min_severity, one.default
                )
        for block in self._enabled():
            for n, (name, url) in enumerate(block.urls()):
                yield ChannelSettings(name, SecretStr(url), default=n == 0)

    def unmet(self) -> Iterator[tuple[str, str]]:
        """What a channel lacks: a dotted key, and the rest of the sentence."""
        named: set[str] = set()
        for place, one in self.channels.items():
            if one.name is None:
                yield f"alert.channels.{place}.name", "is missing: it must be 1 to 40 of a-z, 0-9, _ and -"
            elif one.name in named:
                yield f"alert.channels.{place}.name", "is there twice: give each channel a name of its own"
            named.add(one.name or "")
        for block in self._enabled():
            for name, url in block.urls():
                key = f"alert.{name.partition('-')[0]}"
                if name in named:
                    yield key, f"makes a channel {name}, a name that alert.channels has too: rename that one"
                try:
                    _url(SecretStr(url))
                except Wrong:
                    yield key, f"is on, but what it says of {name} is incomplete or wrong (docs/channels.md)"

    def _enabled(self) -> Iterator[Slack | Telegram | Email | MsTeams | Lark]:
        blocks = (self.slack, self.telegram, self.email, self.msteams, self.lark)
        return (block for block in blocks if block.enable)
