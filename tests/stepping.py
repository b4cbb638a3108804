"""A clock for Redis that can be stepped while it runs."""

from __future__ import annotations

from pathlib import Path

from local.embedded import server_binary

_LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


def can_step() -> bool:
    """Whether there is the library for it; under Debian's redis-server it hangs."""
    return _LIBRARY is not None and "valkey" in Path(server_binary()).name


class SteppingClock:
    """How far the clock of a server that gets `environ` is ahead of the host's, in a file."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "ahead"
        self.ahead = 0
        self.step_to(0)
        self.environ = {
            "LD_PRELOAD": str(_LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def step_to(self, seconds: int) -> None:
        """It is ahead of the host's by so much from now on."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}")
        new.replace(self._file)
        self.ahead = seconds
