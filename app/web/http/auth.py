"""Who may come in: senders with the intake secret or a signature, people with the gateway secret."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from flask import Request, g, request
from pydantic import SecretStr
from werkzeug.exceptions import TooManyRequests

from app.bootstrap import Services
from app.ingest.sns import Sns
from app.ingest.webhooks.sns import is_message
from app.sanitize import one_line
from app.store.sessions import ATTEMPTS
from app.telemetry import log
from app.web.http import session
from app.web.http.body import Body
from config import Config

GRAFANA_SECONDS = 300
"""How far a signed time may be from ours."""
LONGEST_BY = 100
UNSIGNED = (
    "This webhook needs the intake secret, or a signature: send the secret as Bearer token, as the password "
    "of Basic, in X-Versus-Token or another header of intake.secret_headers, or as ?token=."
)
WRONG = (
    "The signature of this webhook is wrong: sign the body as it is sent, with the secret configured here."
)


class Unauthorized(Exception):
    """The request carries no secret, or a wrong one."""


class IntakeUnauthorized(Unauthorized):
    """A webhook with neither secret nor signature, or a wrong one; the secret may come as Basic."""


@dataclass(frozen=True)
class Authenticator:
    """Decides which webhooks come in; docs/intake.md says what it asks of senders.

    A signature that is wrong is refused whatever else the webhook carries. One that is right proves who sent
    it, and so does the intake secret. With neither, the secret is missing where one is set, and the signature
    where this sender signs.
    """

    config: Config
    sns: Sns

    def proven(self, request: Request, raw: bytes) -> bool:
        """Whether secret or signature is in a header or the query. Raises `IntakeUnauthorized`."""
        signatures = list(self._signatures(request, raw))
        if not all(signatures):
            raise IntakeUnauthorized(WRONG)
        if signatures or self._has_secret(request):
            return True
        # SNS signs in the body, but says in a header that it is SNS.
        may_be_sns = self.sns.topics is not None and "x-amz-sns-message-type" in request.headers
        if self.config.intake_secret is not None and not may_be_sns:
            raise IntakeUnauthorized(UNSIGNED)
        return False

    def admits(self, request: Request) -> bool:
        """Whether it would come in, for all that can be said without its body."""
        return self.config.intake_secret is None or self._has_secret(request)

    def check(self, body: Body, sources: Iterable[str]) -> None:
        """Whether a webhook that is not `proven` may come in.

        Raises `IntakeUnauthorized` and `VerificationUnavailable`.

        `sources`: whose its alerts are.
        """
        if self.sns.topics is not None and not body.is_array and is_message(body.elements[0]):
            if not self.sns.proves(body.elements[0]):
                raise IntakeUnauthorized(f"{WRONG[:-1]}, from a topic named in intake_signatures.sns_topics.")
            return
        if self.config.intake_secret is not None:
            raise IntakeUnauthorized(UNSIGNED)
        unsigned = self._signing & set(sources)
        if unsigned:
            raise IntakeUnauthorized(
                f"Webhooks of {' and '.join(sorted(unsigned))} must be signed here: sign them, or send the "
                "intake secret."
            )

    @property
    def _signing(self) -> set[str]:
        """The sources of which nothing comes in unsigned: an attacker would just leave the signature out."""
        signatures = self.config.intake_signatures
        sources = {"sentry"} if signatures.sentry else set()
        sources |= {"grafana"} if signatures.grafana else set()
        return sources | ({"sns", "cloudwatch"} if signatures.sns_topics else set())

    def _signatures(self, request: Request, raw: bytes) -> Iterator[bool]:
        """Of each signature that we can check, whether it is right."""
        secrets, headers = self.config.intake_signatures, request.headers
        if secrets.sentry and (offered := headers.get("Sentry-Hook-Signature")) is not None:
            yield _is_hmac(offered, secrets.sentry, raw)
        if secrets.github and (offered := headers.get("X-Hub-Signature-256")) is not None:
            yield offered.startswith("sha256=") and _is_hmac(offered[7:], secrets.github, raw)
        if secrets.grafana and (offered := headers.get("X-Grafana-Alerting-Signature")) is not None:
            stamp = headers.get("X-Grafana-Alerting-Timestamp")
            signed = raw if stamp is None else stamp.encode() + b":" + raw
            yield _is_recent(stamp) and _is_hmac(offered, secrets.grafana, signed)

    def _has_secret(self, request: Request) -> bool:
        secret = self.config.intake_secret
        return secret is not None and any(
            is_secret(one, secret) for one in _offered(request, self.config.intake.secret_headers)
        )


def check_admin(services: Services, secret: SecretStr) -> str | None:
    """Raises `Unauthorized` unless the request carries the gateway secret, or comes from the dashboard.

    Returns who is logged in to the dashboard; None for a program that knows the secret. An address may guess
    wrong a few times a minute. Raises `TooManyRequests` and `StoreUnavailable` too.
    """
    offered = request.headers.get("X-Gateway-Secret")
    if offered is None and (name := session.person(services)) is not None:
        if request.method not in ("GET", "HEAD"):
            session.check_csrf()
        return name
    if offered is None or not _is_right_guess(services, offered, secret):
        raise Unauthorized("This needs the gateway secret: send it in the header X-Gateway-Secret.")
    return None


def _is_right_guess(services: Services, offered: str, secret: SecretStr) -> bool:
    sessions, address = services.store.sessions, client_address()
    may, known = sessions.may_guess(address)
    if not may:
        log.warning("gateway_secret_throttled", address=request.remote_addr)
        raise TooManyRequests(
            f"{ATTEMPTS} wrong gateway secrets came from your address within a minute: wait a minute."
        )
    right = is_secret(offered, secret)
    if not right:
        log.warning("gateway_secret_wrong", address=request.remote_addr)
        sessions.guessed_wrong(address)
    elif not known:
        sessions.guessed_right(address)
    return right


def client_address() -> str:
    """Whom attempts are counted for; of IPv6 the network, since a host may have all of its addresses."""
    try:
        address = ipaddress.ip_address(request.remote_addr or "")
    except ValueError:
        return "unknown"
    if address.version == 6 and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def is_secret(offered: str | None, secret: SecretStr) -> bool:
    """Whether that is the secret, in constant time."""
    return offered is not None and session.same(offered, secret.get_secret_value())


def _offered(request: Request, headers: Iterable[str]) -> Iterator[str | None]:
    for name in ("X-Versus-Token", *headers):
        offered = request.headers.get(name, "")
        yield offered
        yield offered.removeprefix("Bearer ").strip()
    yield from request.args.getlist("token")
    authorization = request.authorization
    if authorization is not None and authorization.type == "basic":
        yield authorization.password
    else:
        # Not `authorization.token`: werkzeug takes a token with an equals sign inside for parameters.
        yield request.headers.get("Authorization", "").partition(" ")[2].strip()


def _is_hmac(offered: str, secret: SecretStr, signed: bytes) -> bool:
    right = hmac.new(secret.get_secret_value().encode(), signed, hashlib.sha256).hexdigest()
    return session.same(offered.strip().lower(), right)


def _is_recent(stamp: str | None) -> bool:
    """Whether a Unix time is near; without one there is nothing to compare."""
    if stamp is None:
        return True
    return (
        re.fullmatch(r"[0-9]{1,12}", stamp) is not None and abs(time.time() - int(stamp)) <= GRAFANA_SECONDS
    )


def json_body() -> dict[str, Any]:
    """The fields of the request's body; none if it is no JSON object."""
    try:
        body = request.get_json(silent=True)
    except RecursionError:
        body = None
    return body if isinstance(body, dict) else {}


def acting() -> str:
    """Who acts through the admin API: who is logged in, or whom a program names."""
    if g.person is not None:
        return str(g.person)
    by = json_body().get("by")
    return (one_line(by, LONGEST_BY) if isinstance(by, str) else "") or "admin API"
