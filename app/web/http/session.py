"""A person's login to the dashboard: a signed cookie, which Redis must know as well, and its CSRF token.

The cookie says who it is; that it is still good, Redis says, so a login can be ended for good. It is signed
with a key that follows from the gateway secret (`Config.session_key`).
"""

from __future__ import annotations

import hmac
import secrets
import time
from datetime import timedelta
from urllib.parse import urlsplit

from flask import Flask, Request, Response, request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from werkzeug.exceptions import Forbidden

from app.bootstrap import Services
from app.sanitize import one_line
from app.web.http.proxies import PERSON

KEPT = timedelta(days=7)
"""No login is good for longer, however much it is used; unused ones end sooner (`app/store/sessions.py`)."""

LONGEST_NAME = 80
"""Characters of a person's name."""

CSRF_FIELD = "csrf"
CSRF_HEADER = "X-CSRF-Token"

# Values of `Sec-Fetch-Site` for a request that no page of another site caused.
OWN_SITES = ("same-origin", "none")


class NotLoggedIn(Exception):
    """Nobody is logged in; a browser is led to the login."""


class Cookies(SecureCookieSessionInterface):
    """The cookie of a login: out of reach of scripts and other sites, and behind TLS sent over TLS alone."""

    def __init__(self, public_base: str) -> None:
        self._public = urlsplit(public_base.lower())

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Without a cookie there is nothing to verify."""
        return super().open_session(app, request) if request.cookies else self.session_class()

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """One that was not used is as it was."""
        if session.accessed or session.modified:
            super().save_session(app, session, response)

    def get_cookie_name(self, app: Flask) -> str:
        """`__Host-`: a browser takes it only from this very host, and only over TLS."""
        return "__Host-versus" if self.get_cookie_secure(app) else "versus"

    def get_cookie_secure(self, app: Flask) -> bool:
        """Whether this request came over TLS, as far as we know: a proxy that we do not trust may have ended
        it, but anyone who asks for the host of an https address came to that address."""
        public = self._public
        return request.is_secure or (public.scheme == "https" and request.host.lower() == public.netloc)


def configure(app: Flask, services: Services) -> None:
    """Give the application its cookies."""
    app.secret_key = services.config.session_key
    app.session_interface = Cookies(services.config.public_base)
    app.config.update(
        SESSION_COOKIE_HTTPONLY=True,
        # Not `Strict`: who follows a link in a chat is logged in.
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=KEPT,
    )


def log_in(services: Services, name: str) -> None:
    """Begin a login, with an ID and a token of its own: what was known before it proves nothing after it."""
    log_out(services)
    session_id = secrets.token_urlsafe(24)
    services.store.sessions.begin(session_id)
    session.update(id=session_id, name=name, csrf=secrets.token_urlsafe(24))
    # The cookie's own time begins anew whenever something else in it changes.
    session["until"] = time.time() + KEPT.total_seconds()
    session.permanent = True


def log_out(services: Services) -> None:
    """End the login for good."""
    if isinstance(session_id := session.get("id"), str):
        services.store.sessions.end(session_id)
    session.clear()


def stated_name() -> str:
    """Who this is as a trusted proxy says, or nothing. It proves no login."""
    stated = str(request.environ.get(PERSON, ""))
    # WSGI takes bytes of headers for Latin-1.
    return one_line(stated.encode("latin-1", "replace").decode("utf-8", "replace"), LONGEST_NAME)


def person(services: Services) -> str | None:
    """Who is logged in, by the name that a trusted proxy states, if one does. Raises `StoreUnavailable`."""
    session_id, name, until = session.get("id"), session.get("name"), session.get("until")
    if not isinstance(until, float) or time.time() > until:
        return None
    if isinstance(session_id, str) and isinstance(name, str) and services.store.sessions.lives(session_id):
        return stated_name() or name
    return None


def require_login(services: Services) -> str:
    """Who is logged in. Raises `NotLoggedIn` and `StoreUnavailable`."""
    name = person(services)
    if name is None:
        raise NotLoggedIn("Log in first: the dashboard needs the gateway secret.")
    return name


def csrf_token() -> str:
    """What a form must carry; one who is not logged in has one as well."""
    return str(session.setdefault("csrf", secrets.token_urlsafe(24)))


def check_csrf() -> None:
    """Raises `Forbidden` unless one of our own pages sent this request."""
    offered = request.headers.get(CSRF_HEADER) or request.form.get(CSRF_FIELD, "")
    held = str(session.get("csrf", ""))
    if not held or not same(offered, held) or request.headers.get("Sec-Fetch-Site", "none") not in OWN_SITES:
        raise Forbidden("The form is too old or came from another site. Reload the page and try again.")


def same(offered: str, right: str) -> bool:
    """Whether the texts are the same, in constant time."""
    # As bytes: text beyond ASCII can't be compared in constant time.
    return hmac.compare_digest(offered.encode("utf-8", "surrogateescape"), right.encode())
