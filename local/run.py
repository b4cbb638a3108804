"""`make run`: the Procfile with your own configuration, and a Redis of our own if none is configured."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from honcho.manager import Manager

from config import ConfigError, load_config
from local.embedded import EmbeddedRedis
from local.processes import ROOT, procfile, with_our_programs

# A worker that dies is started again, as a platform would; one that exits with 2 has a wrong configuration.
KEEP_ALIVE = """trap over=1 TERM INT
until [ -n "$over" ]; do
  {command}
  code=$?
  [ $code -eq 2 ] && exit 2
  [ -n "$over" ] || {{ echo "{name} ended with $code; starting it again"; sleep 1; }}
done"""


def main() -> int:
    """Run until Ctrl-C; the exit code is that of the process that ended."""
    try:
        config = load_config()
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    for warning in config.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    environ = with_our_programs(os.environ)
    embedded = None
    if not config.redis.configured:
        embedded = EmbeddedRedis(Path("data"), port=usual_port()).start()
        environ["REDIS_URL"] = embedded.url
        print(f"No Redis is configured: using an embedded one at {embedded.url}, data in ./data")
    print(f"Send incidents to http://localhost:{config.port}/api/incidents")
    manager = Manager()
    for name, command in procfile().items():
        manager.add_process(name, KEEP_ALIVE.format(name=name, command=command), env=environ, cwd=str(ROOT))
    try:
        manager.loop()
    finally:
        if embedded is not None:
            embedded.stop()
    code: int = manager.returncode or 0
    return code


def usual_port() -> int:
    """Where `versus drill` looks for Redis when none is configured; 0 if somebody else is there."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", 6379))
        except OSError:
            return 0
    return 6379


if __name__ == "__main__":
    sys.exit(main())
