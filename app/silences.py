"""What a person can do about silences, and what follows for the incidents that they hold."""

from __future__ import annotations

import time
import uuid
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from app.bootstrap import Services
from app.domain.silence import Silence
from app.domain.timeline import parsed_time, rfc3339
from app.sanitize import one_line
from app.store import StoreUnavailable, UnitOfWork
from app.telemetry import log
from config.match import Match
from config.values import InvalidValue

LONGEST = timedelta(days=30)
LONGEST_COMMENT = 500
LONGEST_BY = 100

BATCH = 100
"""Incidents that are written in one step: too many for a message each, so the sweep leads workers to them."""
AT_ONCE_SECONDS = 0.5
"""For which the one who makes or ends a silence settles it; workers do the rest."""
STORM = 20
"""With more than that released, one summary for each channel is due, and it must come now."""


class InvalidSilence(Exception):
    """A silence that is not what it must be; the text says what is wrong and what would be right."""


def make(
    services: Services, match: object, *, minutes: object, until: object, comment: object, by: str
) -> Silence:
    """Hold what matches, from now on until then: `minutes` from now, or `until`, RFC 3339.

    Raises `InvalidSilence`, `TooManySilences`, `StoreUnavailable`.
    """
    now = services.clock()
    silence = Silence(
        id=str(uuid.uuid4()),
        match=_match(match),
        until=_end(minutes, until, now),
        comment=_comment(comment),
        by=one_line(by, LONGEST_BY) or "versus",
        created_at=now,
    )
    services.store.silences.save(silence, now)
    log.info("silence_made", silence=silence.id, by=silence.by, until=rfc3339(silence.until))
    _settle_at_once(services)
    return silence


def end(services: Services, silence_id: str, by: str) -> Silence:
    """What it holds is released: channels are notified, and the wait begins. The same again changes nothing.

    Raises `SilenceNotFound`, `StoreUnavailable`.
    """
    silence, now = services.store.silences.require(silence_id), services.clock()
    if silence.is_active(now):
        silence = replace(silence, ended_at=now, ended_by=one_line(by, LONGEST_BY) or "versus")
        services.store.silences.save(silence, now)
        log.info("silence_ended", silence=silence.id, by=silence.ended_by)
        _settle_at_once(services)
    return silence


def _match(value: object) -> Match:
    try:
        match = Match.read(value)
    except InvalidValue as error:
        raise InvalidSilence(f"The match {error}.") from None
    if match.is_everything:
        raise InvalidSilence(
            "The match matches everything, and nobody would ever be paged: name a source, a service, "
            "a severity, a title, a namespace or a label, with a pattern that is more than *."
        )
    return match


def _end(minutes: object, until: object, now: datetime) -> datetime:
    if (minutes in (None, "")) == (until in (None, "")):
        raise InvalidSilence("A silence needs its end: give either minutes or until, a time in RFC 3339.")
    end = _moment(until) if minutes in (None, "") else now + _span(minutes)
    if not now < end <= now + LONGEST:
        raise InvalidSilence(
            f"The silence would end at {rfc3339(end)}: its end must lie ahead, {LONGEST.days} days at most."
        )
    return end


def _span(minutes: object) -> timedelta:
    right = f"it must be a number above 0, {LONGEST // timedelta(minutes=1)} at most (30 days)."
    try:
        if isinstance(minutes, int | float | str) and not isinstance(minutes, bool):
            return timedelta(minutes=float(minutes))
    except (ValueError, OverflowError):
        pass
    raise InvalidSilence(f"The value of minutes is {str(minutes)[:40]!r}: {right}")


def _moment(until: object) -> datetime:
    try:
        return parsed_time(until if isinstance(until, str) else "")
    except ValueError:
        raise InvalidSilence(
            f"The value of until is {str(until)[:40]!r}: it must be a time such as 2026-03-04T03:00:00Z."
        ) from None


def _comment(comment: object) -> str:
    text = one_line(comment, LONGEST_COMMENT) if isinstance(comment, str) else ""
    if not text:
        raise InvalidSilence("A silence needs a comment: say why nobody is to be notified.")
    return text


# -- settling: incidents are brought in line with the silences --------------------------------------------


def _settle_at_once(services: Services) -> None:
    # What is left over, a worker finds.
    with suppress(StoreUnavailable):
        settle(services, time.monotonic() + AT_ONCE_SECONDS)


def settle(services: Services, until: float | None = None) -> None:
    """Hold what was there when a silence was made, and release what one that is over held.

    One process does it at a time, and any may stop in the middle: incidents are changed in batches, each for
    itself, and the silence is on the list until all are done. `until`: of `time.monotonic()`.
    """
    silences = services.store.silences
    waiting = silences.unsettled(services.clock())
    if not waiting or silences.acquire() is None:
        return
    for silence_id in waiting:
        if not _settle(services, silence_id, until):
            break
    silences.release()


def _settle(services: Services, silence_id: str, until: float | None) -> bool:
    """Whether it is done; False if there was no time for all."""
    silences, now = services.store.silences, services.clock()
    read = silences.read()
    silence = next((one for one in read.all if one.id == silence_id), None)
    ids = silences.concerned(silence_id, silence is not None and silence.is_active(now))
    changed = 0
    for start in range(0, len(ids), BATCH):
        if until is not None and time.monotonic() > until:
            return False
        silences.renew()
        changed += _bring_in_line(services, silence_id, ids[start : start + BATCH], now)
    if changed > STORM:
        for channel in services.store.notifications.channels():
            services.store.notifications.summarize(channel, now)
    silences.settled(silence_id, read, now)
    if changed:
        services.store.notifications.wake()
        log.info("silence_settled", silence=silence_id, incidents=changed)
    return True


def _bring_in_line(services: Services, silence_id: str, ids: list[str], now: datetime) -> int:
    def work(unit: UnitOfWork) -> tuple[int, list[str]]:
        found = {i: unit.get(i) for i in ids}
        for one in found.values():
            if one is not None and (after := one.under(unit.silences, now)) is not one:
                unit.save(after)
        return len(unit.saved), [i for i, one in found.items() if one is None]

    changed, gone = services.update(work, ids=ids)
    if gone:
        services.store.silences.forget(silence_id, gone)
    return changed
