"""Pages through anything that takes a signed POST."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime

from jinja2.sandbox import SandboxedEnvironment

from app import __version__
from app.destinations.base import PagerEvent, RateLimit
from app.destinations.event_text import description, metadata
from app.destinations.http import Bearer, Http, whole_call
from app.destinations.incident_io.answer import Asked, judge
from app.domain.delivery import Outcome
from app.sanitize import one_line
from app.telemetry import log
from config import Config

SIGNATURE = "X-Versus-Signature-256"


class Webhook:
    """Sends each event as JSON; a body that is signed can be believed (as GitHub does it)."""

    name = "webhook"

    def __init__(self, config: Config) -> None:
        self._settings = config.oncall.webhook
        template = self._settings.template
        self._template = SandboxedEnvironment().from_string(template) if template else None
        self._http = Http(f"versus-incident/{__version__}")

    def send(self, event: PagerEvent, *, deadline: float) -> Outcome:
        """See `Provider`; it is over after 10 s."""
        urls = self._settings.urls
        url = urls.get(event.alert_source) or urls.get("default")
        if url is None:
            return Outcome("misconfigured", "Nothing was sent: set oncall.webhook.url.", "unauthorized")
        content = self._body(event)
        answer = self._http.post(
            url.get_secret_value(),
            content,
            auth=None,
            deadline=whole_call(deadline),
            headers=self._headers(content),
        )
        asked = Asked(
            "The webhook",
            "oncall.webhook.url",
            "oncall.webhook.secret and oncall.webhook.headers",
            "oncall.webhook.url",
        )
        return judge(answer, asked, datetime.now(UTC), Bearer(url).redact)

    def ping(self, *, deadline: float) -> Outcome | None:
        """There is no dead man's switch."""
        return None

    def rate_limits(self, address: str) -> list[RateLimit]:
        """See `Provider`."""
        return [RateLimit(f"webhook:{address}", self._settings.max_per_minute)]

    def _headers(self, content: bytes) -> dict[str, str]:
        headers = {name: value.get_secret_value() for name, value in self._settings.headers.items()}
        if secret := self._settings.secret:
            digest = hmac.new(secret.get_secret_value().encode(), content, hashlib.sha256).hexdigest()
            headers[SIGNATURE] = f"sha256={digest}"
        return headers

    def _body(self, event: PagerEvent) -> bytes:
        """As the template renders it; as it is by default if that fails, so that the page goes out."""
        if self._template is not None:
            try:
                text = self._template.render(incident=event.incident, event=event.kind, url=event.page_url)
                json.loads(text)
                return text.encode()
            except Exception as error:
                log.error("template_failed", incident=event.incident.id, error=one_line(repr(error), 200))
        return json.dumps(_default(event), ensure_ascii=False).encode()


def _default(event: PagerEvent) -> dict[str, object]:
    incident = event.incident
    return {
        "event": event.kind,
        "incident": {
            **metadata(incident),
            "id": incident.id,
            "title": incident.title,
            "description": description(event),
            "labels": incident.labels,
            "created_at": incident.created_at.isoformat(),
            "source_url": incident.source_url,
            "url": event.page_url,
        },
    }
