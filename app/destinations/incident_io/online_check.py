"""Asks incident.io whether it can be reached and knows the API keys; no alert comes of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Literal

from app.destinations.http import Bearer, Http, NoAnswer
from config import AlertSource, Config

WHOLE_SECONDS = 8.0

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Reached:
    """What came of one question (`GET /v1/identity`) with the API key of these alert sources."""

    alert_sources: tuple[str, ...]
    level: Level
    text: str
    """What is so, and what would be right; free of secrets."""
    clock_ahead: timedelta | None = None
    """incident.io's clock compared to this host's, to a second; None when it does not state the time."""


def ask(config: Config) -> Iterator[Reached]:
    """Ask once with each API key; after a question that gets no answer there is no other one."""
    http, url = Http(), f"{config.oncall.incident_io.base_url}/v1/identity"
    for sources in _by_key(config):
        names = tuple(source.name for source in sources)
        began, sent_at = time.monotonic(), datetime.now(UTC)
        answer = http.get(url, deadline=began + WHOLE_SECONDS, auth=Bearer(sources[0].api_key))
        if isinstance(answer, NoAnswer):
            yield Reached(names, "error", _no_answer(answer))
            return
        took = timedelta(seconds=time.monotonic() - began)
        date = answer.headers.get("Date", "")
        yield Reached(names, *_verdict(answer.status, took), clock_ahead=_ahead(date, sent_at + took / 2))


def _by_key(config: Config) -> list[list[AlertSource]]:
    groups: dict[str, list[AlertSource]] = {}
    for source in config.oncall.incident_io.alert_sources.values():
        groups.setdefault(source.api_key.get_secret_value(), []).append(source)
    return list(groups.values())


def _verdict(status: int, took: timedelta) -> tuple[Level, str]:
    answers = f"answers after {took.total_seconds() * 1000:.0f} ms"
    if 200 <= status < 300:
        return "ok", f"{answers} and knows the API key."
    if status in (401, 403):
        return "warning", (
            f"{answers}, but does not take the API key for GET /v1/identity ({status}). The secret of an "
            "alert source need not be good for that, so this proves nothing: `versus drill` does."
        )
    if status == 429 or status >= 500:
        return "warning", f"{answers}, with {status}: it is overloaded or failing, so try again later."
    return "error", f"{answers}, with {status}: INCIDENTIO_BASE_URL must be the address of its API itself."


def _no_answer(answer: NoAnswer) -> str:
    what, cause = f"gives no answer: {answer.detail}", "INCIDENTIO_BASE_URL, HTTPS_PROXY and the network"
    if answer.reason == "tls":
        what = f"can't be trusted: {answer.detail}"
        cause = "what stands between this host and incident.io, and REQUESTS_CA_BUNDLE"
    return f"{what}. Check {cause}."


def _ahead(date: str, now: datetime) -> timedelta | None:
    try:
        stated = parsedate_to_datetime(date)
    except (ValueError, TypeError):
        return None
    # The header has whole seconds, cut off: half a second more is right on average.
    return stated.replace(tzinfo=stated.tzinfo or UTC) + timedelta(seconds=0.5) - now
