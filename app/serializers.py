"""What an incident looks like to programs: answers of the API, their schema, and the output of `versus`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from pydantic import AliasPath, BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from app.bootstrap import Services
from app.delivery.summaries import in_summaries
from app.domain.alert import Severity
from app.domain.delivery import Delivery, Destination
from app.domain.incident import Incident
from app.domain.state import State
from app.domain.subscription import notified_entries
from app.domain.timeline import Entry, rfc3339

Time = Annotated[
    datetime, PlainSerializer(rfc3339), WithJsonSchema({"type": "string", "format": "date-time"})
]


class Out(BaseModel):
    """Something that the API answers; null is written out."""

    model_config = ConfigDict(from_attributes=True, json_schema_serialization_defaults_required=True)


class EntryOut(Out):
    """A line of the timeline."""

    at: Time
    event: str
    detail: str


class DeliveryOut(Out):
    """What a pager or a channel has of the incident."""

    destination: str = Field(description="Such as `incident_io/default` or a channel's name.")
    delivered: str | None = Field(description="The last event that it took.")
    attempts: int = Field(ge=0)
    next_attempt_at: Time | None
    last_error: str | None


class IncidentBrief(Out):
    """An incident without the sender's body, its timeline and its deliveries. Times are RFC 3339, UTC."""

    id: str = Field(description="UUID.")
    state: State = Field(description=f"One of {', '.join(State)}.")
    title: str
    description: str = Field(description="The sender's words, Markdown.")
    severity: Severity | None
    service: str | None
    source: str = Field(description="The sender, such as `alertmanager`.")
    source_url: str | None
    started_at: Time | None
    labels: dict[str, str]
    created_at: Time
    due_at: Time | None = Field(description="When it pages or paged; null when nothing is scheduled.")
    acknowledged_at: Time | None
    acknowledged_by: str | None
    acknowledged_until: Time | None = Field(description="Null: until it is resolved or reopened.")
    escalated_at: Time | None
    failed_at: Time | None = Field(description="When its page was first refused for good, or given up.")
    resolved_at: Time | None
    alert_source: str = Field(description="Name of the alternate, or `default`.")
    attempts: int = Field(ge=0)
    last_error: str | None
    last_reason: str | None = Field(
        validation_alias=AliasPath("worst", "last_reason"),
        description="One word for `last_error`, as in log and metrics.",
    )
    ack_url: str | None = Field(
        default=None, description="The signed link; null when there is nothing to acknowledge."
    )
    occurrences: int = Field(ge=1)
    previous_id: str | None = Field(description="The incident that this one continues.")
    next_id: str | None = Field(description="The incident that continues this one.")


class IncidentOut(IncidentBrief):
    """An incident with everything that is known of it."""

    deliveries: list[DeliveryOut] = []
    payload: Any = Field(default=None, description="The sender's newest body, as received, without secrets.")
    timeline: list[EntryOut]


def brief(services: Services, one: Incident, now: datetime | None) -> dict[str, Any]:
    """The incident as JSON, in short.

    The link to acknowledge is good for seven days from `now`; None for an incident that is not stored.
    """
    shown = IncidentBrief.model_validate(one)
    shown.ack_url = _ack_url(services, one, now)
    return shown.model_dump()


def whole(services: Services, one: Incident) -> dict[str, Any]:
    """The incident as JSON, with the sender's newest body, its timeline, and what each destination has."""
    channels = services.store.incidents.deliveries(one.id)
    shown = IncidentOut.model_validate(replace(one, timeline=_timeline(services, one, channels)))
    shown.ack_url = _ack_url(services, one, services.clock())
    shown.deliveries = _deliveries(one, channels)
    shown.payload = services.store.incidents.payload(one.id)
    return shown.model_dump()


def with_notifications(services: Services, one: Incident) -> Incident:
    """To be shown, not stored: the lines of its channels are on its timeline."""
    return replace(one, timeline=_timeline(services, one, services.store.incidents.deliveries(one.id)))


def deliveries(services: Services, one: Incident) -> list[DeliveryOut]:
    """What each destination has of the incident, pagers first."""
    return _deliveries(one, services.store.incidents.deliveries(one.id))


def _ack_url(services: Services, one: Incident, now: datetime | None) -> str | None:
    return services.links.url(one.id, now) if now is not None and one.can_be_acknowledged else None


def _timeline(
    services: Services, one: Incident, channels: Mapping[Destination, Delivery]
) -> tuple[Entry, ...]:
    lines = [*one.timeline, *notified_entries(channels), *_in_summaries(services, one, channels)]
    return tuple(sorted(lines, key=lambda entry: entry.at))


def _in_summaries(
    services: Services, one: Incident, channels: Mapping[Destination, Delivery]
) -> Iterator[Entry]:
    for subscription in one.subscriptions:
        channel = subscription.destination
        yield from in_summaries(services.store, one, channel, channels.get(channel, Delivery()))


def _deliveries(one: Incident, channels: Mapping[Destination, Delivery]) -> list[DeliveryOut]:
    return [_delivery(one, *pair) for pair in (*one.pagers.items(), *channels.items())]


def _delivery(one: Incident, destination: Destination, has: Delivery) -> DeliveryOut:
    step = one.next_step(destination, has)
    heard = next((c.event for c in reversed(one.changes) if c.sequence <= has.notified_through), None)
    return DeliveryOut(
        destination=destination,
        delivered=has.accepted or heard,
        attempts=has.attempts,
        next_attempt_at=step.at if step is not None else None,
        last_error=has.last_error,
    )
