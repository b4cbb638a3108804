"""`python -m tests.upgrades`: write what this version stores into a file, for the tests of every later one.

It is called when the minor of the schema has grown, and once more for each release that has a new one
(CONTRIBUTING.md). A file of a schema that was released must never change.
"""

from __future__ import annotations

import json
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

from app import __version__
from app.store import OURS
from local.embedded import EmbeddedRedis
from tests.upgrades import scene, shape

FOLDER = Path(__file__).parent / "stored"


def stored(redis_url: str) -> dict[str, Any]:
    """What the scene leaves in an empty Redis."""
    cast = scene.Cast(redis_url)
    played = scene.play(cast)
    return {
        "schema": OURS,
        "version": __version__,
        "now": cast.clock.now.isoformat(),
        "incidents": played,
        "states": scene.states(cast, played),
        "fields": shape.fields(),
        "keys": scene.dumped(redis_url),
    }


def main() -> None:
    """Write the file of the schema that this version has."""
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedRedis(Path(folder)).start()
        try:
            made = stored(server.url)
        finally:
            server.stop()
    file = FOLDER / f"{OURS}.json"
    file.parent.mkdir(exist_ok=True)
    text = json.dumps(made, indent=1, ensure_ascii=False, sort_keys=True)
    file.write_text(text.replace(f"@{socket.gethostname()}", "@host") + "\n")
    sys.stdout.write(f"{file.relative_to(Path.cwd())}: {len(made['keys'])} keys\n")


if __name__ == "__main__":
    main()
