"""`versus web`, `versus worker`: become the process that the Procfile has under this name."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import NoReturn

PLACES = (Path(__file__).parents[2], Path(sys.prefix) / "share" / "versus-incident")
"""The folder of a checkout; where an installation keeps what is no module."""


class ProcfileNotFound(Exception):
    """This installation has no Procfile, or it has no such process."""


def become(name: str, config: Path | None) -> NoReturn:
    """Replace this process, so that signals reach the service itself. Raises `ProcfileNotFound`."""
    # The programs of this installation, whatever else PATH finds first. Not resolved: a link leads out of it.
    programs = Path(sys.executable).absolute().parent
    environ = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    if config is not None:
        environ["VERSUS_CONFIG"] = str(config)
    os.execve("/bin/sh", ["sh", "-c", f"exec {command_of(name)}"], environ)  # noqa: S606


def command_of(name: str) -> str:
    """The command line of the Procfile. Raises `ProcfileNotFound`."""
    files = [place / "Procfile" for place in PLACES]
    for file in files:
        if file.is_file():
            if match := re.search(rf"^{name}:[ \t]*(\S.*)$", file.read_text(), re.M):
                return match[1]
            raise ProcfileNotFound(f"{file} has no line `{name}: <command>`")
    raise ProcfileNotFound(
        f"There is no Procfile at {' or '.join(map(str, files))}: install the package again"
    )
