"""Channels that Apprise knows: mail, Telegram, Teams, ntfy and a hundred more."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from html import escape
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from apprise import Apprise

from app.destinations import rendering
from app.destinations.base import Message, Summary
from app.destinations.rendering import Form, Rendered
from app.domain.delivery import Outcome
from app.sanitize import one_line
from app.telemetry import redactor
from config import ChannelSettings

CONNECT_SECONDS = 4.0
READ_SECONDS = 8.0

REASON = 200
SUBJECT = 100

# Services that understand Markdown though Apprise sends them plain text by default.
MARKDOWN = ("mmost", "mmosts", "discord")

KINDS = {
    "created": "warning",
    "severity_raised": "warning",
    "reopened": "warning",
    "late": "failure",
    "failed": "failure",
    "resolved": "success",
}


class _Reasons(logging.Handler):
    """What Apprise says in a thread of why it failed; its answer is yes or no."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        said: list[str] | None = getattr(self._said, "lines", None)
        if said is not None:
            said.append(record.getMessage())

    @contextmanager
    def heard(self) -> Iterator[list[str]]:
        lines: list[str] = []
        self._said.lines = lines
        try:
            yield lines
        finally:
            self._said.lines = None


_reasons = _Reasons()
_logger = logging.getLogger("apprise")
_logger.addHandler(_reasons)
# What it says becomes one line of ours, without what it quotes.
_logger.propagate = False


class AppriseChannel:
    """One channel behind an Apprise URL. It may be slow, but not for longer than its time-outs."""

    def __init__(self, settings: ChannelSettings) -> None:
        self._url = settings.url.get_secret_value()
        self._service = settings.service
        self._template = settings.template
        self._subject = one_line(settings.subject or "", SUBJECT)
        self._redact = redactor(list(settings.secrets()))
        plugin = self._plugin(None)
        self.form: Form = self._form(plugin)
        # It would be taken for HTML, a stranger's links included.
        self._title_in_body = self.form == "html" and plugin.title_maxlen <= 0

    def send(self, message: Message | Summary, address: str | None) -> Outcome:
        """Notify of one incident, or of many in one message."""
        said = self._words(message)
        kind = "warning" if isinstance(message, Summary) else KINDS.get(message.event, "info")
        with _reasons.heard() as heard:
            try:
                plugin = self._plugin(address)
                done = plugin is not None and plugin.notify(
                    title=said.title, body=said.body, notify_type=kind, body_format=self.form
                )
            except Exception as error:
                # A plugin may meet what its author did not think of.
                done, heard[:] = False, [type(error).__name__]
        return Outcome("delivered") if done else Outcome("try_again", self._reason(heard))

    def rendered(self, message: Message | Summary) -> dict[str, Any]:
        """What it would send: title, body, and their form."""
        said = self._words(message)
        return {"form": self.form, "title": said.title, "body": said.body}

    def _words(self, message: Message | Summary) -> Rendered:
        if isinstance(message, Summary):
            return self._titled(rendering.summary(message, self.form))
        # A request's subject is for mails: elsewhere the title alone says what is new.
        of_request = message.subject if self._service == "email" else None
        said = rendering.message(replace(message, subject=of_request), self.form, self._template)
        return said if of_request else self._titled(said)

    def _titled(self, said: Rendered) -> Rendered:
        if self._title_in_body:
            # Our own templates begin with it anyway.
            return replace(said, title="" if self._template is None else escape(said.title))
        return replace(said, title=f"{self._subject}: {said.title}") if self._subject else said

    def _plugin(self, address: str | None) -> Any:
        plugin = Apprise.instantiate(_addressed(self._url, self._service, address), suppress_exceptions=True)
        if plugin is not None:
            plugin.socket_connect_timeout = CONNECT_SECONDS
            plugin.socket_read_timeout = READ_SECONDS
        return plugin

    def _form(self, plugin: Any) -> Form:
        if self._url.partition("://")[0].lower() in MARKDOWN:
            return "markdown"
        known = plugin.notify_format
        first = str((known[0] if isinstance(known, tuple) else known).value)
        return "html" if first == "html" else "markdown" if first == "markdown" else "text"

    def _reason(self, heard: list[str]) -> str:
        text = " ".join(heard)
        if found := re.search(r"error=(\d{3})|HTTP (\d{3})", text):
            return f"HTTP {found[1] or found[2]}"
        if "Connection" in text or "connection" in text or "refused" in text:
            return "connection refused or lost"
        return one_line(self._redact(text), REASON) or "it gave no reason"


def _addressed(url: str, service: str, address: str | None) -> str:
    """The URL with another recipient."""
    if address is None:
        return url
    if service == "telegram":
        return re.sub(r"^(\w+://[^/]+).*$", rf"\g<1>/{quote(address, safe='')}/", url)
    base, _, query = url.partition("?")
    options = [(name, value) for name, value in parse_qsl(query) if name != "to"]
    return f"{base}?{urlencode([*options, ('to', address)])}"
