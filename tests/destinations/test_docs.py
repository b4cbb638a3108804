"""The addresses in docs/channels.md are what Apprise understands, in the form that the page tells."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.destinations.apprise import AppriseChannel
from config import ChannelSettings

PAGE = (Path(__file__).parent.parent.parent / "docs" / "channels.md").read_text()
UUID = "abcdef12-abcd-1234-abcd-abcdef123456"
TELEGRAM = "123456789:" + "a" * 35

# What stands in an address on the page, and what a real one has there.
REAL = {
    "PORT": "443",
    "WORKFLOW": "643e69f83c8944438d68119179a10a64",
    "SIGNATURE": "KODuebWbDGYFr0z0eu",
    "WEBHOOK_ID": "4" * 18,
    "WEBHOOK_TOKEN": "x" * 68,
    "WORKSPACE": "AAAAk6lGXyM",
    "FROM_PHONE_ID": "1" * 14,
    "PHONE": "14155550101",
    "CHAT_ID": "-1001234567890",
    "TokenA": "T1JJ3T3L2",
    "TokenB": "A1BRTD4JD",
    "TokenC": "TIiajkdnlazkcOXrIdevi7FQ",
    "TOPIC": "ops",
    "tk_…": "tk_abcdefgh1",
    "xoxb-…": "xoxb-1234-abcd",
    "USER": "versus",
    "PASSWORD": "secret",
    "HOST": "prod-00.westeurope.logic.azure.com",
}
TOKENS = {"lark": UUID, "feishu": UUID, "tgram": TELEGRAM, "mmost": "a" * 26, "mmosts": "a" * 26}
FORMS = {
    "mailto": "html",
    "mailtos": "html",
    "discord": "markdown",
    "mmost": "markdown",
    "mmosts": "markdown",
}


def addresses() -> list[str]:
    """Those of the page that are whole."""
    found = re.findall(r"`([a-z]+://[^`]{4,})`", PAGE)
    return [one for one in found if not one.startswith("http") and not one.endswith("//…")]


def real(address: str) -> str:
    names = sorted({**REAL, "TOKEN": "", "KEY": ""}, key=len, reverse=True)
    own = REAL | {"TOKEN": TOKENS.get(address.partition("://")[0], "t" * 40), "KEY": "k" * 39}
    return re.sub(rf"{'|'.join(map(re.escape, names))}", lambda match: own[match[0]], address)


def test_the_page_has_addresses_of_every_service() -> None:
    schemes = {address.partition("://")[0] for address in addresses()}
    wanted = "slack workflow tgram mailtos lark discord gchat mmosts ntfy ntfys whatsapp json"
    assert schemes >= set(wanted.split())


@pytest.mark.parametrize("address", addresses())
def test_apprise_understands_an_address_of_the_page(address: str) -> None:
    settings = ChannelSettings("ops", SecretStr(real(address)))
    if settings.slack_bot is None:
        form = AppriseChannel(settings).form
        assert form == FORMS.get(address.partition("://")[0], form)


@pytest.mark.parametrize(
    "url",
    [
        f"https://open.larksuite.com/open-apis/bot/v2/hook/{UUID}",
        f"https://discord.com/api/webhooks/{'4' * 18}/{'x' * 68}",
        f"https://chat.googleapis.com/v1/spaces/AAAAk6lGXyM/messages?key={'k' * 39}&token={'t' * 40}",
        "https://x.api.powerplatform.com/powerautomate/automations/direct/workflows/643e69f83c8944438d68119179a10a64"
        "/triggers/manual/paths/invoke?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=KODuebWbDGYFr0z0eu",
    ],
)
def test_apprise_understands_what_services_show(url: str) -> None:
    assert AppriseChannel(ChannelSettings("ops", SecretStr(url))).form
