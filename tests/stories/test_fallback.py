"""Story: a page does not get out. Every channel says so, with reason and link, and the fallback pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.destinations.standin import StandIn
from tests.fakes import API_KEY
from tests.stories.stack import Stack, wait_until


@pytest.fixture
def service() -> Iterator[StandIn]:
    with StandIn().serving() as stand_in:
        yield stand_in


def settings(service: StandIn, *fallback: str, source: str = "source-default") -> dict[str, Any]:
    """Everything that concerns on-call; the channels want nothing of their own."""
    return {
        "alert": {
            "channels": [
                {
                    "name": name,
                    "url": f"json://127.0.0.1:{service.port}/{name}",
                    "events": [],
                    "default": False,
                }
                for name in ("ops", "sms")
            ]
        },
        "oncall": {
            "enable": True,
            "provider": "incident_io",
            "late_after_minutes": 0.05,
            "fallback": list(fallback),
            "incident_io": {
                "api_key": API_KEY,
                "alert_source_config_id": source,
                "other_alert_source_config_ids": {"infra": "source-infra"},
                "max_per_minute": 0,
                "max_per_minute_per_key": 0,
            },
        },
    }


def make(own: Callable[..., Stack], service: StandIn, *fallback: str, **about: str) -> Stack:
    config = settings(service, *fallback, **about)
    return own(config={"alert": config["alert"]}, oncall=config["oncall"])


def test_a_wrong_alert_source_is_loud_and_the_fallback_pages_at_once(
    own: Callable[..., Stack], service: StandIn
) -> None:
    stack = make(own, service, "incident_io/infra", source="source-unknown")
    incident = stack.report(0)
    stack.wait_for_state(incident, "escalated")
    assert {event.source for event in stack.simulator.events(incident["id"])} >= {"source-infra"}
    wait_until(lambda: len(service.got) == 2, "both channels are notified")
    assert all("NOBODY WAS PAGED" in got.json["title"] for got in service.got)
    stack.act(incident, "resolve")
    wait_until(
        lambda: stack.simulator.alerts.get(("source-infra", incident["id"])) == "resolved",
        "the fallback's alert is resolved",
    )


def test_an_outage_is_told_to_every_channel_after_late_after_minutes_and_ends_in_a_page(
    own: Callable[..., Stack], service: StandIn
) -> None:
    stack = make(own, service, "channel/sms")
    stack.simulator.answer_with(503)
    incident = stack.report(0)
    wait_until(lambda: len(service.got) == 3, f"ops, sms, and sms as the last resort: {service.got}")
    assert all("NOBODY WAS PAGED YET" in got.json["title"] for got in service.got)
    assert all(incident["ack_url"].partition("?")[0] in got.json["message"] for got in service.got)
    shown = stack.show(incident)
    assert shown["state"] == "escalating"
    assert {"late", "fallback"} <= {entry["event"] for entry in shown["timeline"]}
    stack.simulator.clear()
    stack.wait_for_state(incident, "escalated")
    [alert] = [state for (_, key), state in stack.simulator.alerts.items() if key == incident["id"]]
    assert alert == "firing"
