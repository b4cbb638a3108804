"""`versus`, the command line; each command is one function, and one entry in `_parser`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from app import __version__
from app import gateway as gateways
from app.store import KEPT, Unavailable
from app.text import one_line
from config import Config, ConfigError, load_config


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


def check_config(config: Config, _: argparse.Namespace) -> int:
    """Warnings to standard error, the effective configuration without secrets to standard output."""
    for warning in config.warnings:
        sys.stderr.write(f"warning: {warning}\n")
    # In one piece: whoever reads only its beginning, as `head` does, must not see a traceback.
    sys.stdout.write(yaml.safe_dump(config.describe(), sort_keys=False, allow_unicode=True))
    return 0


def rejected(config: Config, arguments: argparse.Namespace) -> int:
    """Rejected webhooks, the one refused last first; POST /api/rejected/{id}/replay takes one after all."""
    try:
        entries = gateways.build(config, patience=4.0, timeout=1.5).store.rejected.newest(arguments.limit)
    except Unavailable as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if arguments.json:
        shown = [json.dumps(entry) for entry in entries]
    else:
        # A line each for eyes, without the control characters that strangers may have sent.
        shown = [
            f"{entry['last_at']} {entry['count']:5}x {entry['status']} {one_line(entry['error'], 200)}\n"
            f"    {entry['id']} from {entry.get('remote_address')}, {entry['size']} bytes: "
            f"{one_line(entry['body'], 100)}"
            for entry in entries
        ]
    sys.stdout.write("".join(f"{one}\n" for one in shown))
    return 0


def _limit(text: str) -> int:
    number = int(text)
    if not 1 <= number <= KEPT:
        raise argparse.ArgumentTypeError(f"{number} is no number from 1 to {KEPT}")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="versus", description="Versus Incident from the command line.")
    parser.add_argument("--version", action="version", version=f"versus {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")

    def add(name: str, command: Any, summary: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=summary, description=summary)
        added.set_defaults(command=command)
        added.add_argument(
            "--config",
            type=Path,
            metavar="PATH",
            help="the configuration file (default: VERSUS_CONFIG, then config/config.yaml)",
        )
        return added

    add("check-config", check_config, "try the configuration and show what is in force")
    refused = add("rejected", rejected, "list the webhooks that were refused")
    refused.add_argument("--json", action="store_true", help="whole entries, a JSON object a line")
    refused.add_argument("--limit", type=_limit, default=20, metavar="N", help="how many (default: 20)")
    return parser
