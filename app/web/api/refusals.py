"""From a refused request to the incident that reports it: who sent it, what is wrong, who is to be paged."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from flask import Request, g, request

from app.bootstrap import Services
from app.destinations.channels import UnknownChannel
from app.ingest.refused import Refused, RefusedReports
from app.ingest.service import Options
from app.store.refused import Kind
from app.store.rejected import PREVIEW, id_of
from app.web.api.webhook_parameters import check_mail, options_of
from app.web.http.auth import Authenticator
from app.web.http.body import BadBody, EmptyBody
from app.web.http.parameters import BadParameter

NO_AGENT = "none"


def sender_of(request: Request) -> str:
    """A digest of who sends: address and User-Agent."""
    said = f"{request.remote_addr}\n{request.headers.get('User-Agent', '')}"
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def kind_of(error: Exception, status: int) -> Kind | None:
    """What is wrong with the request; None where nobody has lost anything, or no right to be heard."""
    if isinstance(error, EmptyBody) or status == 401:
        return None
    if status == 413:
        return "size"
    return "body" if isinstance(error, BadBody) else "parameter"


class Refusals:
    """Reports the requests that the intake refuses."""

    def __init__(self, services: Services, authenticator: Authenticator) -> None:
        self._services = services
        self._authenticator = authenticator
        self._how = services.config.intake.refused
        self._reports = RefusedReports(services)

    def report(
        self, kind: Kind | None, status: int, error: str, agent: str, body: bytes, inside: bytes
    ) -> str | None:
        """The ID of the incident about the request under way, if there is one. Raises `StoreUnavailable`.

        `agent`: its User-Agent; `inside`: what is in the body. The secrets were taken out of all.
        """
        if kind is None or self._how == "keep" or not (g.proven or self._authenticator.admits(request)):
            return None
        sender = f"{request.remote_addr} (User-Agent: {agent or NO_AGENT})"
        refused = Refused(
            kind=kind,
            sender=sender_of(request),
            error=error,
            description=f"A webhook from {sender} was answered {status}, so nobody learns what it reports: "
            f"{error}\n\nIts beginning is on the dashboard. Fix the sender; or fix the configuration here, "
            "and replay the webhook there.",
            details={
                "error": error,
                "status": status,
                "sender": sender,
                "rejected": id_of(body, error),
                "body": inside[:PREVIEW].decode("utf-8", "replace"),
            },
        )
        return self._reports.report(refused, self._asked())

    def _asked(self) -> Iterator[Options]:
        """What the webhook asks for; and what is asked for in its place, where that is what is wrong."""
        pages = self._how == "page"
        with suppress(BadParameter, UnknownChannel):
            options = options_of(request.args, self._services.channels)
            check_mail(request.args, self._services.config)
            yield options if pages else replace(options, oncall_enable=False)
        yield Options(oncall_enable=pages and self._services.config.oncall.ready)
