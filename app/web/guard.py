"""Who may come in: senders with the intake secret, people with the gateway secret."""

from __future__ import annotations

import hmac

from flask import Request
from pydantic import SecretStr


class Unauthorized(Exception):
    """The request carries no secret, or a wrong one."""

    basic = False


class IntakeUnauthorized(Unauthorized):
    """A webhook without the intake secret; Basic is one of the ways to send it."""

    basic = True


def check_intake(request: Request, secret: SecretStr | None) -> None:
    """Raises `IntakeUnauthorized` unless the webhook carries the intake secret, where one is set."""
    if secret is None:
        return
    authorization = request.authorization
    offered = [request.headers.get("X-Versus-Token"), *request.args.getlist("token")]
    if authorization is not None:
        offered += [authorization.token, authorization.password if authorization.type == "basic" else None]
    if not any(_same(one, secret) for one in offered):
        raise IntakeUnauthorized(
            "This webhook needs the intake secret: send it as Bearer token, as the password of Basic, "
            "in X-Versus-Token, or as ?token=."
        )


def check_admin(request: Request, secret: SecretStr) -> None:
    """Raises `Unauthorized` unless the request carries the gateway secret."""
    if not _same(request.headers.get("X-Gateway-Secret"), secret):
        raise Unauthorized("This needs the gateway secret: send it in the header X-Gateway-Secret.")


def _same(offered: str | None, secret: SecretStr) -> bool:
    if offered is None:
        return False
    # As bytes: text beyond ASCII can't be compared in constant time.
    return hmac.compare_digest(
        offered.encode("utf-8", "surrogateescape"), secret.get_secret_value().encode("utf-8")
    )
