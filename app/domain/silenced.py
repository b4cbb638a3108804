"""An incident that a silence holds, and its release; pure, no clock and no storage.

Nothing has to happen for a silence to end: while it holds an incident, `due_at` is its end and the whole wait
after it, and what channels are to be notified of is due at its end (`Record.next_step`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Self

from app.domain.acknowledgement import Acknowledgement
from app.domain.alert import VERSUS
from app.domain.silence import Silence, Silences
from app.domain.state import Phase
from app.domain.timeline import rfc3339

NOT_SILENCED: dict[str, Any] = {"silence_id": None, "silenced_at": None, "silenced_until": None}
"""The fields of an incident that no silence holds."""


@dataclass(frozen=True, slots=True)
class Silenced(Acknowledgement):
    """An incident that may be held by a silence."""

    def silence_in(self, silences: Silences, now: datetime) -> Silence | None:
        """The silence that is to hold it: none if it is ours, or over, or somebody asked for its page."""
        exempt = self.source == VERSUS or self.page_asked or self.next_id or self.phase is Phase.RESOLVED
        return None if exempt or not silences.all else silences.matching(self.facts, now)

    def under(self, silences: Silences, now: datetime) -> Self:
        """As these silences want it: held, or held no longer; itself if that is so already."""
        silence = self.silence_in(silences, now)
        if silence is not None:
            return self._held(silence, now)
        over = self.phase is Phase.RESOLVED and self._is_still_to_end(silences, now)
        return self if self.silence_id is None or over else self._released(now)

    def _is_still_to_end(self, silences: Silences, now: datetime) -> bool:
        return any(one.id == self.silence_id and one.is_active(now) for one in silences.all)

    def _held(self, silence: Silence, now: datetime) -> Self:
        held = self
        if (self.silence_id, self.silenced_until) != (silence.id, silence.until):
            held = replace(
                self,
                silence_id=silence.id,
                silenced_at=self.silenced_at if self.is_silenced(now) else now,
                silenced_until=silence.until,
            ).noted(now, "silenced", f"until {rfc3339(silence.until)} by {silence.by}: {silence.comment}")
        due_at = max(silence.until, self.held_until or silence.until) + (self.wait or timedelta(0))
        # Another one that held it for longer may have been ended.
        if held.due_at in (None, due_at) or not held._is_to_be_paged:
            return held
        return replace(held, due_at=due_at, pagers=held._restarted(forget_failure=True))

    def _released(self, now: datetime) -> Self:
        """Its channels are to be notified, and the wait begins."""
        if self.phase is Phase.RESOLVED:
            # Channels that had heard of it are now notified that it is over; the others never are.
            return replace(self, silence_id=None, silenced_until=min(now, self.silenced_until or now))
        released = replace(self, **NOT_SILENCED)
        if self._is_to_be_paged and self.is_silenced(now):
            # At the end that was known, the wait has begun by itself.
            held_until = self.held_until if self._is_held(now) else None
            due_at = (held_until or now) + (self.wait or timedelta(0))
            released = released._awaiting(now, due_at, held_until)
        waits = released.due_at if self._is_to_be_paged else None
        then = f"pages at {rfc3339(waits)} unless acknowledged" if waits else ""
        released = replace(released, timeline=self.timeline).noted(now, "silence_ended", then)
        heard = bool(self.changes) and self.changes[0].at < (self.silenced_at or self.created_at)
        return released._changed("reopened", now) if heard and released._is_new else released

    @property
    def _is_new(self) -> bool:
        """Somebody is to do something about it, and nobody has been paged."""
        return self.phase is Phase.OPEN or self._is_to_be_paged

    def is_silenced(self, now: datetime) -> bool:
        """Whether a silence holds it."""
        return self.silence_id is not None and self.silenced_until is not None and now < self.silenced_until

    @property
    def _is_to_be_paged(self) -> bool:
        return any(step.event == "firing" for _, step in self.steps())
