"""Where incidents are in Redis, and what a record is.

`incident:<id>` is a hash: `v`, a token that is new with every write of the incident; `doc`, the incident as
JSON, with what its pagers have; `channel:<destination>`, what a channel has, as JSON, written and compared by
itself so that channels and pages do not rewrite each other; `schema`, that of the version which wrote the
incident last (`app/store/schema.py`). `payload:<id>` is the sender's newest body.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from app.domain.alert import SEVERITIES
from app.domain.delivery import Delivery, Destination
from app.domain.incident import Incident
from app.store.connection import PREFIX
from app.store.documents import rewritten, written

INCIDENT = PREFIX + "incident:"
PAYLOAD = PREFIX + "payload:"
PAYLOAD_BYTES = PREFIX + "payload_bytes"
"""Of incidents that are not resolved; how much each has is the field `payload` of its hash."""
ALL = PREFIX + "incidents"
BY_STATE = PREFIX + "state:"
VERSION = PREFIX + "version"
CHANNEL = "channel:"
"""Begins the field of a channel's delivery."""

RECORD = TypeAdapter(Incident)
DELIVERY = TypeAdapter(Delivery)
TEXTS = ("title", "source", "description", "service", "source_url", "identity", "mail_subject")


def incident_of(incident_id: str, doc: str) -> Incident | None:
    """The incident; None if its record can't be read."""
    try:
        incident = RECORD.validate_json(doc)
    except ValueError:
        return None
    return incident if incident.id == incident_id and incident.pagers else None


def legible(doc: str) -> dict[str, Any]:
    """The texts of a record that can't be read as a whole, as far as it is JSON."""
    try:
        found = json.loads(doc)
    except (ValueError, RecursionError):
        return {}
    fields = found.items() if isinstance(found, dict) else ()
    return {
        name: value
        for name, value in fields
        if (name in TEXTS and isinstance(value, str)) or (name == "severity" and value in SEVERITIES)
    }


def delivery_of(doc: str | None) -> Delivery:
    """What a channel has, from its field; nothing yet where there is no field, or one that can't be read."""
    try:
        return Delivery() if not doc else DELIVERY.validate_json(doc)
    except ValueError:
        return Delivery()


def deliveries_in(row: Mapping[str, str]) -> dict[Destination, Delivery]:
    """What every channel has, by the fields of a record."""
    return {
        Destination(name.removeprefix(CHANNEL)): delivery_of(doc)
        for name, doc in row.items()
        if name.startswith(CHANNEL)
    }


def delivery_doc(delivery: Delivery, was: str | None = None) -> str:
    """The field of a channel's delivery, in place of the one that was read, if there was one."""
    try:
        before = DELIVERY.validate_json(was or "")
    except ValueError:
        return written(DELIVERY, delivery)
    return rewritten(DELIVERY, before, delivery, was or "")


def incident_doc(incident: Incident, before: Incident | None, was: str) -> str:
    """The field of an incident, in place of the one that was read as `before`; None: it is new."""
    return rewritten(RECORD, before, incident, was) if before is not None else written(RECORD, incident)
