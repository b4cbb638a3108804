"""A gateway with two channels that record."""

from __future__ import annotations

import pytest

from app.gateway import Gateway
from tests.fakes import RecordingChannel
from tests.notifying import with_two_channels


@pytest.fixture
def ops() -> RecordingChannel:
    """Notified by default."""
    return RecordingChannel()


@pytest.fixture
def mail() -> RecordingChannel:
    """Notified when it is asked for."""
    return RecordingChannel()


@pytest.fixture
def gateway(gateway: Gateway, ops: RecordingChannel, mail: RecordingChannel) -> Gateway:
    """A gateway over a real, empty Redis, with these channels."""
    return with_two_channels(gateway, ops, mail)
