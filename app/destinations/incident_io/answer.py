"""What each answer of a provider means: delivered, to be tried again, or a wrong configuration."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from app.destinations.http import HttpAnswer, NoAnswer
from app.domain.delivery import Outcome
from app.sanitize import one_line

Reason = Literal[
    "ok",
    "rate_limited",
    "timeout",
    "connection",
    "tls",
    "server_error",
    "conflict",
    "unauthorized",
    "not_found",
    "rejected",
    "redirected",
]
"""The one word of an outcome in logs and metrics."""

LONGEST_WAIT = 3600.0
MOST_ERRORS = 5
TEXT = 200

_REASONS: dict[int, Reason] = {
    401: "unauthorized",
    403: "unauthorized",
    404: "not_found",
    408: "timeout",
    409: "conflict",
    429: "rate_limited",
}
_TRY_AGAIN: tuple[Reason, ...] = ("timeout", "conflict", "rate_limited", "server_error")
# The server itself says that it took nothing. Any other 5xx is a gateway's, which can't know.
_NOT_TAKEN = (500, 503)


@dataclass(frozen=True, slots=True)
class Asked:
    """Who was asked, and what to check when it does not take an event."""

    name: str
    """Of the service, as in `incident.io accepted the event`."""
    address: str
    """The setting that holds its address."""
    key: str
    """Completes `check` when it does not know the credentials."""
    place: str
    """Completes `check` when it does not know where the event was to go."""


def judge(
    result: HttpAnswer | NoAnswer, asked: Asked, now: datetime, redact: Callable[[str], str]
) -> Outcome:
    """The outcome of an attempt to send that ended `now` (UTC); `redact` removes the key.

    Any 2xx is success; 408, 409, 429, 5xx and no answer at all are worth another attempt; other 4xx and 3xx
    mean that somebody has to fix the configuration (documented errors: docs.incident.io/api-reference).
    """
    if isinstance(result, NoAnswer):
        return _unanswered(result, asked, redact)
    status = result.status
    body = parsed(result.body)
    said = _said(result, body, redact)
    if 200 <= status < 300:
        return Outcome("delivered", f"{asked.name} accepted the event: {said}.")
    reason = _reason(status)
    if reason in _TRY_AGAIN:
        return Outcome(
            "try_again",
            f"{asked.name} answered {said}.",
            reason,
            not_before=_retry_after(result, body, now),
            back_off_all=reason == "rate_limited",
            uncertain=reason == "server_error" and status not in _NOT_TAKEN,
        )
    fix = _fix(reason, result, asked, redact)
    return Outcome("misconfigured", f"{asked.name} answered {said}: {fix}.", reason)


def _unanswered(result: NoAnswer, asked: Asked, redact: Callable[[str], str]) -> Outcome:
    detail = one_line(redact(result.detail), TEXT)
    if result.reason == "address":
        return Outcome(
            "misconfigured",
            f"{asked.name} was not asked, {detail}: check {asked.address} and HTTPS_PROXY.",
            "rejected",
        )
    if result.reason == "tls":
        detail = (
            "NO TRUSTED TLS CONNECTION, so nothing was sent; something may stand between this host and "
            f"{asked.name}, or the trusted certificates (REQUESTS_CA_BUNDLE) are wrong: {detail}"
        )
    return Outcome(
        "try_again", f"No answer from {asked.name}: {detail}.", result.reason, uncertain=result.sent
    )


def _reason(status: int) -> Reason:
    if 300 <= status < 400:
        return "redirected"
    return _REASONS.get(status, "rejected" if 400 <= status < 500 else "server_error")


def _fix(reason: Reason, answer: HttpAnswer, asked: Asked, redact: Callable[[str], str]) -> str:
    if reason == "unauthorized":
        return f"check {asked.key}"
    if reason == "not_found":
        return f"check {asked.place}"
    if reason == "redirected":
        where = one_line(redact(answer.headers.get("Location", "nowhere")), TEXT)
        return (
            f"redirects are not followed (this one leads to {where}), so {asked.address} must be the "
            f"address of {asked.name}'s API itself"
        )
    return "it rejected this event: see its errors and the settings there"


# -- what the body says, whatever it is ----------------------------------------------------------------


def parsed(body: bytes) -> dict[str, Any]:
    """The object that a body holds; empty for anything else."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _said(answer: HttpAnswer, body: dict[str, Any], redact: Callable[[str], str]) -> str:
    """The status, incident.io's request ID and its errors, on one line."""
    said = str(answer.status)
    if request_id := body.get("request_id"):
        said += f" (request {one_line(redact(str(request_id)), TEXT)})"
    errors = "; ".join(
        one_line(redact(error), 2 * TEXT) for error in _errors(body.get("errors") or body.get("error"))
    )
    return f"{said} {errors}".rstrip(". ")


def _errors(errors: object) -> Iterator[str]:
    for error in errors[:MOST_ERRORS] if isinstance(errors, list) else [errors] if errors else []:
        if not isinstance(error, dict):
            yield str(error)
            continue
        texts = [str(error[key]) for key in ("code", "message", "detail") if error.get(key)]
        source = error.get("source")
        field = source.get("field") or source.get("pointer") if isinstance(source, dict) else None
        yield ": ".join(texts) + (f" ({field})" if field else "")


def _retry_after(answer: HttpAnswer, body: dict[str, Any], now: datetime) -> float | None:
    """Seconds that incident.io wants to be left alone, 0 to 3,600; None when it says nothing usable.

    The header is preferred; `rate_limit.retry_after` is RFC 3339 and was an RFC 1123 date before.
    """
    date = _moment(answer.headers.get("Date", ""))
    rate_limit = body.get("rate_limit")
    in_body = rate_limit.get("retry_after") if isinstance(rate_limit, dict) else None
    for value in (answer.headers.get("Retry-After"), in_body):
        # A date is meant on the server's clock, which the answer shows.
        seconds = _seconds(value, date or now)
        if seconds is not None:
            return min(max(seconds, 0.0), LONGEST_WAIT)
    return None


def _seconds(value: object, since: datetime) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    except ValueError:
        moment = _moment(str(value))
        return (moment - since).total_seconds() if moment else None
    return None if math.isnan(seconds) else seconds


def _moment(text: str) -> datetime | None:
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = parse(text.strip())
        except (ValueError, TypeError, OverflowError):
            continue
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None
