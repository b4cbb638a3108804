"""Pages through incident.io: the address, the key, the limits, and the fields of an alert event."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from jinja2 import Template
from jinja2.sandbox import SandboxedEnvironment

from app import __version__
from app.destinations.base import PagerEvent, RateLimit
from app.destinations.http import Bearer, Http
from app.destinations.incident_io.answer import judge
from app.domain.delivery import Outcome
from app.domain.incident import Incident
from app.sanitize import lines, one_line
from app.telemetry import log
from config import AlertSource, Config

WHOLE_SECONDS = 10.0
KEY_PER_MINUTE = 1200
"""Requests a minute that incident.io takes with one API key."""

# In characters, of at most four bytes each: together they keep any body far below 256 KiB, half of what
# Alertmanager's receiver for incident.io allows itself (incident.io documents no limit).
TITLE = 255
WORDS = 16_000
VALUE = 500
LABEL_NAME = 100
LABELS = 50
LINK = 2_000
NOTIFIED = 10
"""Lines about channels in a description."""
NOTIFIED_HEADS = {"notified": "Notified", "not_notified": "Could not notify"}


class IncidentIo:
    """Sends alert events (`POST /v2/alert_events/http/{alert_source_config_id}`)."""

    name = "incident_io"

    def __init__(self, config: Config) -> None:
        self._settings = config.oncall.incident_io
        # The sender decides which labels there are, so here, unlike when the configuration is checked, one
        # that is missing is an empty text.
        self._title = SandboxedEnvironment().from_string(self._settings.title)
        self._http = Http(f"versus-incident/{__version__}")

    def send(self, event: PagerEvent, *, deadline: float) -> Outcome:
        """Send one event; never raises for what the network or incident.io does.

        It is over at `deadline` (of `time.monotonic()`) or 10 s from now, whichever comes first.
        """
        wanted = event.alert_source
        source = self._source(wanted)
        if source is None:
            return Outcome(
                "misconfigured",
                "Nothing was sent: set INCIDENTIO_API_KEY and INCIDENTIO_ALERT_SOURCE_CONFIG_ID.",
                "unauthorized",
            )
        content = body(event, _title(self._title, event.incident))
        outcome = self._post(f"alert_events/http/{source.id}", content, source, deadline)
        if source.name != wanted:
            detail = f"Alert source {wanted!r} is not configured any more, so {source.name!r} was used. "
            return replace(outcome, detail=detail + outcome.detail)
        return outcome

    def ping(self, *, deadline: float) -> Outcome | None:
        """Ping the heartbeat (`POST /v2/heartbeat/{alert_source_config_id}/ping`), if one is configured.

        It has the default API key. Like `send` it never raises, and is over at `deadline` or after 10 s.
        """
        heartbeat = self._settings.heartbeat_config_id
        key = self._settings.api_key
        if heartbeat is None or key is None:
            return None
        source = AlertSource("heartbeat", heartbeat, key)
        outcome = self._post(f"heartbeat/{heartbeat}/ping", b"{}", source, deadline)
        if outcome.verdict != "misconfigured":
            return outcome
        fix = "check oncall.incident_io.heartbeat_config_id and INCIDENTIO_API_KEY"
        return replace(outcome, detail=f"incident.io refused the heartbeat ({outcome.reason}): {fix}.")

    def rate_limits(self, alert_source: str) -> list[RateLimit]:
        """The limits that an event of this alert source counts against: its own, and its API key's."""
        source = self._source(alert_source)
        per_minute = self._settings.max_per_minute
        if source is None:
            return []
        own = RateLimit(f"source:{source.name}", per_minute)
        if per_minute == 0:
            return [own]
        # A key is known by the first source that has it: nothing made from a key may be stored.
        sources = self._settings.alert_sources.values()
        first = next(other.name for other in sources if other.api_key == source.api_key)
        return [own, RateLimit(f"key:{first}", KEY_PER_MINUTE)]

    def _post(self, path: str, content: bytes, source: AlertSource, deadline: float) -> Outcome:
        bearer = Bearer(source.api_key)
        result = self._http.post(
            f"{self._settings.base_url}/v2/{path}",
            content,
            auth=bearer,
            deadline=min(deadline, time.monotonic() + WHOLE_SECONDS),
        )
        return judge(result, source, datetime.now(UTC), bearer.redact)

    def _source(self, name: str) -> AlertSource | None:
        """The source of that name; the default one for a name that is gone: in doubt, page."""
        sources = self._settings.alert_sources
        return sources.get(name) or sources.get("default")


# -- the fields of an alert event ----------------------------------------------------------------------


def body(event: PagerEvent, title: str) -> bytes:
    """The JSON of an alert event: never over 256 KiB, valid UTF-8, the same keys every time."""
    incident = event.incident
    source_url = incident.source_url or ""
    fields: dict[str, Any] = {
        "title": title,
        "deduplication_key": incident.id,
        "status": event.kind,
        "description": _description(event),
        "metadata": _metadata(incident),
    }
    # A link that was cut would lead nowhere.
    if link := source_url if 0 < len(source_url) <= LINK else event.page_url:
        fields["source_url"] = link
    return json.dumps(fields, ensure_ascii=False).encode()


def _title(template: Template, incident: Incident) -> str:
    """One line from the configured template; `Incident <id>` when it says nothing or fails."""
    try:
        title = one_line(template.render(incident=incident), TITLE)
    except Exception as error:
        # Whatever somebody's template does with this incident's data, the page goes out.
        log.error("title_failed", incident=incident.id, error=one_line(repr(error), VALUE))
        title = ""
    return title or f"Incident {incident.id}"


def _description(event: PagerEvent) -> str:
    """Markdown for anyone who is woken by it.

    The facts and the link stand before the sender's words, which may be long, or leave a code block open.
    """
    facts = "\n".join(f"- {fact}" for fact in _facts(event))
    words = lines(event.incident.description, WORDS)
    return f"**{one_line(event.incident.title, TITLE)}**\n\n{facts}\n\n{words}".rstrip()


def _facts(event: PagerEvent) -> Iterator[str]:
    incident = event.incident
    if incident.severity:
        yield f"Severity: {incident.severity}"
    if incident.service:
        yield f"Service: {one_line(incident.service, VALUE)}"
    yield f"Source: {one_line(incident.source, VALUE)}"
    yield f"Since: {_utc(incident.started_at or incident.created_at)}"
    if incident.occurrences > 1:
        yield f"Occurrences: {incident.occurrences}"
    yield from _told(event)
    if event.kind == "resolved":
        yield f"Resolved: {_resolution(incident)}"
    if event.page_url is None:
        yield "Paged at once because Redis was out of reach; it can't be acknowledged in Versus Incident"
    else:
        invitation = "Acknowledge or read more" if event.kind == "firing" else "Read more"
        yield f"[{invitation}]({event.page_url})"


def _told(event: PagerEvent) -> Iterator[str]:
    """Which channels were notified."""
    for entry in event.notified[:NOTIFIED]:
        clock = entry.at.astimezone(UTC).strftime("%H:%M:%S")
        yield f"{NOTIFIED_HEADS[entry.event]} {one_line(entry.detail, VALUE)} (at {clock})"


def _resolution(incident: Incident) -> str:
    when = [_utc(incident.resolved_at)] if incident.resolved_at else []
    # The record has no field for it, its timeline has.
    who = next((entry.detail for entry in reversed(incident.timeline) if entry.event == "resolved"), "")
    return one_line(" ".join([*when, who]), VALUE)


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _metadata(incident: Incident) -> dict[str, Any]:
    """Flat, with stable keys, since people parse attributes and routes from it.

    A label is `label_<name>`, every character of its name but letters, digits and `_` as `_`; of two names
    that become the same, the first stays.
    """
    facts = {
        "incident_id": incident.id,
        "alert_title": one_line(incident.title, VALUE),
        "source": one_line(incident.source, VALUE),
        "severity": incident.severity,
        "service": one_line(incident.service, VALUE) if incident.service else None,
        "occurrences": incident.occurrences,
    }
    metadata: dict[str, Any] = {key: value for key, value in facts.items() if value is not None}
    for name, value in list(incident.labels.items())[:LABELS]:
        key = re.sub(r"\W", "_", name[:LABEL_NAME])
        metadata.setdefault(f"label_{key}", lines(value, VALUE))
    return metadata
