"""Slack through its own API: a message with a button, which changes as the incident does."""

from __future__ import annotations

import re
from typing import Any
from urllib.error import URLError

from pydantic import SecretStr
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from app.destinations import rendering
from app.destinations.base import Message, Summary
from app.destinations.rendering import COUNTED
from app.domain.delivery import Outcome
from app.domain.state import State
from app.domain.timeline import TIMES
from app.sanitize import cut, lines
from config.go_channels import SlackMessage

# A change and a word in the thread are two calls, which together must end within 15 s.
TIMEOUT_SECONDS = 7
ACKNOWLEDGE = "acknowledge"
"""The `action_id` of the button, or its beginning; `app/web/api/slack.py` answers it."""
MINUTES = {f"{ACKNOWLEDGE}_{minutes}": minutes for minutes in TIMES}
"""Of the buttons that acknowledge for some time."""

# Slack's own limits, in characters (docs.slack.dev, Block Kit); a header is plain text.
HEADER = 150
SECTION = 2_900

# Changes for which the first message is updated, and its thread notified as well.
IN_THREAD = ("severity_raised", "reopened", "late", "escalated", "failed", "resolved")

COLOURS = {"critical": "#b3201b", "high": "#d9480f", "medium": "#b7791f", "low": "#1a4fb4", "info": "#565d69"}
GREEN = "#146c3c"

CODE = re.compile(r"[a-z_]{1,80}")

# The first message can't be changed any more; then another one is posted.
GONE = ("message_not_found", "cant_update_message", "edit_window_closed")


class SlackChannel:
    """A channel of Slack's. `interactive`: clicks come back to us; otherwise the button is a link."""

    def __init__(
        self,
        token: SecretStr,
        channel: str,
        base_url: str,
        *,
        interactive: bool,
        button: SlackMessage = SlackMessage(),  # noqa: B008 (it can't be changed)
    ) -> None:
        self._client = WebClient(
            token=token.get_secret_value(),
            base_url=base_url.rstrip("/") + "/",
            timeout=TIMEOUT_SECONDS,
            # Whether to try again is decided where it is remembered.
            retry_handlers=[],
        )
        self._channel = channel
        self._interactive = interactive
        self._properties = button

    def send(self, message: Message | Summary, address: str | None) -> Outcome:
        """Notify in a new message; of one incident, by a change of the first one and a word in its thread."""
        try:
            if isinstance(message, Message) and message.reference is not None:
                return self._update(message, message.reference)
            return self._post(message, address or self._channel)
        except Exception as error:
            return _failed(error)

    def _post(self, message: Message | Summary, channel: str) -> Outcome:
        answer = self._client.chat_postMessage(channel=channel, **self.rendered(message))
        # A channel may have been given by its name; only its ID can be used to change the message.
        found, ts = answer.get("channel"), answer.get("ts")
        return Outcome("delivered", reference=f"{found}:{ts}" if found and ts else None)

    def _update(self, message: Message, reference: str) -> Outcome:
        channel, _, ts = reference.partition(":")
        try:
            self._client.chat_update(channel=channel, ts=ts, **self.rendered(message))
        except SlackApiError as error:
            if error.response["error"] in GONE:
                return self._post(message, channel)
            raise
        if message.event in IN_THREAD:
            self._client.chat_postMessage(
                channel=channel,
                thread_ts=ts,
                text=escaped(f"{rendering.headline(message)}. {rendering.what_now(message)}"),
                # Loud: everybody in the channel must see it.
                reply_broadcast=message.event in ("reopened", "late", "failed"),
            )
        return Outcome("delivered", reference=reference)

    def rendered(self, message: Message | Summary) -> dict[str, Any]:
        """What it would send, besides where to."""
        if isinstance(message, Summary):
            return {"text": rendering.summary_headline(message), "blocks": _summary_blocks(message)}
        incident = message.incident
        done = incident.state in (State.ACKNOWLEDGED, State.RESOLVED)
        colour = GREEN if done else COLOURS[incident.severity or "medium"]
        return {
            "text": escaped(rendering.headline(message)),
            "attachments": [{"color": colour, "blocks": self._blocks(message)}],
        }

    def _blocks(self, message: Message) -> list[dict[str, Any]]:
        incident = message.incident
        blocks: list[dict[str, Any]] = [
            {"type": "header", "text": _plain(rendering.title(incident), HEADER)},
            {"type": "section", "text": _marked(f"*{escaped(rendering.what_now(message))}*")},
            {
                "type": "section",
                "fields": [
                    _marked(f"*{name}*\n{escaped(value)}") for name, value in rendering.facts(incident)
                ],
            },
        ]
        if incident.description.strip():
            said = rendering.harmless(lines(incident.description, rendering.WORDS))
            blocks.append({"type": "section", "text": _marked(escaped(said))})
        if buttons := self._buttons(message):
            blocks.append({"type": "actions", "elements": buttons})
        return blocks

    def _buttons(self, message: Message) -> list[dict[str, Any]]:
        if message.ack_url is None or self._properties.disable_button:
            return []
        text = _plain(self._properties.button_text or "Acknowledge", 75)
        button = {"type": "button", "style": self._properties.button_style, "text": text}
        if not self._interactive:
            return [{**button, "action_id": "open_link", "url": message.ack_url}]
        value = message.incident.id
        return [
            {**button, "action_id": ACKNOWLEDGE, "value": value},
            *(
                {"type": "button", "text": _plain(f"For {TIMES[n]}", 75), "action_id": action, "value": value}
                for action, n in MINUTES.items()
            ),
        ]


def escaped(text: str) -> str:
    """Text that Slack shows as it is: nobody is called, and nothing is a link that we did not make."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _plain(text: str, most: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": cut(text, most), "emoji": False}


def _marked(text: str) -> dict[str, Any]:
    # `verbatim`: names of channels and people in a stranger's text are no links.
    return {"type": "mrkdwn", "text": cut(text, SECTION), "verbatim": True}


def _summary_blocks(summary: Summary) -> list[dict[str, Any]]:
    named = "\n".join(
        f"• {one.severity or 'unknown severity'}: {escaped(rendering.title(one))} ({COUNTED[event]})"
        for event, one in summary.incidents
    )
    more = summary.total - len(summary.incidents)
    named += f"\n• and {more} more" if more > 0 else ""
    button = {"type": "button", "text": _plain("All of them", 75), "action_id": "open_link"}
    return [
        {"type": "header", "text": _plain(rendering.summary_headline(summary), HEADER)},
        {"type": "section", "text": _marked(named or "They no longer exist.")},
        {"type": "actions", "elements": [{**button, "url": summary.dashboard_url}]},
    ]


def _failed(error: Exception) -> Outcome:
    # Its client raises what comes to hand when a proxy answers in Slack's place.
    if isinstance(error, SlackApiError):
        after = error.response.headers.get("Retry-After", "")
        answer = error.response.data
        said = str(answer.get("error")) if isinstance(answer, dict) else ""
        # Slack's codes are words; anything else may repeat what it was sent, the token included.
        reason = said if CODE.fullmatch(said) else f"HTTP {error.response.status_code}"
        return Outcome("try_again", reason, not_before=float(after) if after.isdigit() else None)
    reached = error.reason if isinstance(error, URLError) else error
    if isinstance(reached, TimeoutError):
        return Outcome("try_again", "no answer in time")
    said = getattr(reached, "strerror", None) or type(error).__name__
    return Outcome("try_again", str(said)[:80])
