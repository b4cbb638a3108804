"""Starts what the Procfile starts, for the demo and the tests; `make run` leaves that to honcho."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from honcho.environ import parse_procfile

ROOT = Path(__file__).parent.parent
ENDED_WITHIN = 10.0
RELEASED_WITHIN = 60.0


RELEASE = "release"
"""What a platform runs once for each deployment, before the processes; a failure keeps the old ones."""


def procfile() -> dict[str, str]:
    """Names and commands of the production processes."""
    lines = _lines()
    del lines[RELEASE]
    return lines


def _lines() -> dict[str, str]:
    return dict(parse_procfile((ROOT / "Procfile").read_text()).processes)


def release(environ: Mapping[str, str], output: IO[bytes] | None = None) -> int:
    """Run the Procfile's `release`, and return its exit code.

    `output`: where to write what it warns of, instead of standard error.
    """
    return subprocess.run(
        ["/bin/sh", "-c", f"exec {_lines()[RELEASE]}"],
        cwd=ROOT,
        env=with_our_programs(environ),
        # The whole configuration, which nobody asked for here.
        stdout=subprocess.DEVNULL,
        stderr=output,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=RELEASED_WITHIN,
    ).returncode


def with_our_programs(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment in which the Procfile's commands are those of this installation."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{environ.get('PATH', '')}"
    return {**environ, "PATH": path, "PYTHONUNBUFFERED": "1"}


class Process:
    """One process of the Procfile, with all its children; `inherited` is an open file that it gets."""

    def __init__(
        self,
        name: str,
        environ: Mapping[str, str],
        output: IO[bytes],
        *,
        cwd: Path = ROOT,
        inherited: int | None = None,
    ) -> None:
        self.name = name
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {procfile()[name]}"],
            cwd=cwd,
            env=with_our_programs(environ),
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            process_group=0,
            pass_fds=() if inherited is None else (inherited,),
        )

    @property
    def pid(self) -> int:
        """The process ID, which is also that of its group."""
        return self._process.pid

    def lives(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it and all its children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def kill(self) -> int:
        """End it at once; returns its exit code."""
        self.signal(signal.SIGKILL)
        return self._process.wait()

    def stop(self) -> int:
        """End it in order, or at once if it does not; returns its exit code."""
        if self.lives():
            self.signal(signal.SIGCONT)
            # To the parent alone, as a platform does; it sees to its children.
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(ENDED_WITHIN)
        return self.kill()

    def wait(self, timeout: float) -> int:
        """Its exit code, once it has ended by itself. Raises `subprocess.TimeoutExpired`."""
        return self._process.wait(timeout)
