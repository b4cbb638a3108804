"""What a plan is made of that several modules plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """A fault that begins `at` seconds after the start and lasts `seconds`; for a kill, until the restart."""

    at: float
    kind: str
    seconds: float
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlannedDeed:
    """What a person does: `offset` seconds after the webhook's answer, or from when the incident is due."""

    deed: Literal["acknowledge", "unacknowledge", "resolve", "escalate_now"]
    after: Literal["answer", "due"]
    offset: float
    element: int
    """Which incident of the answer."""
    by_link: bool
    web: int
    minutes: float | None = None
    """For so long it is acknowledged."""


@dataclass(frozen=True, slots=True)
class PlannedWebhook:
    """A webhook that is sent `at` seconds after the start, again and again while it gets no answer."""

    at: float
    marker: str
    body: Any
    parameters: dict[str, str]
    problem: str | None
    source: str
    adds: bool
    """It names an alert source other than the problem's: a known incident gets a second pager."""
    wait: float
    effect: Literal["firing", "resolved", "refused"]
    web: int
    tries: int
    deeds: tuple[PlannedDeed, ...] = ()
    grows: bool = False
    """An alert has joined its group that is more severe than all that was there before."""
    worse: bool = False
    """It is more severe than a rule holds."""


@dataclass(frozen=True, slots=True)
class PlannedSilence:
    """A silence of the problem's service: made `at` seconds after the start, and again if it is refused."""

    at: float
    marker: str
    problem: str
    minutes: float
    ends_after: float | None
    """Seconds after it was made at which a person ends it; None: it ends by itself."""
    web: int
    tries: int
