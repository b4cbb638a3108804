"""`versus check-config`: is the configuration right, and does what it names work."""

from __future__ import annotations

import argparse
import sys

import yaml

from app import checks
from app.cli.output import teller, write_json
from app.gateway import Gateway


def check_config(gateway: Gateway, arguments: argparse.Namespace) -> int:
    """Warnings to standard error; to standard output what is in force, without secrets, or what was found."""
    for warning in gateway.config.warnings:
        sys.stderr.write(f"warning: {warning}\n")
    if arguments.online:
        return _check_online(gateway, as_json=arguments.json)
    shown = gateway.config.describe()
    if arguments.json:
        write_json([shown])
    else:
        # In one piece: whoever reads only its beginning, as `head` does, must not see a traceback.
        sys.stdout.write(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True))
    return 0


def _check_online(gateway: Gateway, *, as_json: bool) -> int:
    tell = teller(gateway.config)
    status = 0
    for finding in checks.check(gateway):
        if as_json:
            write_json([{"level": finding.level, "about": finding.about, "text": finding.text}])
        else:
            tell(f"{finding.level:8} {finding.about}: {finding.text}")
        if finding.level == "error":
            status = max(status, 2 if finding.of_the_configuration else 1)
    return status
