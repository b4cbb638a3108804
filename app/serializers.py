"""What an incident looks like to programs: answers of the API, their schema, and the output of `versus`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import AliasPath, BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from app.bootstrap import Services
from app.delivery.summaries import in_summaries
from app.domain.alert import Alert, Effect, Severity
from app.domain.delivery import Delivery, Destination
from app.domain.incident import Incident
from app.domain.routing import Decision
from app.domain.silence import Silence
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
    held_until: Time | None = Field(description="A rule lets the wait begin then, and not before.")
    rule: str | None = Field(description="The name of the rule that decided.")
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
    silenced_until: Time | None = Field(description="A silence holds it until then.")


class IncidentOut(IncidentBrief):
    """An incident with everything that is known of it."""

    deliveries: list[DeliveryOut] = []
    payload: Any = Field(default=None, description="The sender's newest body, as received, without secrets.")
    timeline: list[EntryOut]


class SilenceOut(Out):
    """A silence. Times are RFC 3339, UTC."""

    id: str = Field(description="UUID.")
    match: dict[str, list[str]] = Field(description="Fields, and the patterns of which one must fit.")
    until: Time
    comment: str
    by: str
    created_at: Time
    ended_at: Time | None = Field(description="When somebody ended it; null: nobody did.")
    ended_by: str | None
    active: bool
    held: int = Field(ge=0, description="Incidents that it holds.")


def silences_out(services: Services) -> list[dict[str, Any]]:
    """All silences as JSON, the newest first; those that ended are kept for 30 days."""
    every = services.store.silences.read().all
    counts = services.store.silences.counts([one.id for one in every])
    return [_silence_out(one, counts[one.id], services.clock()) for one in every]


def silence_out(services: Services, one: Silence) -> dict[str, Any]:
    """The silence as JSON."""
    return _silence_out(one, services.store.silences.counts([one.id])[one.id], services.clock())


def _silence_out(one: Silence, held: int, now: datetime) -> dict[str, Any]:
    active = one.is_active(now)
    fields = {name: getattr(one, name) for name in SilenceOut.model_fields if hasattr(one, name)}
    fields |= {"match": one.match.written(), "active": active, "held": held if active else 0}
    return SilenceOut(**fields).model_dump()


def brief(services: Services, one: Incident, now: datetime | None) -> dict[str, Any]:
    """The incident as JSON, in short.

    The link to acknowledge is good for seven days from `now`; None for an incident that is not stored.
    """
    shown = IncidentBrief.model_validate(_as_of(one, now))
    shown.ack_url = _ack_url(services, one, now)
    return shown.model_dump()


def whole(services: Services, one: Incident) -> dict[str, Any]:
    """The incident as JSON, with the sender's newest body, its timeline, and what each destination has."""
    channels, now = services.store.incidents.deliveries(one.id), services.clock()
    shown = IncidentOut.model_validate(replace(_as_of(one, now), timeline=_timeline(services, one, channels)))
    shown.ack_url = _ack_url(services, one, now)
    shown.deliveries = _deliveries(one, channels)
    shown.payload = services.store.incidents.payload(one.id)
    return shown.model_dump()


class DecisionOut(Out):
    """What would follow from an alert if it came in at the time that was asked about."""

    title: str
    source: str
    severity: Severity | None
    service: str | None
    effect: Effect = Field(description="Only what is `firing` opens an incident, and has a decision.")
    rule: str | None = Field(description="The name of the rule that decides.")
    pages: bool = Field(description="Whether somebody is paged, unless somebody acknowledges.")
    wait_minutes: float | None
    held_until: Time | None = Field(description="The wait begins then.")
    due_at: Time | None
    destination: str | None = Field(description="Who pages, such as `incident_io/default`.")
    channels: list[str] = Field(description="Who is notified.")
    in_words: str


def decision(services: Services, alert: Alert, decided: Decision | None, now: datetime) -> dict[str, Any]:
    """The decision about an alert as JSON; None for one that opens nothing."""
    wait = decided.wait if decided else None
    channels = services.channels.default if decided is None or decided.channels is None else decided.channels
    return DecisionOut(
        title=alert.heading,
        source=alert.source,
        severity=alert.severity,
        service=alert.service,
        effect=alert.effect,
        rule=decided.rule if decided else None,
        pages=wait is not None,
        wait_minutes=wait / timedelta(minutes=1) if wait is not None else None,
        held_until=decided.held_until if decided else None,
        due_at=decided.due_at(now) if decided else None,
        destination=decided.pager if decided and wait is not None else None,
        channels=list(channels) if decided else [],
        in_words=str(decided) if decided else f"opens no incident: it is {alert.effect}",
    ).model_dump()


def with_notifications(services: Services, one: Incident) -> Incident:
    """To be shown, not stored: the lines of its channels are on its timeline."""
    return replace(one, timeline=_timeline(services, one, services.store.incidents.deliveries(one.id)))


def deliveries(services: Services, one: Incident) -> list[DeliveryOut]:
    """What each destination has of the incident, pagers first."""
    return _deliveries(one, services.store.incidents.deliveries(one.id))


def _as_of(one: Incident, now: datetime | None) -> Incident:
    """Without a silence that is over: nothing had to be written when it ended."""
    return one if now is None or one.is_silenced(now) else replace(one, silenced_until=None)


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
