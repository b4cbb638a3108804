"""The states of an incident, and of its pages."""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    """What people and senders made of an incident."""

    OPEN = "open"
    """Nobody asked for on-call."""
    PENDING = "pending"
    """It pages at `due_at`, or has."""
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class State(StrEnum):
    """Where an incident stands: its phase, and how far its page has come."""

    OPEN = "open"
    PENDING = "pending"
    """Waiting for an acknowledgement until `due_at`."""
    ACKNOWLEDGED = "acknowledged"
    ESCALATING = "escalating"
    """Its page is being sent, or will be tried again."""
    ESCALATED = "escalated"
    """The provider took the page."""
    FAILED = "failed"
    """The provider refused the page for good, or was out of reach for a day."""
    RESOLVED = "resolved"

    @property
    def word(self) -> str:
        """The API's word, as people read it wherever a state is shown."""
        return self.value.capitalize()

    @property
    def meaning(self) -> str:
        """For people who do not know the word yet; empty for a word that everybody knows."""
        return MEANINGS.get(self, "")


MEANINGS = {
    State.OPEN: "on-call was not requested",
    State.PENDING: "not acknowledged yet",
    State.ESCALATING: "the page is being sent",
    State.ESCALATED: "paged, not acknowledged",
    State.FAILED: "nobody was paged",
}

WORST = (State.FAILED, State.ESCALATING, State.PENDING, State.ESCALATED)
"""Of several pagers, the incident's state is that of the one that is worst off."""
