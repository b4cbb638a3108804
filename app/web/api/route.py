"""What would follow from a webhook: the decision for each of its alerts, and nothing is stored."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from app import serializers
from app.bootstrap import Services
from app.destinations.channels import UnknownChannel
from app.domain.alert import Effect
from app.domain.routing import OnCallNotConfigured, check, decide
from app.domain.timeline import rfc3339
from app.web.api.webhook import Sent, read_webhook
from app.web.http.body import BadBody, BodyTooLarge
from app.web.http.parameters import BadParameter, moment_of
from config import UnknownAlertSource

REFUSALS = (BadBody, BodyTooLarge, BadParameter, OnCallNotConfigured, UnknownAlertSource, UnknownChannel)
"""What is wrong with a webhook that is refused; each says it in a sentence."""


def routed_body(
    services: Services, raw: bytes, parameters: Iterable[tuple[str, str]], now: datetime
) -> dict[str, Any]:
    """As `routed`, for a body that came without headers."""
    return routed(services, Sent.of(raw, parameters), now)


def routed(services: Services, sent: Sent, now: datetime) -> dict[str, Any]:
    """The decisions as JSON, at the time that the parameter `at` names, or else `now`.

    What is stored is not looked at: a repeat of a problem that is known may add to what was decided, and
    takes nothing away. Raises as an ordinary webhook does.
    """
    webhook = read_webhook(services, sent)
    check(webhook.options, services.config.oncall)
    now = moment_of(sent.args, "at") or now
    decisions = []
    for message in webhook.messages:
        alert = message.alert.within(webhook.options.namespace)
        decision = None
        if alert.effect is Effect.FIRING:
            decision = decide(alert, webhook.options, services.config.oncall, now)
        decisions.append(serializers.decision(services, alert, decision, now))
    return {"at": rfc3339(now), "decisions": decisions}
