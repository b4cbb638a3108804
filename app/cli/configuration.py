"""`versus check-config`: is the configuration right, and does what it names work."""

from __future__ import annotations

import argparse
import sys

import yaml

from app.bootstrap import Services
from app.cli.output import printer, write_json
from app.ops import diagnostics
from app.sanitize import one_line
from config.document import environment
from config.go_review import review


def check_config(services: Services, arguments: argparse.Namespace) -> int:
    """Warnings to standard error; to standard output what is in force, without secrets, or what was found."""
    for warning in services.config.warnings:
        sys.stderr.write(f"warning: {warning}\n")
    if arguments.online:
        return _check_online(services, as_json=arguments.json)
    shown = services.config.describe()
    if arguments.json:
        write_json([shown])
    else:
        # In one piece: anyone who reads only its beginning, as `head` does, must not see a traceback.
        sys.stdout.write(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True))
    return 0


def from_go(arguments: argparse.Namespace) -> int:
    """What becomes of each key of a file, and of each variable, of the Go edition. Raises `ConfigError`."""
    found = list(review(arguments.from_go, environment()))
    if arguments.json:
        write_json({"name": name, "fate": advice.fate, "text": advice.text} for name, advice in found)
        return 0
    for name, advice in found:
        said = f": {advice.text}" if advice.text else ""
        sys.stdout.write(f"{advice.fate:14} {one_line(name, 300)}{said}\n")
    todo = sum(advice.fate != "kept" for _, advice in found)
    sys.stdout.write(f"\n{len(found)} in all, {todo} of them to look at: docs/migrating.md says how.\n")
    sys.stdout.write(f"Then: versus check-config --config {arguments.from_go}\n")
    return 0


def _check_online(services: Services, *, as_json: bool) -> int:
    report = printer(services.config)
    status = 0
    for finding in diagnostics.check(services):
        if as_json:
            write_json([{"level": finding.level, "about": finding.about, "text": finding.text}])
        else:
            report(f"{finding.level:8} {finding.about}: {finding.text}")
        if finding.level == "error":
            status = max(status, 2 if finding.of_the_configuration else 1)
    return status
