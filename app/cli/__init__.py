"""The command `versus`: `parser.py` lists what it can do, and each command is one function."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from app import gateway as gateways
from app import telemetry
from app.channels import UnknownChannel
from app.cli import processes
from app.cli.incidents import NotOne
from app.cli.parser import parser
from app.cli.trial import BadInput
from app.drill import Failed
from app.incident import NotAllowed
from app.store import Unavailable, Unknown
from config import ConfigError, load_config

# A person waits: Redis is tried for so long, and each try may take so long.
PATIENCE, TIMEOUT = 4.0, 1.5

SENTENCES = (Unavailable, Unknown, NotAllowed, NotOne, BadInput, UnknownChannel, Failed)
"""Errors that say in one sentence what is wrong."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 when it failed, 2 when the configuration is wrong."""
    arguments = parser().parse_args(argv)
    if arguments.process:
        return _become(arguments.process, arguments.config)
    try:
        config = load_config(arguments.config)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    telemetry.configure(config.secrets())
    # What was done is told on standard output; the log tells what went wrong.
    logging.getLogger().setLevel(logging.WARNING)
    try:
        gateway = gateways.build(config, patience=PATIENCE, timeout=TIMEOUT)
        status: int = arguments.command(gateway, arguments)
    except SENTENCES as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return status


def _become(name: str, config: Path | None) -> int:
    """Returns only when that is impossible. The configuration is for the process itself to read."""
    try:
        processes.become(name, config)
    except processes.NoProcfile as error:
        sys.stderr.write(f"{error}\n")
    return 1
