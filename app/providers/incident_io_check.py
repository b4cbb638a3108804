"""Asks incident.io whether it can be reached and knows the API keys; no alert comes of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Literal

import requests

from app import __version__
from app.providers.http import CONNECT_SECONDS, Bearer
from config import AlertSource, Config

ANSWER_SECONDS = 5.0


Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Reached:
    """What came of one question (`GET /v1/identity`) with the API key of these alert sources."""

    alert_sources: tuple[str, ...]
    level: Level
    text: str
    """What is so, and what would be right; free of secrets."""
    clock_ahead: timedelta | None = None
    """incident.io's clock compared to this host's, to a second; None when it does not tell the time."""


def ask(config: Config) -> Iterator[Reached]:
    """Ask once with each API key; after a question that gets no answer there is no other one."""
    for sources in _by_key(config):
        names = tuple(source.name for source in sources)
        began, sent_at = time.monotonic(), datetime.now(UTC)
        try:
            status, date = _identity(config.oncall.incident_io.base_url, Bearer(sources[0].api_key))
        except (requests.RequestException, OSError, ValueError, TypeError) as error:
            # Besides their own, these libraries let out what Python raises, as TypeError for a bad proxy.
            yield Reached(names, "error", _no_answer(error))
            return
        took = timedelta(seconds=time.monotonic() - began)
        yield Reached(names, *_verdict(status, took), clock_ahead=_ahead(date, sent_at + took / 2))


def _by_key(config: Config) -> list[list[AlertSource]]:
    groups: dict[str, list[AlertSource]] = {}
    for source in config.oncall.incident_io.alert_sources.values():
        groups.setdefault(source.api_key.get_secret_value(), []).append(source)
    return list(groups.values())


def _identity(base_url: str, bearer: Bearer) -> tuple[int, str]:
    """Status and date of the answer; there is nothing else to know in it."""
    with requests.get(
        f"{base_url}/v1/identity",
        headers={"User-Agent": f"versus-incident/{__version__}"},
        auth=bearer,
        timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
        allow_redirects=False,
        stream=True,
    ) as answer:
        return answer.status_code, answer.headers.get("Date", "")


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
        return "warning", f"{answers}, with {status}: it is busy or unwell, so try again later."
    return "error", f"{answers}, with {status}: INCIDENTIO_BASE_URL must be the address of its API itself."


def _no_answer(error: BaseException) -> str:
    what, cause = f"gives no answer: {_cause(error)}", "INCIDENTIO_BASE_URL, HTTPS_PROXY and the network"
    if isinstance(error, requests.exceptions.SSLError):
        what = f"can't be trusted: {_cause(error)}"
        cause = "what stands between this host and incident.io, and REQUESTS_CA_BUNDLE"
    return f"{what}. Check {cause}."


def _ahead(date: str, now: datetime) -> timedelta | None:
    try:
        told = parsedate_to_datetime(date)
    except (ValueError, TypeError):
        return None
    # The header has whole seconds, cut off: half a second more is right on average.
    return told.replace(tzinfo=told.tzinfo or UTC) + timedelta(seconds=0.5) - now


def _cause(error: BaseException) -> str:
    """What the system or TLS said; not the library's texts, which may quote a proxy's password."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
        return str(error.strerror or error)
    return type(error).__name__
