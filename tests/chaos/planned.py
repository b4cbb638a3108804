"""What a plan is made of that several modules plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """A fault that begins `at` seconds after the start and lasts `seconds`; for a kill, until the restart."""

    at: float
    kind: str
    seconds: float
    parameters: dict[str, Any] = field(default_factory=dict)
