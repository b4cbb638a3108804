"""Log lines, one vocabulary for all processes: `event=… incident=… …`, and never a secret."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TextIO
from urllib.parse import quote, quote_plus

import structlog

from app.log_queue import LogQueue

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("versus")

# A shorter value would blot out words that only happen to contain it.
SHORTEST_SECRET = 4

OWN_FIELDS = ("lines", "error", "of")
"""Of the lines in which `app/log_queue.py` says what became of others."""


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
    """Send what this process and its libraries log to standard error, a line each (logfmt, times in UTC).

    Lines go there through a queue, so that nothing ever waits for it; to a `stream` they go at once.
    """
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
    _send_to(stream, Redacted(_formatter(shared), secrets))
    # Celery logs two lines for every task; `app/delivery` logs what matters.
    for chatty in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def take_dropped() -> int:
    """How many lines of this process were dropped since this was asked last."""
    return sum(one.take_dropped() for one in logging.getLogger().handlers if isinstance(one, LogQueue))


def _formatter(shared: Sequence[structlog.typing.Processor]) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder(allow=OWN_FIELDS)],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(
                key_order=["at", "level", "event", "incident"], drop_missing=True, bool_as_flag=False
            ),
        ],
    )


def _send_to(stream: TextIO | None, formatter: logging.Formatter) -> None:
    """Make all of this process's log go there, and what Python itself would write to standard error."""
    root = logging.getLogger()
    for handler in root.handlers:
        if isinstance(handler, LogQueue):
            handler.close()
    root.handlers = [_handler(stream, formatter)]
    root.setLevel(logging.INFO)
    if stream is None:
        logging.captureWarnings(capture=True)
        threading.excepthook = _log_end_of_thread


def _handler(stream: TextIO | None, formatter: logging.Formatter) -> logging.Handler:
    try:
        if stream is None:
            return LogQueue(sys.stderr.fileno(), formatter)
    except io.UnsupportedOperation:
        # Somebody has put a text in its place.
        stream = sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    return handler


def _log_end_of_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is not SystemExit:
        name = args.thread.name if args.thread else None
        log.error("thread_ended", thread=name, exc_info=args.exc_value)
