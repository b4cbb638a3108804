"""The repeat of a request that was stored is the same request, where its sender gives it a key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from app.bootstrap import Services
from app.domain.incident import Incident


class KeyReused(Exception):
    """Another request was stored under the same key."""


@dataclass(frozen=True, slots=True)
class Once:
    """A request that is to be stored once."""

    key: str
    """A digest of the sender's key, and of what it is good for."""
    request: str
    """A digest of what is asked for."""

    @classmethod
    def of(cls, key: str, path: str, parameters: Mapping[str, str], body: bytes) -> Once:
        """A key is good for a path and a namespace; `parameters` without secrets."""
        asked = json.dumps(sorted(parameters.items())).encode()
        return cls(
            _digest(json.dumps([path, parameters.get("namespace"), key]).encode()),
            _digest(asked + b"\n" + body),
        )

    def became(self, each: Iterable[tuple[str, Incident | None]]) -> str:
        """What is remembered: the request, and what each of its alerts became."""
        return json.dumps([self.request, [(how, one and one.id) for how, one in each]])

    def again(self, services: Services, became: str) -> list[tuple[Any, Incident | None]]:
        """What each alert became when the request was stored, with its incident as it is now.

        Raises `KeyReused` and `StoreUnavailable`.
        """
        request, each = json.loads(became)
        if request != self.request:
            raise KeyReused(
                "Another request came with this Idempotency-Key within ten minutes: give each request a key "
                "of its own, and repeat it unchanged."
            )
        unit = services.store.incidents.unit_of_work([one for _, one in each if one])
        return [(how, unit.get(one) if one else None) for how, one in each]


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
