"""Pages through anything that takes a signed POST."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime

from jinja2.sandbox import SandboxedEnvironment
from pydantic import SecretStr

from app.destinations.base import AddressedProvider, PagerEvent
from app.destinations.event_text import description, metadata
from app.destinations.http import Bearer, Http
from app.destinations.incident_io.answer import Asked, judge
from app.domain.delivery import Outcome
from app.sanitize import one_line
from app.telemetry import log
from config import Config

SIGNATURE = "X-Versus-Signature-256"


class Webhook(AddressedProvider[SecretStr]):
    """Sends each event as JSON; a body that is signed can be believed (as GitHub does it)."""

    name = "webhook"
    missing = "oncall.webhook.url"

    def __init__(self, config: Config) -> None:
        self._settings = config.oncall.webhook
        self.addresses, self.max_per_minute = self._settings.places, self._settings.max_per_minute
        template = self._settings.template
        self._template = SandboxedEnvironment().from_string(template) if template else None
        self._http = Http()

    def _send(self, event: PagerEvent, address: SecretStr, deadline: float) -> Outcome:
        content = self._body(event)
        answer = self._http.post(
            address.get_secret_value(),
            content,
            auth=None,
            deadline=deadline,
            headers=self._headers(content),
        )
        asked = Asked(
            "The webhook",
            "oncall.webhook.url",
            "oncall.webhook.secret and oncall.webhook.headers",
            "oncall.webhook.url",
        )
        return judge(answer, asked, datetime.now(UTC), Bearer(address).redact)

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
