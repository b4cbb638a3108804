"""`versus`, the command line; each command is one function, and one entry in `_parser`."""

from __future__ import annotations

import argparse
import json
import math
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from app import __version__, checks, telemetry
from app import gateway as gateways
from app.drill import Drill, Failed
from app.store import KEPT, Unavailable
from app.telemetry import redactor
from app.text import one_line
from config import Config, ConfigError, load_config

# A person waits: Redis is tried for so long, and each try may take so long.
PATIENCE, TIMEOUT = 4.0, 1.5

ONLINE = """
try the real things too: Redis and its settings, incident.io (creates no alert), the clocks;
ends with 1 when one of them is an error
"""
DRILL = """
Send an incident marked [DRILL] to the running web process, wait until incident.io has accepted its page,
resolve it, wait for the all-clear, and tell when each hop was reached. IT REALLY PAGES: an alert is created
at incident.io, and whoever its alert routes name is called; a route can tell it by the metadata label_drill.
Ends with 0 when page and all-clear arrived, else with 1. Whatever happens, Ctrl-C included, the incident is
resolved.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 when it failed, 2 when the configuration is wrong."""
    arguments = _parser().parse_args(argv)
    try:
        config = load_config(arguments.config)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    status: int = arguments.command(config, arguments)
    return status


def check_config(config: Config, arguments: argparse.Namespace) -> int:
    """Warnings to standard error; to standard output what is in force, without secrets, or what was found."""
    for warning in config.warnings:
        sys.stderr.write(f"warning: {warning}\n")
    if arguments.online:
        return _check_online(config)
    # In one piece: whoever reads only its beginning, as `head` does, must not see a traceback.
    sys.stdout.write(yaml.safe_dump(config.describe(), sort_keys=False, allow_unicode=True))
    return 0


def _check_online(config: Config) -> int:
    tell = _teller(config)
    failed = False
    for finding in checks.check(gateways.build(config, patience=PATIENCE, timeout=TIMEOUT)):
        tell(f"{finding.level:8} {finding.about}: {finding.text}")
        failed |= finding.level == "error"
    return 1 if failed else 0


def drill(config: Config, arguments: argparse.Namespace) -> int:
    """See `app/drill.py`."""
    telemetry.configure(config.secrets())
    host = "localhost" if config.host in ("0.0.0.0", "::") else config.host  # noqa: S104
    url = (arguments.url or f"http://{host}:{config.port}").rstrip("/")
    tell = _teller(config)
    gateway = gateways.build(config, patience=PATIENCE, timeout=TIMEOUT)
    trial = Drill(gateway, url, arguments.wait, arguments.timeout, tell)

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


def rejected(config: Config, arguments: argparse.Namespace) -> int:
    """Rejected webhooks, the one refused last first; POST /api/rejected/{id}/replay takes one after all."""
    gateway = gateways.build(config, patience=PATIENCE, timeout=TIMEOUT)
    try:
        entries = gateway.store.rejected.newest(arguments.limit)
    except Unavailable as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if arguments.json:
        shown = [json.dumps(entry) for entry in entries]
    else:
        # For eyes, without the control characters that strangers may have sent.
        shown = [
            f"{entry['last_at']} {entry['count']:5}x {entry['status']} {one_line(entry['error'], 200)}\n"
            f"    {entry['id']} from {entry.get('remote_address')}, {entry['size']} bytes: "
            f"{one_line(entry['body'], 100)}"
            for entry in entries
        ]
    sys.stdout.write("".join(f"{one}\n" for one in shown))
    return 0


def _teller(config: Config) -> Callable[[str], None]:
    """Writes lines as they come, without secrets."""
    redact = redactor(config.secrets())

    def tell(line: str) -> None:
        sys.stdout.write(f"{redact(line)}\n")
        sys.stdout.flush()

    return tell


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="versus", description="Versus Incident from the command line.")
    parser.add_argument("--version", action="version", version=f"versus {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")

    def add(name: str, command: Any, summary: str, description: str | None = None) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=summary, description=description or summary)
        added.set_defaults(command=command)
        added.add_argument(
            "--config",
            type=Path,
            metavar="PATH",
            help="the configuration file (default: VERSUS_CONFIG, then config/config.yaml)",
        )
        return added

    check = add("check-config", check_config, "try the configuration and show what is in force")
    check.add_argument("--online", action="store_true", help=ONLINE)
    trial = add("drill", drill, "page for real, and see that it arrives (creates an alert)", DRILL)
    trial.add_argument(
        "--wait", type=seconds, default=5.0, metavar="SECONDS", help="until the page is due (default: 5)"
    )
    trial.add_argument(
        "--timeout",
        type=seconds,
        default=60.0,
        metavar="SECONDS",
        help="that page and all-clear may be late (default: 60)",
    )
    trial.add_argument(
        "--url", metavar="URL", help="of web (default: http://localhost and the configured port)"
    )
    refused = add("rejected", rejected, "list the webhooks that were refused")
    refused.add_argument("--json", action="store_true", help="whole entries, a JSON object a line")
    refused.add_argument("--limit", type=_limit, default=20, metavar="N", help="how many (default: 20)")
    return parser


def _limit(text: str) -> int:
    number = int(text)
    if not 1 <= number <= KEPT:
        raise argparse.ArgumentTypeError(f"{number} is no number from 1 to {KEPT}")
    return number


def seconds(text: str) -> float:
    """Of an option; a value that is none ends the program with a sentence."""
    number = float(text)
    if not (math.isfinite(number) and 0 <= number <= 3600):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds from 0 to 3600")
    return number
