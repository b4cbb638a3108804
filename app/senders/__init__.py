"""What a sender means: any JSON object that arrives becomes an `Alert`, whoever sent it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from app.alert import Alert
from app.senders import (
    alertmanager,
    cloudwatch,
    datadog,
    fluentbit,
    generic,
    sentry,
    sns,
    table,
    zabbix,
)
from app.senders.fields import Webhook

Reader = Callable[[Webhook], Alert | None]
"""Reads the body of its own sender; None for that of another."""

# The first that knows the body reads it; a new sender is a line here, or a row of one of these tables.
READERS: tuple[Reader, ...] = (
    alertmanager.read,
    sns.read,
    *(row.read for row in cloudwatch.ROWS),
    *(row.read for row in sentry.ROWS),
    *(row.read for row in datadog.ROWS),
    zabbix.ROW.read,
    *(row.read for row in table.ROWS),
    # By a header, or by fields that others have too: after those that are sure.
    sentry.read_other,
    fluentbit.ROW.read,
)


def read(payload: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Alert:
    """What a body says, never refused for what is in it (any JSON object will do).

    1. A message in an envelope of SNS is taken out of it, once.
    2. The first reader that recognises the body takes it; what it does not find, the general rules look for.
    3. A body that nobody recognises is read by the general rules alone.

    Nothing is fetched, and no secret of the body gets into the alert. `headers`: those of the request.
    """
    webhook = sns.opened(Webhook.of(payload, headers or {}))
    for reader in READERS:
        if alert := reader(webhook):
            return alert
    return generic.read(webhook)
