"""Log lines, one vocabulary for all processes: `event=… incident=… …`, and never a secret."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Sequence
from typing import TextIO
from urllib.parse import quote, quote_plus

import structlog

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("versus")

# A shorter value would blot out words that only happen to contain it.
SHORTEST_SECRET = 4


class Redacted(logging.Formatter):
    """Writes `<secret>` wherever a finished line, its traceback included, holds a secret."""

    def __init__(self, inner: logging.Formatter, secrets: Sequence[str]) -> None:
        super().__init__()
        self._inner = inner
        self._redact = redactor(secrets)

    def format(self, record: logging.LogRecord) -> str:
        return self._redact(self._inner.format(record))


def redactor(secrets: Sequence[str]) -> Callable[[str], str]:
    """A function that writes `<secret>` in place of these secrets, however a text quotes them."""
    forms = {form for secret in secrets if len(secret) >= SHORTEST_SECRET for form in _written(secret)}
    # The longest first: one secret may be part of another.
    ordered = sorted(forms, key=len, reverse=True)

    def redact(text: str) -> str:
        for form in ordered:
            text = text.replace(form, "<secret>")
        return text

    return redact


def _written(secret: str) -> set[str]:
    """As it is, in JSON, in a `repr`, in a URL, and in a logfmt value."""
    quoted = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
    forms = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret)} | quoted
    return forms | {form.replace('"', '\\"') for form in forms}


def configure(secrets: Sequence[str], stream: TextIO | None = None) -> None:
    """Send what this process and its libraries log to standard error, a line each (logfmt, times in UTC)."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(
                key_order=["at", "level", "event", "incident"], drop_missing=True, bool_as_flag=False
            ),
        ],
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(Redacted(formatter, secrets))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    # Celery tells two lines of every knock; what matters of one, `app/deliver.py` tells.
    for chatty in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
