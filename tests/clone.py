"""A clone of the repository as it is in the working tree, without what git ignores."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from local.processes import ROOT


def clone(target: Path) -> Path:
    """Copy every file that git tracks or would add; returns the folder."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in names:
        # Something that was removed and not yet committed is still listed.
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target
