"""The schema of what is stored: which versions of the software may use one Redis together.

`schema` (hash): `major`, that of the newest version which stored anything. Versions of one major read and
write side by side; the minor grows with every field that is added (docs/upgrading.md). The step that writes
(`app/store/lua/commit.lua`) sets the major, and refuses a process that knows only an older one; what only
reads asks `require`. For its callers it is as if Redis were away.
"""

from __future__ import annotations

from app import __version__
from app.store.connection import PREFIX, Connection, StoreUnavailable
from app.telemetry import log

MAJOR, MINOR = 1, 0
OURS = f"{MAJOR}.{MINOR}"
SCHEMA = PREFIX + "schema"


class NewerSchema(StoreUnavailable):
    """A newer version of the software has stored what this one can't understand."""

    def __init__(self, major: int) -> None:
        super().__init__(
            f"Redis holds what a newer version of Versus Incident stored (schema {major}; this is "
            f"{__version__}, which knows schema {MAJOR}): start that version, or restore the backup made "
            "before the upgrade."
        )


class Schema:
    """What the newest version stored."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._newer: NewerSchema | None = None

    def check(self) -> None:
        """Read it. Raises `NewerSchema` and `StoreUnavailable`."""
        found = self._connection.call("HGET", SCHEMA, "major") or ""
        newer = NewerSchema(int(found)) if found.isdecimal() and int(found) > MAJOR else None
        if newer is not None and self._newer is None:
            log.error("newer_schema", reason=str(newer), then="nothing is read, written or paged from Redis")
        self._newer = newer
        self.require()

    def require(self) -> None:
        """Raises `NewerSchema` if that is what was found last."""
        if self._newer is not None:
            raise self._newer
