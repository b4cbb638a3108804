"""`make run`: the Procfile with your own configuration, and a Redis of our own if none is configured."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

from honcho.manager import Manager

from app.cli import REDIS_OF_MAKE_RUN
from config import Config, ConfigError, load_config
from local.embedded import EmbeddedRedis, answers, is_free
from local.processes import ROOT, procfile, release, with_our_programs

USUAL_PORT = 6379

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
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        config = load_config()
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    if not is_free(config.port, config.host):
        print(f"Port {config.port} is taken: end what listens there, or set PORT.", file=sys.stderr)
        return 1
    environ = with_our_programs(os.environ)
    # It reports what is wrong, and warns.
    if code := release(environ):
        return code
    with ExitStack() as stack:
        try:
            environ |= redis_for(config, stack)
        except RuntimeError as error:
            print(error, file=sys.stderr)
            return 1
        print(f"Send incidents to http://localhost:{config.port}/api/incidents", flush=True)
        return _run(environ)


def _run(environ: dict[str, str]) -> int:
    manager = Manager()
    for name, command in procfile().items():
        manager.add_process(name, KEEP_ALIVE.format(name=name, command=command), env=environ, cwd=str(ROOT))
    manager.loop()
    code: int = manager.returncode or 0
    return code


def redis_for(config: Config, stack: ExitStack) -> dict[str, str]:
    """Where Redis is, in variables; if none is configured, one is started, and stops with the stack."""
    if config.redis.configured:
        return {}
    if url := _running():
        print(f"No Redis is configured: using the one of another `make run` here, at {url}")
        return {"REDIS_URL": url}
    taken = not is_free(USUAL_PORT)
    embedded = EmbeddedRedis(Path("data"), port=0 if taken else USUAL_PORT).start()
    stack.callback(embedded.stop)
    # For `versus`, which is run elsewhere but in this folder.
    REDIS_OF_MAKE_RUN.write_text(embedded.url)
    stack.callback(REDIS_OF_MAKE_RUN.unlink, missing_ok=True)
    print(f"No Redis is configured: using an embedded one at {embedded.url}, data in ./data")
    if taken:
        other = f"redis://localhost:{USUAL_PORT}/0"
        print(
            f"Something else listens on port {USUAL_PORT}. If it is the Redis to use, set REDIS_URL={other}"
        )
    return {"REDIS_URL": embedded.url}


def _running() -> str | None:
    """A second server must not write to the files of the first."""
    try:
        url = REDIS_OF_MAKE_RUN.read_text()
        return url if answers(int(url.rpartition(":")[2].partition("/")[0])) else None
    except (OSError, ValueError):
        return None


if __name__ == "__main__":
    sys.exit(main())
