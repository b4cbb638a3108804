"""Pages through incident.io: the address, the key, the limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from jinja2.sandbox import SandboxedEnvironment

from app.destinations.base import PagerEvent, Provider, RateLimit
from app.destinations.http import Bearer, Http, whole_call
from app.destinations.incident_io import afterwards, on_call
from app.destinations.incident_io.account import Account
from app.destinations.incident_io.answer import Asked, judge
from app.destinations.incident_io.event import body, title_of
from app.domain.delivery import Outcome
from app.domain.trace import Trace
from config import AlertSource, Config


class IncidentIo(Provider):
    """Sends alert events (`POST /v2/alert_events/http/{alert_source_config_id}`)."""

    name = "incident_io"

    def __init__(self, config: Config) -> None:
        self._settings = config.oncall.incident_io
        # The sender decides which labels there are, so here, unlike when the configuration is checked, one
        # that is missing is an empty text.
        self._title = SandboxedEnvironment().from_string(self._settings.title)
        self._http = Http()
        key = self._settings.account_api_key
        self._account = Account(self._settings.base_url, key) if key else None

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
        if event.kind == "acknowledged":
            return self._acknowledge(event, source, deadline)
        content = body(event, title_of(self._title, event.incident))
        outcome = self._post(f"alert_events/http/{source.id}", content, source, deadline)
        outcome = replace(outcome, traceable=self._account is not None)
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

    def trace(self, incident_id: str, address: str, *, deadline: float) -> Trace:
        """Ask for the alert, and whom its escalation notified; nothing without a key of the account."""
        source = self._source(address)
        if self._account is None or source is None:
            return Trace("unknown")
        return afterwards.trace(self._account, incident_id, source, deadline)

    def on_call(self, *, deadline: float) -> Mapping[str, bool] | None:
        """As its schedules say; None without a key of the account."""
        return on_call.schedules(self._account, deadline) if self._account else None

    def _acknowledge(self, event: PagerEvent, source: AlertSource, deadline: float) -> Outcome:
        if self._account is None:
            return Outcome("final", "Nothing was sent: INCIDENTIO_ACCOUNT_API_KEY is not set any more.")
        failures = event.failures
        return afterwards.acknowledge(self._account, event.incident.id, source, failures, deadline)

    def rate_limits(self, alert_source: str) -> list[RateLimit]:
        """The limits that an event of this alert source counts against: its own, and its API key's."""
        source = self._source(alert_source)
        if source is None:
            return []
        # A key is known by the first source that has it: nothing made from a key may be stored.
        sources = self._settings.alert_sources.values()
        first = next(other.name for other in sources if other.api_key == source.api_key)
        return [
            RateLimit(f"source:{source.name}", self._settings.max_per_minute),
            RateLimit(f"key:{first}", self._settings.max_per_minute_per_key),
        ]

    def _post(self, path: str, content: bytes, source: AlertSource, deadline: float) -> Outcome:
        bearer = Bearer(source.api_key)
        result = self._http.post(
            f"{self._settings.base_url}/v2/{path}",
            content,
            auth=bearer,
            deadline=whole_call(deadline),
        )
        return judge(result, asked(source), datetime.now(UTC), bearer.redact)

    def _source(self, name: str) -> AlertSource | None:
        """The source of that name; the default one for a name that is gone: in doubt, page."""
        sources = self._settings.alert_sources
        return sources.get(name) or sources.get("default")


def asked(source: AlertSource) -> Asked:
    """What to check when incident.io does not take an event for this alert source."""
    key, place = "the API key in INCIDENTIO_API_KEY", "INCIDENTIO_ALERT_SOURCE_CONFIG_ID"
    if source.name != "default":
        key += f", or the api_key of the alert source {source.name!r} in the configuration file"
        place = f"INCIDENTIO_OTHER_ALERT_SOURCE_CONFIG_ID_{source.name.upper()}"
    return Asked(
        "incident.io",
        "INCIDENTIO_BASE_URL",
        key,
        f"the config ID of the alert source {source.name!r}, as in {place}",
    )
