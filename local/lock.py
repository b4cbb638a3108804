"""`make lock`: requirements.txt, the exact versions of what production needs, from what setup.cfg allows."""

from __future__ import annotations

import configparser
import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "requirements.txt"
OLDEST_PYTHON = "3.11"

HEADER = """\
# Exact versions of what production needs, and the project itself. Made by `make lock` from setup.cfg.
# install_requires: sha256:{fingerprint}
"""


def requirements() -> list[str]:
    """What setup.cfg requires in production, a requirement each."""
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg")
    return [line for line in setup["options"]["install_requires"].splitlines() if line]


def fingerprint() -> str:
    """Changes with every change to a requirement."""
    return hashlib.sha256("\n".join(sorted(requirements())).encode()).hexdigest()


def main(arguments: list[str]) -> None:
    """Write the file; versions that are in it already and still fit stay, unless `--upgrade` is given."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "setup.cfg", "--universal", "--no-header"]
    command += ["--python-version", OLDEST_PYTHON, "--no-annotate", "--quiet", "--output-file", LOCK.name]
    subprocess.run([*command, *arguments], cwd=ROOT, check=True)
    # Last of all the project itself, as pip installs it from the folder that the file is in.
    LOCK.write_text(f"{HEADER.format(fingerprint=fingerprint())}{LOCK.read_text()}.\n")


if __name__ == "__main__":
    main(sys.argv[1:])
