"""Amazon SNS: an envelope around the message of somebody else, or around plain text."""

from __future__ import annotations

from dataclasses import replace

import app.ingest.webhooks.coerce as coerce
import app.ingest.webhooks.generic as generic
import app.ingest.webhooks.redact as redact
from app.domain.alert import Alert, Effect
from app.ingest.webhooks.coerce import Json, Webhook

# A message of SNS has at most so many bytes.
MESSAGE_LIMIT = 262_144

CONFIRMATION = "SubscriptionConfirmation"
_CONFIRMATIONS = (CONFIRMATION, "UnsubscribeConfirmation")


def is_message(body: Json) -> bool:
    """Whether a body is an envelope of SNS."""
    return "TopicArn" in body and all(
        isinstance(body.get(name), str) for name in ("Type", "MessageId", "TopicArn")
    )


def opened(webhook: Webhook) -> Webhook:
    """The message in an envelope, if it is a body of its own (a JSON object); else what was given."""
    if not is_message(webhook.body) or _is_confirmation(webhook):
        return webhook
    message = coerce.parsed(webhook.body.get("Message"))
    if not isinstance(message, dict):
        return webhook
    envelope = webhook.body
    subject, published = coerce.line(envelope.get("Subject")), coerce.moment(envelope.get("Timestamp"))
    return replace(Webhook.of(message, webhook.headers), subject=subject, published=published)


def read(webhook: Webhook) -> Alert | None:
    """Plain text that somebody published, or a question about the subscription, which is a note."""
    if not is_message(webhook.body):
        return None
    if _is_confirmation(webhook):
        # Without its text: that holds, or leads to, what confirms the subscription.
        topic = coerce.line(webhook.body.get("TopicArn")) or "of no name"
        title = coerce.line(f"{webhook.body['Type']} of the SNS topic {topic}") or "SNS"
        return Alert(title=title, source="sns", effect=Effect.NOTE, identity=coerce.identity(webhook))
    body = webhook.body
    # An array, or one more envelope, is not opened; it may hold secrets.
    message = redact.text(coerce.text(body.get("Message"), MESSAGE_LIMIT) or "")
    return Alert(
        title=coerce.line(body.get("Subject")) or coerce.first_line(message) or generic.title(webhook),
        source="sns",
        description=coerce.text(message) or generic.description(webhook),
        started_at=coerce.moment(body.get("Timestamp")),
        labels=coerce.labels({"topic": body.get("TopicArn")}, body.get("labels")),
        identity=coerce.identity(webhook),
    )


def _is_confirmation(webhook: Webhook) -> bool:
    return webhook.body.get("Type") in _CONFIRMATIONS
