"""Services with two channels that record."""

from __future__ import annotations

import pytest

from app.bootstrap import Services
from tests.delivery.notifying import with_two_channels
from tests.fakes import RecordingChannel


@pytest.fixture
def ops() -> RecordingChannel:
    """Notified by default."""
    return RecordingChannel()


@pytest.fixture
def mail() -> RecordingChannel:
    """Notified when it is asked for."""
    return RecordingChannel()


@pytest.fixture
def services(services: Services, ops: RecordingChannel, mail: RecordingChannel) -> Services:
    """Services over a real, empty Redis, with these channels."""
    return with_two_channels(services, ops, mail)
