"""A webhook as it came, and what it says: parameters, body, and the alerts in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Self

from werkzeug.datastructures import Headers, MultiDict

from app.bootstrap import Services
from app.domain.alert import Effect
from app.domain.routing import Options
from app.ingest import webhooks
from app.ingest.service import ReceivedAlert
from app.web.api.webhook_parameters import check_mail, options_of
from app.web.http.body import Body, read_body
from app.web.http.concurrency import LARGE

REPAIRED = {"repaired": "true"}
"""A label: its body was broken JSON."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A webhook: what a request brings, or what was kept of one that was rejected."""

    raw: bytes
    headers: Headers
    args: MultiDict[str, str]

    @property
    def size(self) -> int:
        """Bytes; what is packed may be larger than it looks."""
        packed_up = self.headers.get("Content-Encoding", "identity") not in ("", "identity")
        return LARGE if packed_up else len(self.raw)

    @classmethod
    def of(cls, raw: bytes, args: Iterable[tuple[str, str]]) -> Self:
        """A body without headers, and its parameters."""
        return cls(raw, Headers(), MultiDict(args))


@dataclass(frozen=True, slots=True)
class ReadWebhook:
    """What it says."""

    options: Options
    body: Body
    messages: list[ReceivedAlert]
    """One for each element of the body."""


def read_webhook(services: Services, sent: Sent) -> ReadWebhook:
    """Raises `BadParameter`, `UnknownChannel`, `BadBody` and `BodyTooLarge`."""
    options = options_of(sent.args, services.channels)
    check_mail(sent.args, services.config)
    body = read_body(
        sent.raw,
        content_type=sent.headers.get("Content-Type", ""),
        content_encoding=sent.headers.get("Content-Encoding", ""),
    )
    return ReadWebhook(options, body, _messages(body, sent.headers))


def _messages(body: Body, sent: Headers) -> list[ReceivedAlert]:
    headers = dict(sent)
    read = [webhooks.read_and_keep(one, headers) for one in body.elements]
    if not body.repaired:
        return [ReceivedAlert(alert, kept) for alert, kept in read]
    # What was guessed may have lost half of its words: it must not end a problem.
    return [
        ReceivedAlert(
            replace(
                alert, effect=Effect.FIRING, labels={**REPAIRED, **dict(islice(alert.labels.items(), 63))}
            ),
            kept,
            repaired=body.repaired,
        )
        for alert, kept in read
    ]
