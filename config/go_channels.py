"""Channels as the Go edition of Versus writes them: a block for each service."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal
from urllib.parse import quote

from pydantic import Field, SecretStr

from config.block import Block
from config.values import SWITCH, Port, ProviderAddress, Setting

SMTP_TLS_PORT = 465

_TEXT = "a text"


class GoBlock(Block):
    """A block that is one channel, or several."""

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]]
    """Keys without which it can notify nobody."""

    enable: bool = False

    def urls(self) -> Iterator[tuple[str, str, str]]:
        """Names and URLs of its channels, and the key that is to blame for a wrong one."""
        raise AssertionError("each service has its own")

    @property
    def subject_of_mails(self) -> str | None:
        """Stands before the titles of its mails."""
        return None

    def missing(self) -> list[str]:
        """The keys that it lacks."""
        return [key for key in self.needs if not _said(getattr(self, key))]

    def right(self, key: str) -> str:
        """What would be right, in words."""
        # One of several URLs must be what the first one must be.
        field = type(self).model_fields[self.needs[0] if "." in key else key]
        return f"it must be {next(one.right for one in field.metadata if isinstance(one, Setting))}"


def as_apprise_knows_it(url: str) -> str:
    """The URL, in Apprise's form where it does not understand a service's own: that of Feishu, as Lark is
    called in China."""
    return re.sub(r"^https://open\.feishu\.cn/open-apis/bot/v2/hook/([\w-]+)/?$", r"feishu://\1", url)


def _said(value: str | SecretStr | None) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else value or ""


def _is_ip(host: str | None) -> bool:
    return re.fullmatch(r"[0-9.]+|.*:.*", host or "") is not None


class SlackMessage(Block):
    """What messages in Slack look like."""

    button_text: Annotated[str | None, Setting(_TEXT)] = None
    button_style: Annotated[Literal["primary", "danger"], Setting("primary or danger")] = "primary"
    disable_button: Annotated[bool, Setting(SWITCH)] = False


class Slack(GoBlock):
    """Slack through its own API."""

    name = "slack"
    needs = ("token", "channel_id")

    enable: Annotated[bool, Setting(SWITCH, "SLACK_ENABLE", variable_wins=True)] = False
    token: Annotated[SecretStr | None, Setting("a bot token, xoxb-…", "SLACK_TOKEN")] = None
    channel_id: Annotated[str | None, Setting("an ID such as C0123456789", "SLACK_CHANNEL_ID")] = None
    signing_secret: Annotated[
        SecretStr | None, Setting("the signing secret of your Slack app", "SLACK_SIGNING_SECRET")
    ] = None
    base_url: Annotated[ProviderAddress, Setting("an https address such as https://slack.com/api")] = (
        "https://slack.com/api"
    )
    message_properties: SlackMessage = SlackMessage()

    def urls(self) -> Iterator[tuple[str, str, str]]:
        yield "slack", f"slack://{_said(self.token)}/{quote(self.channel_id or '', safe='')}", "token"


class Telegram(GoBlock):
    """A bot of Telegram's."""

    name = "telegram"
    needs = ("bot_token", "chat_id")

    enable: Annotated[bool, Setting(SWITCH, "TELEGRAM_ENABLE", variable_wins=True)] = False
    bot_token: Annotated[SecretStr | None, Setting("the token of a bot", "TELEGRAM_BOT_TOKEN")] = None
    chat_id: Annotated[str | None, Setting("a chat's ID", "TELEGRAM_CHAT_ID")] = None

    def urls(self) -> Iterator[tuple[str, str, str]]:
        yield "telegram", f"tgram://{_said(self.bot_token)}/{self.chat_id}/", "bot_token"


class Viber(GoBlock):
    """A bot of Viber's."""

    name = "viber"
    needs = ("bot_token", "user_id")

    enable: Annotated[bool, Setting(SWITCH, "VIBER_ENABLE", variable_wins=True)] = False
    bot_token: Annotated[SecretStr | None, Setting("the token of a bot", "VIBER_BOT_TOKEN")] = None
    user_id: Annotated[str | None, Setting("the ID of a receiver", "VIBER_USER_ID")] = None

    def urls(self) -> Iterator[tuple[str, str, str]]:
        yield "viber", f"viber://{_said(self.bot_token)}/{quote(self.user_id or '', safe='')}", "bot_token"


class Email(GoBlock):
    """Mail through an SMTP server."""

    name = "email"
    needs = ("smtp_host", "to")

    enable: Annotated[bool, Setting(SWITCH, "EMAIL_ENABLE", variable_wins=True)] = False
    smtp_host: Annotated[str | None, Setting("a host name", "SMTP_HOST")] = None
    smtp_port: Annotated[Port, Setting("a port", "SMTP_PORT")] = 587
    username: Annotated[str | None, Setting(_TEXT, "SMTP_USERNAME")] = None
    password: Annotated[SecretStr | None, Setting(_TEXT, "SMTP_PASSWORD")] = None
    to: Annotated[str | None, Setting("mail addresses, separated by commas", "EMAIL_TO")] = None
    subject: Annotated[str | None, Setting("a text of one line", "EMAIL_SUBJECT")] = None
    allowed_to: Annotated[
        str | None, Setting("mail addresses and domains, separated by commas", "EMAIL_ALLOWED_TO")
    ] = None
    """To whom a webhook may ask for mail where there is no intake secret, besides `to`."""

    def urls(self) -> Iterator[tuple[str, str, str]]:
        user = self.username or ""
        secure = bool(user) or self.smtp_port == SMTP_TLS_PORT
        mode = "ssl" if self.smtp_port == SMTP_TLS_PORT else "starttls"
        login = f"{quote(user, safe='')}:{quote(_said(self.password), safe='')}@" if user else ""
        # A mail's sender must have a domain.
        domain = (
            (self.to or "").partition(",")[0].partition("@")[2] if _is_ip(self.smtp_host) else self.smtp_host
        )
        sender = user if "@" in user else f"versus@{domain}"
        query = f"from={quote(sender, safe='')}&to={quote(self.to or '', safe=',')}"
        query += f"&smtp={self.smtp_host}&mode={mode}" if secure else ""
        yield "email", f"mailto{'s' * secure}://{login}{self.smtp_host}:{self.smtp_port}?{query}", "smtp_host"

    def allows(self, address: str) -> bool:
        """Whether anybody may ask for mail to this address."""
        named = {
            one.strip().lower().removeprefix("@")
            for one in f"{self.to or ''},{self.allowed_to or ''}".split(",")
        }
        return bool(named & {address.lower(), address.lower().rpartition("@")[2]})

    @property
    def subject_of_mails(self) -> str | None:
        return self.subject


class MsTeams(GoBlock):
    """Teams through Power Automate; each other URL is a channel of its own."""

    name = "msteams"
    needs = ("power_automate_url",)

    enable: Annotated[bool, Setting(SWITCH, "MSTEAMS_ENABLE", variable_wins=True)] = False
    power_automate_url: Annotated[
        SecretStr | None, Setting("the URL of a workflow in Power Automate", "MSTEAMS_POWER_AUTOMATE_URL")
    ] = None
    other_power_urls: Annotated[Mapping[str, SecretStr], Setting("a mapping of names to URLs")] = Field(
        default={}
    )

    def urls(self) -> Iterator[tuple[str, str, str]]:
        yield from _with_others(self, "power_automate_url", "other_power_urls")


class Lark(GoBlock):
    """A bot of Lark's; each other URL is a channel of its own."""

    name = "lark"
    needs = ("webhook_url",)

    enable: Annotated[bool, Setting(SWITCH, "LARK_ENABLE", variable_wins=True)] = False
    webhook_url: Annotated[SecretStr | None, Setting("the webhook of a bot", "LARK_WEBHOOK_URL")] = None
    other_webhook_urls: Annotated[Mapping[str, SecretStr], Setting("a mapping of names to URLs")] = Field(
        default={}
    )

    def urls(self) -> Iterator[tuple[str, str, str]]:
        yield from _with_others(self, "webhook_url", "other_webhook_urls")


def _with_others(block: GoBlock, key: str, others: str) -> Iterator[tuple[str, str, str]]:
    yield block.name, as_apprise_knows_it(_said(getattr(block, key))), key
    for other, url in getattr(block, others).items():
        if _said(url).strip():
            yield f"{block.name}-{other.lower()}", as_apprise_knows_it(_said(url)), f"{others}.{other}"
