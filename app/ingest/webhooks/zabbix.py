"""Zabbix, whose bodies its users write after our template: numbers for words, and tags as JSON in a text."""

from __future__ import annotations

from urllib.parse import urlencode

import app.ingest.webhooks.coerce as coerce
from app.domain.alert import Effect
from app.ingest.webhooks.coerce import Json
from app.ingest.webhooks.field_map import FieldMap, all_of, by, first_of, join, matches


def _effect(body: Json) -> Effect | None:
    effect = by("event_value", resolved="0")(body)
    # A comment, an acknowledgement, another severity: the problem itself is as it was.
    return Effect.NOTE if effect is not Effect.RESOLVED and matches(body, "event_update_status=1") else effect


def _url(body: Json) -> object:
    address, trigger, event = map(body.get, ("zabbix_url", "trigger_id", "event_id"))
    base, event_id, trigger_id = coerce.link(address), coerce.key(event), coerce.key(trigger)
    if base is None or event_id is None or trigger_id is None:
        return base
    query = urlencode({"triggerid": trigger_id, "eventid": event_id})
    return f"{base.rstrip('/')}/tr_events.php?{query}"


def _tags(body: Json) -> object:
    return coerce.parsed(body.get("event_tags")) or body.get("event_tags")


FIELD_MAP = FieldMap(
    source="zabbix",
    matches=all_of("event_id", "event_value"),
    effect=_effect,
    title="event_name",
    note=join("event_update_action", "event_update_message"),
    description=join("trigger_description", "opdata", "event_update_message"),
    severity="event_nseverity",
    severities={"5": "critical", "4": "high", "3": "medium", "2": "low", "1": "info"},
    service="host_name",
    service_tag=True,
    source_url=_url,
    # Each installation counts its events from 1.
    identity=first_of(all_of("zabbix_url", "event_id"), "event_id"),
    once=True,
    labels=_tags,
    host="host_name",
)
