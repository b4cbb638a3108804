"""A mail's link in a real browser: opening it acknowledges nothing, its button does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from playwright.sync_api import Page

from local.embedded import free_port
from tests.destinations.test_apprise import Mailbox, html_of
from tests.stories.stack import Stack, wait_until


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    """A real mail server and its port."""
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield box, controller.port
    controller.stop()


def test_the_button_behind_the_link_in_a_mail_stops_the_page(
    tmp_path: Path, mailbox: tuple[Mailbox, int], page: Page
) -> None:
    box, port = mailbox
    email = {"enable": True, "smtp_host": "127.0.0.1", "smtp_port": port, "to": "ops@example.com"}
    stack = Stack(tmp_path, config={"alert": {"email": email}})
    try:
        stack.ready()
        incident = stack.report(300)
        wait_until(lambda: box.mails, "the mail is there")
        recipients, mail = box.mails[0]
        assert (recipients, mail["subject"]) == (["ops@example.com"], "New incident: Disk full")
        page.set_content(html_of(mail))
        page.get_by_role("link", name="Acknowledge").click()
        page.wait_for_url(f"{stack.base}/api/ack/**")
        # As a mail scanner would, it has looked at the page, and nothing came of it.
        shown = stack.show(incident)
        assert (shown["state"], shown["acknowledged_at"]) == ("pending", None)
        page.get_by_role("button").click()
        page.get_by_text("acknowledged").first.wait_for()
        stack.wait_for_state(incident, "acknowledged")
        wait_until(lambda: len(box.mails) == 2, "the acknowledgement is notified")
        assert box.mails[1][1]["subject"] == "Acknowledged: Disk full"
        assert stack.simulator.events(incident["id"]) == []
    finally:
        stack.stop()
