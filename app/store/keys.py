"""Where incidents are in Redis, and what a record is.

`incident:<id>` is a hash: `v`, a token that is new with every write of the incident; `doc`, the incident as
JSON, with what its pagers have; `channel:<destination>`, what a channel has, as JSON, written and compared by
itself so that channels and pages do not rewrite each other. `payload:<id>` is the sender's newest body.
"""

from __future__ import annotations

from pydantic import TypeAdapter

from app.domain.delivery import Delivery
from app.domain.incident import Incident
from app.store.connection import PREFIX

INCIDENT = PREFIX + "incident:"
PAYLOAD = PREFIX + "payload:"
IDENTITIES = PREFIX + "identities"
ALL = PREFIX + "incidents"
BY_STATE = PREFIX + "state:"
VERSION = PREFIX + "version"
CHANNEL = "channel:"
"""Begins the field of a channel's delivery."""

RECORD = TypeAdapter(Incident)
DELIVERY = TypeAdapter(Delivery)


def delivery_of(doc: str | None) -> Delivery:
    """What a channel has, from its field; nothing yet where there is no field."""
    return Delivery() if not doc else DELIVERY.validate_json(doc)


def delivery_doc(delivery: Delivery) -> str:
    """The field of a channel's delivery."""
    return DELIVERY.dump_json(delivery, exclude_defaults=True).decode()
