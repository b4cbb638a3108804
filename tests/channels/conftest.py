"""Messages to send, and servers that take them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from app import preview
from app.channels import Message
from app.channels.apprise import AppriseChannel
from app.delivery import Delivery
from app.incident import Incident
from app.links import Links
from app.subscription import ChangeEvent
from config import ChannelSettings
from tests.channels.standin import StandIn
from tests.fakes import PAGER

LINKS = Links(b"key", "https://versus.example.com")
NASTY = "*_[x](http://evil.example) <script>alert(1)</script> {{ 7 * 7 }} @everyone <!channel> `a` | b"


PAGED = {PAGER: Delivery(accepted="firing", accepted_at=preview.NOON)}
LATE = {PAGER: Delivery(failures=7, late_at=preview.NOON, last_error="503")}
REFUSED = {PAGER: Delivery(failed=True, failed_at=preview.NOON, last_error="401")}


def a_message(news: ChangeEvent = "created", **about: Any) -> Message:
    """ChangeEvent of the sample incident, with these fields changed."""
    due = preview.NOON + timedelta(minutes=3)
    incident = Incident.opened("i-1", preview.SAMPLE, preview.NOON, due_at=due, pager=PAGER)
    incident = replace(incident, **about)
    link = LINKS.url(incident.id, preview.NOON) if incident.can_be_acknowledged else None
    return Message(news, incident, preview.NOON, link)


def a_channel(url: str, **about: Any) -> AppriseChannel:
    return AppriseChannel(replace(ChannelSettings("ops", SecretStr(url)), **about))


@pytest.fixture
def service() -> Iterator[StandIn]:
    """A service that takes everything."""
    with StandIn().serving() as stand_in:
        yield stand_in
