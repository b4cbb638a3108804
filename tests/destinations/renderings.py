"""Writes docs/messages.md, every default message in every form, and the pictures of mails:
`python -m tests.destinations.renderings`."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from app.bootstrap import Services, build_services
from app.destinations.apprise import AppriseChannel
from app.destinations.base import Channel, Message, Summary
from app.destinations.slack import SlackChannel
from app.ops import preview
from config import ChannelSettings, load_config

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "messages.md"
IMAGES = ROOT / "docs" / "images"
BROWSER = ("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
# As wide as a narrow mail program shows it; as tall as the message.
WIDTH = 640
PICTURES = {"created": 484, "failed": 508}

HEAD = """\
# The default messages

What each message looks like in each form, for a sample incident. Which form a channel takes:
[channels.md](channels.md#messages). Your own channels and payloads: `versus preview NAME payload.json`.

This page is written by `python -m tests.destinations.renderings`, and a test fails when it is out of date.
"""
CONFIG = """\
public_host: https://versus.example.com
gateway_secret: shown-in-the-docs
oncall: {enable: true, incident_io: {api_key: "${KEY}", alert_source_config_id: source}}
redis: {url: "redis://localhost:6379/0"}
"""


def sample_services(folder: Path) -> Services:
    """Services whose links are the same on every machine; nothing connects."""
    file = folder / "config.yaml"
    file.write_text(CONFIG)
    return build_services(load_config(file, {"KEY": "key"}))


def channels() -> dict[str, Channel]:
    """A channel for each form."""
    urls = {
        "Text": "ntfy://ntfy.example.com/ops",
        "Markdown": f"mmost://chat.example.com/{'a' * 26}",
        "HTML": "mailto://mail.example.com?from=versus@example.com&to=ops@example.com",
    }
    made: dict[str, Channel] = {
        form: AppriseChannel(ChannelSettings("ops", SecretStr(url))) for form, url in urls.items()
    }
    slack = SlackChannel(SecretStr("xoxb-1"), "C0123456789", "https://slack.com/api", interactive=True)
    return made | {"Slack": slack}


def messages(services: Services) -> Iterator[tuple[str, Message | Summary]]:
    """Each message with its heading."""
    for message in preview.messages(services, preview.SAMPLE):
        yield message.event, message
    yield "summary", preview.summary(services, preview.SAMPLE)


def rendered(services: Services) -> Iterator[str]:
    """The page."""
    yield HEAD
    made = channels()
    for heading, message in messages(services):
        yield f"\n## {heading}\n"
        for form, channel in made.items():
            yield f"\n{form}:\n\n{_fenced(form, channel.rendered(message))}\n"


def _fenced(form: str, shown: dict[str, Any]) -> str:
    if form == "Slack":
        return f"```json\n{json.dumps(shown, indent=2, ensure_ascii=False)}\n```"
    kind = {"HTML": "html", "Markdown": "markdown"}.get(form, "text")
    return f"```{kind}\n{shown['title']}\n\n{shown['body']}\n```"


def picture(html: str, file: Path, height: int) -> None:
    """What a browser makes of a mail's HTML."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "mail.html"
        page.write_text(
            f'<!doctype html><meta charset="utf-8"><body style="margin:24px;overflow:hidden">{html}'
        )
        size = f"--window-size={WIDTH},{height}"
        command = [
            *BROWSER,
            f"--user-data-dir={folder}/profile",
            size,
            f"--screenshot={file}",
            f"file://{page}",
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=60)


def main() -> None:
    """Write them all."""
    with tempfile.TemporaryDirectory() as folder:
        services = sample_services(Path(folder))
    PAGE.write_text("".join(rendered(services)))
    mail = channels()["HTML"]
    for heading, message in messages(services):
        if heading in PICTURES:
            picture(mail.rendered(message)["body"], IMAGES / f"mail-{heading}.png", PICTURES[heading])


if __name__ == "__main__":
    main()
