"""Slack through its own API, against a stand-in that refuses what Slack's documentation does not allow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import SecretStr

from app.destinations.base import Message, Summary
from app.destinations.slack import SlackChannel
from app.domain.subscription import ChangeEvent
from app.ops import preview
from config.go_channels import SlackMessage
from tests.destinations.conftest import NASTY, PAGED, a_message
from tests.destinations.slack_rules import CHANNEL, TOKEN, SlackRules, buttons
from tests.destinations.standin import Answer, StandIn


@pytest.fixture
def rules() -> SlackRules:
    return SlackRules()


@pytest.fixture
def api(rules: SlackRules) -> Iterator[StandIn]:
    with StandIn(rules).serving() as stand_in:
        yield stand_in


def slack(api: StandIn, *, interactive: bool = True, channel: str = CHANNEL) -> SlackChannel:
    return SlackChannel(SecretStr(TOKEN), channel, f"{api.base}/api", interactive=interactive)


def later(event: ChangeEvent, reference: str | None) -> Message:
    """A message about the sample incident after its first one."""
    incident = a_message().incident
    now = preview.NOON + timedelta(minutes=1)
    if event == "acknowledged":
        incident = incident.acknowledged("Dana in Slack", now)
    elif event == "resolved":
        incident = incident.resolved("grafana", now)
    elif event == "escalated":
        incident = replace(incident, pagers=PAGED)
    link = "https://v/" if incident.can_be_acknowledged else None
    return Message(event, incident, now, link, None, reference)


def test_a_new_incident_has_a_button_whose_click_comes_back(api: StandIn, rules: SlackRules) -> None:
    outcome = slack(api).send(a_message(), None)
    assert outcome.delivered
    [((channel, ts), sent)] = rules.messages.items()
    assert outcome.reference == f"{channel}:{ts}"
    shown = [(one["text"]["text"], one["action_id"], one["value"]) for one in buttons(sent)]
    assert shown == [
        ("Acknowledge", "acknowledge", "i-1"),
        ("For 30 minutes", "acknowledge_30", "i-1"),
        ("For 2 hours", "acknowledge_120", "i-1"),
    ]
    assert not any("url" in button for button in buttons(sent))
    assert "Pages at 2026-03-04 03:03:00 UTC unless" in json.dumps(sent)


def test_without_a_signing_secret_the_button_is_a_link(api: StandIn, rules: SlackRules) -> None:
    message = a_message()
    assert slack(api, interactive=False).send(message, None).delivered
    [button] = buttons(next(iter(rules.messages.values())))
    assert button["url"] == message.ack_url


def test_a_channel_given_by_its_name_is_changed_by_its_id(api: StandIn, rules: SlackRules) -> None:
    outcome = slack(api, channel="#ops").send(a_message(), None)
    assert outcome.reference is not None
    assert outcome.reference.startswith(CHANNEL)


def test_an_acknowledgement_changes_the_message_in_place(api: StandIn, rules: SlackRules) -> None:
    reference = slack(api).send(a_message(), None).reference
    outcome = slack(api).send(later("acknowledged", reference), None)
    assert (outcome.delivered, outcome.reference) == (True, reference)
    [sent] = rules.messages.values()
    assert buttons(sent) == []
    assert "Acknowledged by Dana in Slack at 2026-03-04 03:01:00 UTC." in json.dumps(sent)
    assert rules.replies == []


@pytest.mark.parametrize("event", ["severity_raised", "reopened", "escalated", "failed", "resolved"])
def test_what_must_be_noticed_is_also_said_in_the_thread(
    api: StandIn, rules: SlackRules, event: ChangeEvent
) -> None:
    reference = slack(api).send(a_message(), None).reference
    assert slack(api).send(later(event, reference), None).delivered
    [reply] = rules.replies
    loud = str(reply.get("reply_broadcast", False)).lower() in ("true", "1")
    assert loud == (event in ("reopened", "failed"))
    assert len(rules.messages) == 1


def test_a_message_that_is_gone_is_posted_anew(api: StandIn, rules: SlackRules) -> None:
    outcome = slack(api).send(later("acknowledged", f"{CHANNEL}:1.1"), None)
    assert outcome.delivered
    assert outcome.reference in {f"{channel}:{ts}" for channel, ts in rules.messages}


def test_another_channel_for_one_request(api: StandIn, rules: SlackRules) -> None:
    assert slack(api).send(a_message(), "C999").delivered
    assert [channel for channel, _ in rules.messages] == ["C999"]


def test_a_strangers_text_calls_nobody_and_links_nowhere(api: StandIn, rules: SlackRules) -> None:
    huge = NASTY * 200
    message = a_message(title=huge, description=huge, service=huge, source=huge)
    assert slack(api).send(message, None).delivered
    text = json.dumps(next(iter(rules.messages.values())), ensure_ascii=False)
    for call in ("<!channel", "@everyone"):
        assert call not in text


def test_a_summary_is_one_message_with_a_link_to_all(api: StandIn, rules: SlackRules) -> None:
    incident = a_message(title=NASTY).incident
    summary = Summary([("created", incident)] * 10, 57, [("created", 57)], preview.NOON, "https://v/")
    assert slack(api).send(summary, None).delivered
    [sent] = rules.messages.values()
    assert buttons(sent)[0]["url"] == "https://v/"
    assert "and 47 more" in json.dumps(sent)


def test_a_rate_limit_says_when_to_come_again(api: StandIn) -> None:
    api.answers = [Answer(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": "30"})]
    outcome = slack(api).send(a_message(), None)
    assert (outcome.delivered, outcome.detail, outcome.not_before) == (False, "ratelimited", 30.0)
    assert len(api.got) == 1


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (Answer(200, {"ok": False, "error": "channel_not_found"}), "channel_not_found"),
        (Answer(200, {"ok": False, "error": "invalid_auth"}), "invalid_auth"),
        (Answer(500, b"oops"), None),
        (Answer(200, b"<html>"), None),
    ],
    ids=str,
)
def test_what_slack_refuses_is_reported_in_its_word(api: StandIn, answer: Answer, detail: str | None) -> None:
    api.answers = [answer]
    outcome = slack(api).send(a_message(), None)
    assert not outcome.delivered
    assert outcome.verdict == "try_again"
    assert outcome.detail
    assert detail in (None, outcome.detail)
    assert TOKEN not in outcome.detail


def test_nobody_there_is_reported() -> None:
    channel = SlackChannel(SecretStr(TOKEN), CHANNEL, "http://127.0.0.1:1/api", interactive=True)
    outcome = channel.send(a_message(), None)
    assert (outcome.delivered, outcome.detail) == (False, "Connection refused")


@pytest.mark.parametrize("status", [200, 502])
@pytest.mark.parametrize(
    "body", [b"<html>xoxb-1</html>", b"[]", b'"x"', b"null", b'{"ok": false, "error": {"a": 1}}', b"\xff"]
)
def test_what_a_proxy_answers_in_slacks_place_is_a_failure_without_its_words(
    status: int, body: bytes
) -> None:
    with StandIn(lambda got: Answer(status, body)).serving() as api:
        outcome = slack(api).send(a_message(), None)
    assert outcome.verdict == "try_again"
    assert outcome.detail
    assert "xoxb" not in outcome.detail


@pytest.mark.parametrize("interactive", [True, False])
def test_the_button_looks_as_it_was_configured(interactive: bool) -> None:
    def shown(**properties: object) -> list[dict[str, object]]:
        look = SlackMessage.model_validate(properties)
        url = "http://127.0.0.1:1/api"
        channel = SlackChannel(SecretStr(TOKEN), CHANNEL, url, interactive=interactive, button=look)
        return buttons(channel.rendered(a_message()))

    plain, *_ = shown()
    assert (plain["text"]["text"], plain["style"]) == ("Acknowledge", "primary")  # type: ignore[index]
    own, *_ = shown(button_text="I am on it", button_style="danger")
    assert (own["text"]["text"], own["style"]) == ("I am on it", "danger")  # type: ignore[index]
    assert own.keys() == plain.keys()
    assert shown(disable_button=True) == []
