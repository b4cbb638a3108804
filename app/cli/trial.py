"""`versus drill`, `send-test`, `replay` and `preview`: try the way of a page, of a webhook, of a message."""

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import Any

from app import preview as previews
from app import senders
from app.channels import Message, Summary
from app.cli.output import teller, write_json
from app.drill import Answer, Drill, Failed, replay, send_test
from app.gateway import Gateway
from app.store import SUMMARY, Unavailable

INDENT = "    "


class BadInput(Exception):
    """A file or a name on the command line that can't be used; one sentence."""


def url_of(gateway: Gateway, arguments: argparse.Namespace) -> str:
    """Where web is."""
    config = gateway.config
    everywhere = config.host in ("0.0.0.0", "::")  # noqa: S104
    url: str = arguments.url or f"http://{f'localhost:{config.port}' if everywhere else config.address}"
    return url.rstrip("/")


def drill(gateway: Gateway, arguments: argparse.Namespace) -> int:
    """See `app/drill.py`."""
    tell = teller(gateway.config)
    trial = Drill(gateway, url_of(gateway, arguments), arguments.wait, arguments.timeout, tell)

    def interrupt(number: int, _: object) -> None:
        trial.interrupted = True
        # Who is in a hurry, and does it again, ends it as it stands.
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    try:
        trial.run()
    except (Failed, Unavailable) as failure:
        tell(f"FAILED: {failure}")
        return 1
    return 0


def test_webhook(gateway: Gateway, arguments: argparse.Namespace) -> int:
    """Send one webhook to the running web process, and tell what became of it."""
    parameters = {"oncall_enable": "true" if arguments.page else "false"}
    if arguments.channels:
        parameters["channels"] = arguments.channels
    answer = send_test(gateway.config, url_of(gateway, arguments), arguments.title, parameters)
    return _told(gateway, arguments, answer)


def replay_rejected(gateway: Gateway, arguments: argparse.Namespace) -> int:
    """Have the running web process take a rejected body after all, and tell what became of it."""
    return _told(gateway, arguments, replay(gateway.config, url_of(gateway, arguments), arguments.id))


def _told(gateway: Gateway, arguments: argparse.Namespace, answered: Answer) -> int:
    status, answer = answered
    if arguments.json:
        write_json([answer])
    else:
        tell = teller(gateway.config)
        incident = answer.get("incident") or {}
        tell(f"{status}: {answer.get('status') or answer.get('error')}")
        for key in ("id", "state", "due_at", "ack_url"):
            if incident.get(key):
                tell(f"{INDENT}{key}: {incident[key]}")
    return 0 if status < 300 else 1


def preview(gateway: Gateway, arguments: argparse.Namespace) -> int:
    """What the messages of a channel look like; with --send they are sent."""
    [target] = gateway.channels.asked([arguments.channel])
    found = gateway.channels.channel(target)
    if found is None:
        raise BadInput(f"There is no channel {target}.")
    channel, _ = found
    alert = senders.read(_payload(arguments.payload), {}) if arguments.payload else previews.SAMPLE
    messages: dict[str, Message | Summary] = {one.news: one for one in previews.messages(gateway, alert)}
    messages[SUMMARY] = previews.summary(gateway, alert)
    failed = False
    for name, message in messages.items():
        if arguments.event not in (None, name):
            continue
        _write(name, channel.shown(message), as_json=arguments.json)
        if arguments.send:
            outcome = channel.send(message, None)
            sys.stderr.write(f"{name}: {'sent' if outcome.delivered else f'failed: {outcome.detail}'}\n")
            failed |= not outcome.delivered
    return 1 if failed else 0


def _write(name: str, shown: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        write_json([{"event": name, **shown}])
    elif "body" in shown:
        sys.stdout.write(f"== {name} ({shown['form']}): {shown['title']}\n{shown['body']}\n\n")
    else:
        sys.stdout.write(f"== {name}\n{json.dumps(shown, indent=2, ensure_ascii=False)}\n\n")


def _payload(path: Path) -> dict[str, Any]:
    try:
        payload = json.loads(path.read_bytes())
    except OSError as error:
        raise BadInput(f"{path} can't be read ({error.strerror}).") from None
    except ValueError:
        raise BadInput(f"{path} is not JSON: it must hold the body of a webhook.") from None
    if not isinstance(payload, dict):
        raise BadInput(f"{path} must hold one JSON object, the body of a webhook.")
    return payload
