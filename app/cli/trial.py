"""`versus drill`, `send-test`, `replay`, `route`, `preview`: try a page, a webhook, a rule, a message."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.bootstrap import Services
from app.cli.output import printer, write_json
from app.destinations.base import Message, Summary
from app.domain.delivery import Destination
from app.ingest import webhooks
from app.ops import preview as previews
from app.ops.drill import Drill, DrillFailed, WebAnswer, replay, send_test
from app.sanitize import one_line
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
    provider = _provider(services, arguments.provider)
    trial = Drill(services, url_of(services, arguments), arguments.wait, arguments.timeout, report, provider)

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


def _provider(services: Services, named: str | None) -> Destination | None:
    if named is None:
        return None
    known = services.config.oncall.pagers
    if named.lower() not in known:
        raise BadInput(f"There is no provider {named[:100]!r}: the names are {', '.join(known) or 'none'}.")
    return Destination(named.lower())


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


def route(services: Services, arguments: argparse.Namespace) -> int:
    """What would follow from a webhook, and by which rule."""
    # Not at the top: other commands must not wait for the web framework.
    from app.web.api import route as webhooks_route

    parameters = [*arguments.param, *([("at", arguments.at)] if arguments.at else [])]
    raw = sys.stdin.buffer.read() if str(arguments.file) == "-" else _bytes(arguments.file)
    try:
        found = webhooks_route.routed_body(services, raw, parameters, datetime.now(UTC))
    except webhooks_route.REFUSALS as error:
        raise BadInput(str(error)) from None
    if arguments.json:
        write_json(found["decisions"])
        return 0
    for one in found["decisions"]:
        first, *rest = (one_line(line, 1_000) for line in _in_words(one))
        sys.stdout.write("".join(f"{line}\n" for line in (first, *(INDENT + line for line in rest))))
    return 0


def _in_words(decision: dict[str, Any]) -> Iterator[str]:
    about = ", ".join(str(decision[name]) for name in ("source", "service", "severity") if decision[name])
    yield f"{decision['title']} ({about})"
    if decision["effect"] == "firing":
        rule = f"the rule {decision['rule']!r}" if decision["rule"] else "no rule"
        yield f"decided by: {rule}"
        yield f"notifies: {', '.join(decision['channels']) or 'nobody'}"
    due = f", due at {decision['due_at']}" if decision["due_at"] else ""
    yield f"it {decision['in_words']}{due}"


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


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path} can't be read ({error.strerror}).") from None


def _payload(path: Path) -> dict[str, Any]:
    try:
        payload = json.loads(_bytes(path))
    except ValueError:
        raise BadInput(f"{path} is not JSON: it must hold the body of a webhook.") from None
    if not isinstance(payload, dict):
        raise BadInput(f"{path} must hold one JSON object, the body of a webhook.")
    return payload
