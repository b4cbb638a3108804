"""`versus drill`, `send-test`, `replay` and `preview`: try the way of a page, of a webhook, of a message."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import Any

from app.bootstrap import Services
from app.cli.output import printer, write_json
from app.destinations.base import Message, Summary
from app.ingest import webhooks
from app.ops import preview as previews
from app.ops.drill import Drill, DrillFailed, WebAnswer, replay, send_test
from app.store import SUMMARY, StoreUnavailable

INDENT = "    "


class BadInput(Exception):
    """A file or a name on the command line that can't be used; one sentence."""


def url_of(services: Services, arguments: argparse.Namespace) -> str:
    """Where web is."""
    config = services.config
    everywhere = config.host in ("0.0.0.0", "::")  # noqa: S104
    url: str = arguments.url or f"http://{f'localhost:{config.port}' if everywhere else config.address}"
    return url.rstrip("/")


def drill(services: Services, arguments: argparse.Namespace) -> int:
    """See `app/ops/drill.py`."""
    report = printer(services.config)
    trial = Drill(services, url_of(services, arguments), arguments.wait, arguments.timeout, report)

    def interrupt(number: int, _: object) -> None:
        trial.interrupted = True
        # Who is in a hurry, and does it again, ends it as it stands.
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    try:
        trial.run()
    except (DrillFailed, StoreUnavailable) as failure:
        report(f"FAILED: {failure}")
        return 1
    return 0


def test_webhook(services: Services, arguments: argparse.Namespace) -> int:
    """Send one webhook to the running web process, and print what became of it."""
    parameters = {"oncall_enable": "true" if arguments.page else "false"}
    if arguments.channels:
        parameters["channels"] = arguments.channels
    answer = send_test(services.config, url_of(services, arguments), arguments.title, parameters)
    return _report(services, arguments, answer)


def replay_rejected(services: Services, arguments: argparse.Namespace) -> int:
    """Have the running web process take a rejected body after all, and print what became of it."""
    return _report(services, arguments, replay(services.config, url_of(services, arguments), arguments.id))


def _report(services: Services, arguments: argparse.Namespace, answered: WebAnswer) -> int:
    status, answer = answered
    if arguments.json:
        write_json([answer])
    else:
        report = printer(services.config)
        incident = answer.get("incident") or {}
        report(f"{status}: {answer.get('status') or answer.get('error')}")
        for key in ("id", "state", "due_at", "ack_url"):
            if incident.get(key):
                report(f"{INDENT}{key}: {incident[key]}")
    return 0 if status < 300 else 1


def preview(services: Services, arguments: argparse.Namespace) -> int:
    """What the messages of a channel look like; with --send they are sent."""
    [target] = services.channels.asked([arguments.channel])
    found = services.channels.channel(target)
    if found is None:
        raise BadInput(f"There is no channel {target}.")
    channel, _ = found
    alert = webhooks.read(_payload(arguments.payload), {}) if arguments.payload else previews.SAMPLE
    messages: dict[str, Message | Summary] = {one.event: one for one in previews.messages(services, alert)}
    messages[SUMMARY] = previews.summary(services, alert)
    failed = False
    for name, message in messages.items():
        if arguments.event not in (None, name):
            continue
        _write(name, channel.rendered(message), as_json=arguments.json)
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
