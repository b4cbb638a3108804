"""Slack's API as docs.slack.dev has it: chat.postMessage, chat.update, Block Kit; for a stand-in."""

from __future__ import annotations

import itertools
import json
from typing import Any
from urllib.parse import parse_qs

from tests.destinations.standin import Answer, Got

TOKEN = "xoxb-planted-token"
CHANNEL = "C0123456789"


class SlackRules:
    """Messages by channel and `ts`; a request that Slack would refuse fails the test."""

    def __init__(self) -> None:
        self.messages: dict[tuple[str, str], dict[str, Any]] = {}
        self.replies: list[dict[str, Any]] = []
        self._ts = (f"1700000000.{n:06}" for n in itertools.count(1))

    def __call__(self, got: Got) -> Answer:
        assert got.method == "POST"
        assert got.headers["Authorization"] == f"Bearer {TOKEN}"
        sent = _arguments(got)
        assert sent["text"], "without a text nothing is read out in a notification"
        for block in _blocks(sent):
            _check(block)
        if got.path == "/api/chat.postMessage":
            return self._post(sent)
        assert got.path == "/api/chat.update", got.path
        key = (sent["channel"], sent["ts"])
        if key not in self.messages:
            return Answer(200, {"ok": False, "error": "message_not_found"})
        self.messages[key] = sent
        return Answer(200, {"ok": True, "channel": key[0], "ts": key[1]})

    def _post(self, sent: dict[str, Any]) -> Answer:
        channel = CHANNEL if sent["channel"].startswith("#") else sent["channel"]
        if channel != CHANNEL and not channel.startswith("C"):
            return Answer(200, {"ok": False, "error": "channel_not_found"})
        ts = next(self._ts)
        if "thread_ts" in sent:
            assert (channel, sent["thread_ts"]) in self.messages
            self.replies.append(sent)
        else:
            self.messages[channel, ts] = sent
        return Answer(200, {"ok": True, "channel": channel, "ts": ts})


def _arguments(got: Got) -> dict[str, Any]:
    if got.headers["Content-Type"].startswith("application/json"):
        arguments: dict[str, Any] = got.json
        return arguments
    assert got.headers["Content-Type"].startswith("application/x-www-form-urlencoded")
    fields = {name: values[0] for name, values in parse_qs(got.body.decode()).items()}
    return {n: json.loads(v) if n in ("blocks", "attachments") else v for n, v in fields.items()}


def _blocks(sent: dict[str, Any]) -> list[dict[str, Any]]:
    blocks = list(sent.get("blocks", []))
    for attachment in sent.get("attachments", []):
        assert attachment["color"].startswith("#")
        blocks += attachment["blocks"]
    assert len(blocks) <= 50
    return blocks


def _check(block: dict[str, Any]) -> None:
    kind = block["type"]
    assert kind in ("header", "section", "actions", "context", "divider")
    if kind == "header":
        _text(block["text"], 150, plain=True)
    if kind == "section":
        assert "text" in block or block.get("fields")
        if "text" in block:
            _text(block["text"], 3000)
        assert len(block.get("fields", [])) <= 10
        for field in block.get("fields", []):
            _text(field, 2000)
    if kind == "actions":
        assert 1 <= len(block["elements"]) <= 25
        for button in block["elements"]:
            assert button["type"] == "button"
            _text(button["text"], 75, plain=True)
            assert 1 <= len(button["action_id"]) <= 255
            assert len(button.get("value", "")) <= 2000
            assert len(button.get("url", "")) <= 3000
            assert button.get("style") in (None, "primary", "danger")


def _text(text: dict[str, Any], most: int, *, plain: bool = False) -> None:
    assert text["type"] == ("plain_text" if plain else "mrkdwn")
    assert 1 <= len(text["text"]) <= most
    # A stranger's text is no mark-up; ours has none with an angle bracket.
    assert plain or "<" not in text["text"]
    assert set(text) <= ({"type", "text", "emoji"} if plain else {"type", "text", "verbatim"})


def buttons(sent: dict[str, Any]) -> list[dict[str, Any]]:
    """The buttons of a message."""
    return [e for block in _blocks(sent) if block["type"] == "actions" for e in block["elements"]]
