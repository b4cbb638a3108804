"""What a sender means: any JSON object that arrives becomes an `Alert`, no matter who sent it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from app.domain.alert import VERSUS, Alert
from app.ingest.webhooks import (
    alertmanager,
    azure,
    chat,
    cloudwatch,
    code,
    datadog,
    fluentbit,
    generic,
    monitoring,
    redact,
    security,
    sentry,
    sns,
    table,
    zabbix,
)
from app.ingest.webhooks.coerce import Webhook
from app.ingest.webhooks.secrets import INCOMPLETE

Reader = Callable[[Webhook], Alert | None]
"""Reads the body of its own sender; None for that of another."""

ANY = ("",)
"""Of a reader that has to look at every body."""

FIELD_MAPS = (
    *(*cloudwatch.FIELD_MAPS, *sentry.FIELD_MAPS, *datadog.FIELD_MAPS, zabbix.FIELD_MAP),
    *(*table.FIELD_MAPS, *azure.FIELD_MAPS, *monitoring.FIELD_MAPS, *security.FIELD_MAPS),
    *(*code.FIELD_MAPS, *chat.FIELD_MAPS),
)

# The first that knows the body reads it; a new sender is a line here, or a row of one of these tables. With
# each stand the fields of which a body of it has at least one, so that only few have to look at it.
READERS: tuple[tuple[Reader, tuple[str, ...]], ...] = (
    (alertmanager.read, ("alerts",)),
    (alertmanager.read_one, ("startsAt",)),
    (sns.read, ("TopicArn",)),
    *((field_map.read, field_map.fields) for field_map in FIELD_MAPS),
    # By a header, or by fields that others have too: after those that are sure.
    (sentry.read_other, ANY),
    (fluentbit.FIELD_MAP.read, ANY),
)

SOURCES = frozenset(
    {
        VERSUS,
        "alertmanager",
        "grafana",
        "sns",
        fluentbit.FIELD_MAP.source,
        *(field_map.source for field_map in FIELD_MAPS),
    }
)
"""The names of all senders that are known; a body that nobody knows may name any other."""


def _by_field() -> dict[str, tuple[int, ...]]:
    names = {name for _, some in READERS for name in some}
    return {name: tuple(n for n, (_, some) in enumerate(READERS) if name in some) for name in names}


_BY_FIELD = _by_field()
_FOR_ANY = _BY_FIELD.pop("")
_FIELDS = set(_BY_FIELD)


def read(payload: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Alert:
    """What a body says, never refused for what is in it (any JSON object will do).

    1. Secrets are taken out of it.
    2. A message in an envelope of SNS is taken out of it, once.
    3. The first reader that recognises the body takes it; what it does not find, the general rules look for.
    4. A body that nobody recognises is read by the general rules alone.

    Nothing is fetched. `headers`: those of the request.
    """
    return read_and_keep(payload, headers)[0]


def read_and_keep(payload: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> tuple[Alert, str]:
    """What a body says (see `read`), and the body as JSON without its secrets."""
    shown, kept = redact.kept(payload)
    alert = _read(shown, headers or {})
    if shown is not payload and (alert.identity or "").endswith(INCOMPLETE):
        # A secret may be part of the key: by it, two senders with the same key differ.
        alert = replace(alert, identity=_read(payload, headers or {}).identity)
    return alert, kept


def _read(body: Mapping[str, Any], headers: Mapping[str, str]) -> Alert:
    webhook = sns.opened(Webhook.of(body, headers))
    alert = next(filter(None, (reader(webhook) for reader in _readers(webhook))), None)
    if alert is None:
        alert = generic.read(webhook)
    if webhook.published is None and webhook.subject is None:
        return alert
    # Alertmanager and Grafana fire again under the same key: an order of their messages proves nothing.
    said_at = None if alert.source in ("alertmanager", "grafana") else webhook.published
    return replace(alert, title=alert.title or webhook.subject, said_at=alert.said_at or said_at)


def _readers(webhook: Webhook) -> Iterable[Reader]:
    """Those that may know the body, in their order."""
    found = {n for name in webhook.body.keys() & _FIELDS for n in _BY_FIELD[name]}
    return (READERS[n][0] for n in sorted(found.union(_FOR_ANY)))
