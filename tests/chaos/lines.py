"""Incidents that continue one another, because an acknowledgement ended after the page had gone out."""

from __future__ import annotations

from tests.chaos.history import History


class Lines:
    """Which incidents of a history continue which."""

    def __init__(self, history: History) -> None:
        self._previous = {one.id: one.previous_id for one in history.records if one.previous_id}
        self._next = {previous: one for one, previous in self._previous.items()}

    def before(self, incident: str) -> list[str]:
        """Those that it continues, the newest first."""
        found: list[str] = []
        while (previous := self._previous.get(incident)) is not None and previous not in found:
            found.append(incident := previous)
        return found

    def after(self, incident: str) -> list[str]:
        """Those that continue it, in order."""
        found: list[str] = []
        while (following := self._next.get(incident)) is not None and following not in found:
            found.append(incident := following)
        return found

    def of(self, incident: str) -> list[str]:
        """All of them, in order, with this one."""
        return [*reversed(self.before(incident)), incident, *self.after(incident)]
