"""Channels that are notified: a list, and blocks of the Go edition, which become channels as well."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args
from urllib.parse import unquote, urlsplit

from jinja2 import TemplateSyntaxError
from jinja2.sandbox import SandboxedEnvironment
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, StringConstraints

from config.block import Block
from config.go_channels import Email, GoBlock, Lark, MsTeams, Slack, Telegram, Viber, as_apprise_knows_it
from config.values import SEPARATED, SEVERITIES, SWITCH, InvalidValue, Setting, Severity, matching

Event = Literal["created", "acknowledged", "escalated", "failed", "resolved"]
EVENTS: tuple[Event, ...] = get_args(Event)
SERVICES = {"slack": "slack", "tgram": "telegram", "mailto": "email", "mailtos": "email"}
"""Services that a request may give another address, by the scheme of their URLs."""

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_NAME = "1 to 40 of a-z, 0-9, _ and -"

# Of a channel's URL: what is shorter, or nothing but words such as a topic or a host of one's own network, is
# no secret of its own; nor are addresses of people.
SHORTEST_SECRET = 8
PLAIN_WORDS = re.compile(r"[a-z]{1,12}([_-][a-z]{1,12})*(:\d{1,5})?")
OPEN_OPTIONS = ("to", "from", "smtp")


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """One channel: where it is, and what it is notified of."""

    name: str
    url: SecretStr
    """As Apprise understands it."""
    events: tuple[str, ...] = EVENTS
    template: str | None = None
    """Jinja for the body; None: the default messages."""
    min_severity: Severity | None = None
    default: bool = True
    """Notified when a request names no channels."""
    subject: str | None = None
    """Stands before the title of a mail."""

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

    def secrets(self) -> Iterator[str]:
        """What of its URL must never be shown, in each form that a message may have it in."""
        url = self.url.get_secret_value()
        parts = urlsplit(url)
        query = [pair.partition("=") for pair in parts.query.split("&")]
        pieces = [*parts.path.split("/"), *(value for name, _, value in query if name not in OPEN_OPTIONS)]
        # Some services have their token where others have a host, or a user without a password.
        pieces += [parts.netloc] if "." not in parts.netloc else []
        pieces += [] if parts.password else [parts.username or ""]
        pieces = [piece for piece in pieces if not PLAIN_WORDS.fullmatch(piece)]
        yield url
        for piece in (*pieces, parts.password or ""):
            if len(piece) >= SHORTEST_SECRET:
                yield from dict.fromkeys((piece, unquote(piece)))


# -- the list ---------------------------------------------------------------------------------------------


def _url(secret: SecretStr) -> SecretStr:
    if ChannelSettings("", secret).slack_bot:
        return secret
    # It costs a third of a second, so anyone who has no channels must not wait for it.
    from apprise import Apprise
    from apprise.manager_plugins import NotificationManager

    known: Any = NotificationManager
    url = as_apprise_knows_it(secret.get_secret_value())
    if Apprise.instantiate(url, suppress_exceptions=True) is None:
        scheme = url.partition("://")[0].strip().lower()
        if scheme in known():
            raise InvalidValue(f"it lacks something of what {scheme}:// needs, or has it in another form")
        raise InvalidValue("it does not begin with a service that Apprise knows")
    return SecretStr(url)


def _template(text: str) -> str:
    try:
        SandboxedEnvironment().from_string(text)
    except TemplateSyntaxError as error:
        raise InvalidValue(f"line {error.lineno} is not valid Jinja") from None
    return text


Name = Annotated[str, StringConstraints(to_lower=True), matching(NAME.pattern)]
Template = Annotated[str, AfterValidator(_template)]
Url = Annotated[SecretStr, AfterValidator(_url)]
_URL = Setting("a URL of Apprise such as ntfy://ntfy.example.com/ops, see docs/channels.md")


class Listed(Block):
    """A channel of the list `alert.channels`."""

    name: Annotated[Name | None, Setting(_NAME)] = None
    url: Annotated[Url | None, _URL] = None
    events: Annotated[tuple[Event, ...], SEPARATED, Setting(f"a list of some of {', '.join(EVENTS)}")] = (
        EVENTS
    )
    template: Annotated[Template | None, Setting("a Jinja template")] = None
    min_severity: Annotated[
        Annotated[Severity, BeforeValidator(str.lower)] | None,
        Setting(f"one of {', '.join(SEVERITIES)}"),
    ] = None
    default: Annotated[bool, Setting(SWITCH)] = True


# -- all of them ------------------------------------------------------------------------------------------


class Alert(Block):
    """Who is notified, and where."""

    channels: Annotated[Mapping[str, Listed], Setting("a list of channels, each with a name and a url")] = (
        Field(default={})
    )
    """By their place in the list."""
    slack: Slack = Slack()
    telegram: Telegram = Telegram()
    email: Email = Email()
    msteams: MsTeams = MsTeams()
    lark: Lark = Lark()
    viber: Viber = Viber()

    def made(self) -> Iterator[ChannelSettings]:
        """Every channel that is configured, those of the list first."""
        for one in self.channels.values():
            if one.name and one.url:
                yield ChannelSettings(
                    one.name, one.url, one.events, one.template, one.min_severity, one.default
                )
        for block in self._enabled():
            for n, (name, url, _) in enumerate(block.urls()):
                yield ChannelSettings(name, SecretStr(url), default=n == 0, subject=block.subject_of_mails)

    def unmet(self) -> Iterator[tuple[str, str]]:
        """What a channel lacks: a dotted key, and the rest of the sentence."""
        named: set[str] = set()
        for place, one in self.channels.items():
            if one.name is None:
                yield f"alert.channels.{place}.name", f"is missing: it must be {_NAME}"
            elif one.name in named:
                yield f"alert.channels.{place}.name", "is there twice: give each channel a name of its own"
            named.add(one.name or "")
        for block in self._enabled():
            yield from _unmet_by(block, named)

    def _enabled(self) -> Iterator[GoBlock]:
        blocks = (self.slack, self.telegram, self.email, self.msteams, self.lark, self.viber)
        return (block for block in blocks if block.enable)


def _unmet_by(block: GoBlock, named: set[str]) -> Iterator[tuple[str, str]]:
    if missing := block.missing():
        for key in missing:
            yield (
                f"alert.{block.name}.{key}",
                f"is missing while alert.{block.name} is on: {block.right(key)}",
            )
        return
    for name, url, key in block.urls():
        where = f"alert.{block.name}.{key}"
        if not NAME.fullmatch(name):
            yield where, f"makes a channel {name!r}, whose name must be {_NAME}: rename it"
        elif name in named:
            yield (
                f"alert.{block.name}",
                f"makes a channel {name}, a name that alert.channels has too: rename that one",
            )
        else:
            try:
                _url(SecretStr(url))
            except InvalidValue:
                yield where, f"is none that works: {block.right(key)}"
