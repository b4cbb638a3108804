"""Log lines, one vocabulary for all processes: `event=… incident=… …`, and never a secret."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import TextIO

import structlog

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("versus")

# A shorter value would blot out words that only happen to contain it.
SHORTEST_SECRET = 4


class Redacted(logging.Formatter):
    """Writes `<secret>` wherever a finished line, its traceback included, holds a secret."""

    def __init__(self, inner: logging.Formatter, secrets: Sequence[str]) -> None:
        super().__init__()
        self._inner = inner
        # The longest first: one secret may be part of another.
        self._secrets = sorted((s for s in secrets if len(s) >= SHORTEST_SECRET), key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        line = self._inner.format(record)
        for secret in self._secrets:
            line = line.replace(secret, "<secret>")
        return line


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
