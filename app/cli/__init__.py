"""The command `versus`: `parser.py` lists what it can do, and each command is one function."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from app import bootstrap, telemetry
from app.cli import processes
from app.cli.configuration import check_config, from_go
from app.cli.incidents import AmbiguousId
from app.cli.parser import parser
from app.cli.trial import BadInput, route
from app.destinations.channels import UnknownChannel
from app.domain.delivery import InvalidTransition
from app.ops.diagnostics import NONE_CONFIGURED
from app.ops.drill import DrillFailed
from app.silences import InvalidSilence
from app.store import IncidentNotFound, SilenceNotFound, StoreUnavailable, TooManySilences
from config import Config, ConfigError, load_config

# A person waits: Redis is tried for so long, and each try may take so long.
STORE_SECONDS, TIMEOUT = 4.0, 1.5

REDIS_OF_MAKE_RUN = Path("data/redis.url")
"""Where `make run` leaves word of the Redis that it started."""

SENTENCES = (
    StoreUnavailable,
    IncidentNotFound,
    InvalidSilence,
    SilenceNotFound,
    TooManySilences,
    InvalidTransition,
    AmbiguousId,
    BadInput,
    UnknownChannel,
    DrillFailed,
)
"""Errors that say in one sentence what is wrong."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 when it failed, 2 when the configuration is wrong."""
    arguments = parser().parse_args(argv)
    if arguments.process:
        return _become(arguments.process, arguments.config)
    try:
        if getattr(arguments, "from_go", None):
            return from_go(arguments)
        config = _with_redis_of_make_run(load_config(arguments.config))
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    unconfigured = not config.redis.configured and arguments.command not in (check_config, route)
    if unconfigured:
        sys.stderr.write(f"No Redis is configured, so this asks {config.redis.url.get_secret_value()}.\n")
    telemetry.configure(config.secrets())
    # What was done is told on standard output; the log says what went wrong.
    logging.getLogger().setLevel(logging.WARNING)
    try:
        services = bootstrap.build_services(config, retry_seconds=STORE_SECONDS, timeout=TIMEOUT)
        status: int = arguments.command(services, arguments)
    except SENTENCES as error:
        hint = f" {NONE_CONFIGURED}" if unconfigured and isinstance(error, StoreUnavailable) else ""
        sys.stderr.write(f"{error}{hint}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _become(name: str, config: Path | None) -> int:
    """Returns only when that is impossible. The configuration is for the process itself to read."""
    try:
        processes.become(name, config)
    except processes.ProcfileNotFound as error:
        sys.stderr.write(f"{error}\n")
    return 1


def _with_redis_of_make_run(config: Config) -> Config:
    """Where none is configured, the one that `make run` started in this folder."""
    if config.redis.configured:
        return config
    try:
        url = REDIS_OF_MAKE_RUN.read_text().strip()
    except OSError:
        return config
    return config.model_copy(update={"redis": config.redis.found_at(url)})
