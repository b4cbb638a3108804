"""What PagerDuty gets, besides the stories: sizes, severities, and never more than one key."""

from __future__ import annotations

import json

import pytest
from pydantic import SecretStr

from app.destinations.pagerduty import body
from tests.destinations.conftest import an_event

KEY = SecretStr("key")
LARGEST = 512 * 1024


def test_whatever_a_sender_says_fits() -> None:
    labels = {f"l{n}" * 50: "\U0001f525" * 5_000 for n in range(200)}
    event = an_event(
        title="\U0001f525" * 5_000, description="é" * 500_000, labels=labels, service="s" * 5_000
    )
    sent = body(event, KEY)
    assert len(sent) < LARGEST
    assert len(json.loads(sent)["payload"]["summary"]) <= 1024


@pytest.mark.parametrize(
    ("severity", "theirs"),
    [
        ("critical", "critical"),
        ("high", "error"),
        ("medium", "warning"),
        ("low", "warning"),
        ("info", "info"),
        (None, "warning"),
    ],
)
def test_a_severity_is_one_of_theirs(severity: str | None, theirs: str) -> None:
    assert json.loads(body(an_event(severity=severity), KEY))["payload"]["severity"] == theirs
