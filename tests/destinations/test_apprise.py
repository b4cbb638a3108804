"""Channels of Apprise, used for real: a mail server, HTTP services, and those with a fixed address."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
import responses
from aiosmtpd.controller import Controller
from pydantic import SecretStr

from app.destinations.apprise import AppriseChannel
from app.destinations.base import Summary
from config import ChannelSettings
from local.embedded import free_port
from tests.destinations.conftest import NASTY, REFUSED, a_channel, a_message
from tests.destinations.standin import Answer, StandIn


class Mailbox:
    """What an SMTP server got."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], EmailMessage]] = []
        self.refusal: str | None = None

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.refusal:
            return self.refusal
        mail = message_from_bytes(envelope.content, policy=default)
        assert isinstance(mail, EmailMessage)
        self.mails.append((envelope.rcpt_tos, mail))
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, str]]:
    """A real mail server and a channel's URL for it."""
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield box, f"mailto://127.0.0.1:{controller.port}?from=versus@example.com&to=ops@example.com"
    controller.stop()


def html_of(mail: EmailMessage) -> str:
    body = mail.get_body(("html",))
    assert body is not None
    content: str = body.get_content()
    return content


# -- mail ---------------------------------------------------------------------------------------------


def test_a_mail_has_the_link_and_what_happens_without_it(mailbox: tuple[Mailbox, str]) -> None:
    box, url = mailbox
    message = a_message()
    assert a_channel(url).send(message, None).delivered
    [(recipients, mail)] = box.mails
    assert recipients == ["ops@example.com"]
    assert mail["subject"] == "New incident: Disk almost full on db-1"
    text = html_of(mail)
    assert str(message.ack_url).replace("&", "&amp;") in text
    assert "Pages at 2026-03-04 03:03:00 UTC unless somebody acknowledges." in text


def test_a_mail_has_the_link_for_those_who_read_text_alone(mailbox: tuple[Mailbox, str]) -> None:
    box, url = mailbox
    message = a_message()
    assert a_channel(url).send(message, None).delivered
    plain = box.mails[0][1].get_body(("plain",))
    assert plain is not None
    assert str(message.ack_url) in plain.get_content()


def test_a_request_may_send_a_mail_to_others_under_another_subject(mailbox: tuple[Mailbox, str]) -> None:
    box, url = mailbox
    message = replace(a_message(), subject="Look at this")
    assert a_channel(url).send(message, "night@example.com,boss@example.com").delivered
    assert sorted(r for recipients, _ in box.mails for r in recipients) == [
        "boss@example.com",
        "night@example.com",
    ]
    assert {mail["subject"] for _, mail in box.mails} == {"Look at this"}


def test_a_strangers_text_is_shown_in_a_mail_and_does_nothing(mailbox: tuple[Mailbox, str]) -> None:
    box, url = mailbox
    assert a_channel(url).send(a_message(title=NASTY, description=NASTY, service=NASTY), None).delivered
    text = html_of(box.mails[0][1])
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "{{ 7 * 7 }}" in text


def test_a_mail_server_that_refuses_is_reported(mailbox: tuple[Mailbox, str]) -> None:
    box, url = mailbox
    box.refusal = "550 Go away"
    outcome = a_channel(url).send(a_message(), None)
    assert not outcome.delivered
    assert outcome.detail


def test_a_mail_server_that_is_not_there_is_reported() -> None:
    outcome = a_channel(f"mailto://127.0.0.1:{free_port()}?from=a@example.com&to=b@example.com").send(
        a_message(), None
    )
    assert outcome.verdict == "try_again"


# -- services on an address that can be set ---------------------------------------------------------------


def test_ntfy_gets_plain_text_as_it_documents(service: StandIn) -> None:
    assert a_channel(f"ntfy://127.0.0.1:{service.port}/ops").send(a_message(), None).delivered
    [got] = service.got
    sent = got.json
    assert got.method == "POST"
    assert (sent["topic"], sent["title"]) == ("ops", "New incident: Disk almost full on db-1")
    assert "Acknowledge: https://versus.example.com/api/ack/i-1?exp=" in sent["message"]
    assert "**" not in sent["message"]


def test_mattermost_gets_markdown_as_it_documents(service: StandIn) -> None:
    token = "a" * 26
    assert a_channel(f"mmost://127.0.0.1:{service.port}/{token}").send(a_message(title=NASTY), None).delivered
    [got] = service.got
    assert got.path == f"/hooks/{token}"
    text = got.json["text"]
    assert "[Acknowledge](https://versus.example.com/api/ack/i-1?exp=" in text
    assert "@everyone" not in text
    assert "(http://evil.example)" not in text


def test_a_json_channel_gets_title_body_and_kind(service: StandIn) -> None:
    assert (
        a_channel(f"json://127.0.0.1:{service.port}/x")
        .send(a_message("failed", pagers=REFUSED), None)
        .delivered
    )
    sent = service.got[0].json
    assert (sent["type"], sent["title"]) == ("failure", "NOBODY WAS PAGED: Disk almost full on db-1")
    assert "could not be delivered" in sent["message"]


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_an_answer_that_is_not_2xx_is_a_failure_with_its_status(service: StandIn, status: int) -> None:
    service.answers = [Answer(status)]
    outcome = a_channel(f"json://127.0.0.1:{service.port}/x").send(a_message(), None)
    assert (outcome.delivered, outcome.detail) == (False, f"HTTP {status}")


def test_nobody_there_is_a_failure_without_the_address(caplog: pytest.LogCaptureFixture) -> None:
    outcome = a_channel(f"json://user:hunter22@127.0.0.1:{free_port()}/planted-token").send(a_message(), None)
    assert (outcome.delivered, outcome.detail) == (False, "connection refused or lost")
    assert "planted-token" not in caplog.text
    assert "hunter22" not in caplog.text


def test_a_summary_names_the_most_severe_and_counts_the_rest(service: StandIn) -> None:
    incident = a_message(title=NASTY).incident
    summary = Summary(
        [("created", incident)], 57, [("created", 50), ("resolved", 7)], incident.created_at, "https://v/"
    )
    assert a_channel(f"json://127.0.0.1:{service.port}/x").send(summary, None).delivered
    sent = service.got[0].json
    assert sent["title"] == "Many incidents at once: 50 new, 7 resolved"
    assert "- and 56 more" in sent["message"]
    assert "https://v/" in sent["message"]


# -- templates --------------------------------------------------------------------------------------------


def test_a_template_of_ones_own_makes_the_body(service: StandIn) -> None:
    template = "{{ incident.title }} / {{ event }} / {{ ack_url }}"
    channel = a_channel(f"json://127.0.0.1:{service.port}/x", template=template)
    message = a_message()
    assert channel.send(message, None).delivered
    assert service.got[0].json["message"] == f"{message.incident.title} / created / {message.ack_url}"


@pytest.mark.parametrize("template", ["{{ 1 / 0 }}", "{{ incident.__class__.__mro__ }}", "{{ nope.nope }}"])
def test_a_template_that_fails_is_replaced_by_ours(service: StandIn, template: str) -> None:
    channel = a_channel(f"json://127.0.0.1:{service.port}/x", template=template)
    assert channel.send(a_message(), None).delivered
    assert "Pages at" in service.got[0].json["message"]


# -- services with a fixed address ------------------------------------------------------------------------

TELEGRAM = "tgram://123456789:AbCdEfGhIjKlMnOpQrStUvWxYz123456789/-1001234/"


@responses.activate
@pytest.mark.parametrize(("address", "chat"), [(None, -1001234), ("-42", -42)])
def test_telegram_gets_html_in_the_chat_that_was_asked_for(address: str | None, chat: int) -> None:
    responses.post(
        "https://api.telegram.org/bot123456789:AbCdEfGhIjKlMnOpQrStUvWxYz123456789/sendMessage",
        json={"ok": True, "result": {"message_id": 1}},
    )
    assert a_channel(TELEGRAM).send(a_message(title=NASTY), address).delivered
    sent = json.loads(responses.calls[0].request.body or "")
    assert int(sent["chat_id"]) == chat
    assert sent["parse_mode"] == "HTML"
    assert "<script" not in sent["text"]
    assert "https://versus.example.com/api/ack/i-1?exp=" in sent["text"]


@responses.activate
def test_teams_gets_a_card_through_power_automate() -> None:
    url = (
        "https://prod-00.westeurope.logic.azure.com:443/workflows/643e69f83c8944438d68119179a10a64/triggers/"
        "manual/paths/invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=KODuebWbDGYFr0z0eu"
    )
    responses.post(url.partition("?")[0], status=202)
    assert AppriseChannel(ChannelSettings("msteams", SecretStr(url))).send(a_message(), None).delivered
    sent = json.loads(responses.calls[0].request.body or "")
    [attachment] = sent["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert "https://versus.example.com/api/ack/i-1?exp=" in json.dumps(attachment["content"])


@responses.activate
def test_lark_gets_text_with_the_link() -> None:
    url = "https://open.larksuite.com/open-apis/bot/v2/hook/abcdef12-abcd-1234-abcd-abcdef123456"
    responses.post(url, json={"code": 0})
    assert AppriseChannel(ChannelSettings("lark", SecretStr(url))).send(a_message(), None).delivered
    assert "https://versus.example.com/api/ack/i-1?exp=" in str(responses.calls[0].request.body)


@responses.activate
@pytest.mark.parametrize("template", [None, "Look: {{ ack_url }}"])
def test_a_strangers_title_is_no_html_in_telegram(template: str | None) -> None:
    responses.post(
        "https://api.telegram.org/bot123456789:AbCdEfGhIjKlMnOpQrStUvWxYz123456789/sendMessage", json={}
    )
    message = a_message(title='<a href="https://evil.example">x</a> <b>')
    assert a_channel(TELEGRAM, template=template).send(message, None).delivered
    text = json.loads(responses.calls[0].request.body or "")["text"]
    assert "&lt;a href=" in text
    assert '<a href="https://evil' not in text
    assert text.count("<b>") == text.count("</b>")
    assert text.count("New incident: ") == 1


def test_a_subject_of_the_configuration_stands_before_the_title(mailbox: tuple[Mailbox, str]) -> None:
    box, url = mailbox
    channel = a_channel(url, subject="[prod]")
    assert channel.send(a_message(), None).delivered
    assert channel.send(replace(a_message(), subject="Look at this"), None).delivered
    assert sorted(str(mail["subject"]) for _, mail in box.mails) == [
        "Look at this",
        "[prod]: New incident: Disk almost full on db-1",
    ]


def test_a_subject_for_mails_hides_no_title_elsewhere(service: StandIn) -> None:
    message = replace(a_message(), subject="Look at this")
    assert a_channel(f"ntfy://127.0.0.1:{service.port}/ops").send(message, None).delivered
    assert service.got[0].json["title"] == "New incident: Disk almost full on db-1"
