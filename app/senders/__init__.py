"""What a sender means: any JSON object that arrives becomes an `Alert`, whoever sent it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import app.senders.alertmanager as alertmanager
import app.senders.generic as generic
from app.alert import Alert
from app.senders.fields import Webhook

Reader = Callable[[Webhook], Alert | None]
"""Reads the body of its own sender; None for that of another."""

# The first that knows the body reads it; a new sender is a line here.
READERS: tuple[Reader, ...] = (alertmanager.read,)


def read(payload: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Alert:
    """What a body says, never refused for what is in it (any JSON object will do).

    1. The first reader that recognises the body takes it; what it does not find, the general rules look for.
    2. A body that nobody recognises is read by the general rules alone.

    Nothing is fetched, and no secret of the body gets into the alert. `headers`: those of the request.
    """
    webhook = Webhook.of(payload, headers or {})
    for reader in READERS:
        if alert := reader(webhook):
            return alert
    return generic.read(webhook)
