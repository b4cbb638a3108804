"""`versus`, the command line: `versus check-config` tries the configuration and shows what is in force."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from app import __version__
from config import ConfigError, load_config


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, or 2 when the configuration is wrong."""
    arguments = _parser().parse_args(argv)
    try:
        return check_config(arguments.config)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2


def check_config(file: Path | None) -> int:
    """Warnings to standard error, the effective configuration without secrets to standard output."""
    config = load_config(file)
    for warning in config.warnings:
        sys.stderr.write(f"warning: {warning}\n")
    # In one piece: whoever reads only its beginning, as `head` does, must not see a traceback.
    sys.stdout.write(yaml.safe_dump(config.describe(), sort_keys=False, allow_unicode=True))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="versus", description="Versus Incident from the command line.")
    parser.add_argument("--version", action="version", version=f"versus {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")
    check = commands.add_parser("check-config", help="try the configuration and show what is in force")
    check.add_argument(
        "--config",
        type=Path,
        metavar="PATH",
        help="the configuration file (default: VERSUS_CONFIG, then config/config.yaml)",
    )
    return parser
