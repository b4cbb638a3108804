"""`versus rejected`: webhooks that were refused; `versus replay` has one taken after all."""

from __future__ import annotations

import argparse
import sys

from app.bootstrap import Services
from app.cli.output import write_json
from app.sanitize import one_line


def rejected(services: Services, arguments: argparse.Namespace) -> int:
    """The newest, the one refused last first."""
    entries = services.store.rejected.newest(arguments.limit)
    if arguments.json:
        write_json(entries)
        return 0
    for entry in entries:
        # For eyes, without the control characters that strangers may have sent.
        sys.stdout.write(
            f"{entry['last_at']} {entry['count']:5}x {entry['status']} {one_line(entry['error'], 200)}\n"
            f"    {entry['id']} from {entry.get('remote_address')}, {entry['size']} bytes: "
            f"{one_line(entry['body'], 100)}\n"
        )
    return 0
