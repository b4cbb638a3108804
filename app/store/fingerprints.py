"""What each worker publishes of its settings, as hashes; `settings:<worker>`, for as long as it lives."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from app.store.connection import PREFIX, Connection

SETTINGS = PREFIX + "settings:"
STAYS = 60
"""Seconds; a worker that lives publishes it more often."""


class Fingerprints:
    """Hashes of settings, by worker. All raise `StoreUnavailable`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def publish(self, worker: str, hashes: Mapping[str, str]) -> None:
        """A worker says which settings it has."""
        self._connection.call("SET", SETTINGS + worker, json.dumps(hashes), "EX", STAYS)

    def of(self, workers: Sequence[str]) -> dict[str, dict[str, str]]:
        """Those of the workers that published theirs."""
        found = self._connection.call("MGET", *(SETTINGS + one for one in workers)) if workers else []
        return {one: json.loads(hashes) for one, hashes in zip(workers, found, strict=True) if hashes}
