"""Logging in to the dashboard and out again: with the gateway secret, and a name for the timeline."""

from __future__ import annotations

from flask import Blueprint, Response, redirect, request
from pydantic import SecretStr
from werkzeug.exceptions import TooManyRequests
from werkzeug.wrappers import Response as Redirect

from app.bootstrap import Services
from app.sanitize import one_line
from app.store.sessions import ATTEMPTS
from app.telemetry import log
from app.web.http import session
from app.web.http.auth import client_address, is_secret
from app.web.http.concurrency import limit_concurrency
from app.web.http.pages import page


def blueprint(services: Services, secret: SecretStr) -> Blueprint:
    """The login page."""
    login = Blueprint("login", __name__)
    limit_concurrency(login, services)

    @login.get("/login")
    def ask() -> Response:
        return _form(services, 200, problem=None)

    @login.post("/login")
    def log_in() -> Response | Redirect:
        session.check_csrf()
        if not services.store.sessions.may_try(client_address()):
            log.warning("login_throttled", address=request.remote_addr)
            raise TooManyRequests(
                f"More than {ATTEMPTS} attempts in one minute from your address: wait a minute."
            )
        name = one_line(request.form.get("name", ""), session.LONGEST_NAME) or session.stated_name()
        if not name:
            return _form(
                services, 400, problem="Enter your name: it is shown on the timeline of what you do."
            )
        if not is_secret(request.form.get("secret"), secret):
            log.warning("login_failed", address=request.remote_addr)
            return _form(services, 401, problem="Wrong gateway secret.")
        session.log_in(services, name)
        log.info("login", by=name, address=request.remote_addr)
        return redirect(local(request.form.get("next", ""), home()), 303)

    @login.post("/logout")
    def log_out() -> Redirect:
        session.check_csrf()
        session.log_out(services)
        return redirect(f"{request.script_root}/login", 303)

    return login


def local(path: str, home: str = "/") -> str:
    """The path if it is one of this service, else the dashboard's: a link must not lead on to elsewhere."""
    # Browsers take a backslash for a slash, and two slashes for another host.
    ours = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if ours else home


def home() -> str:
    """The dashboard's address, as the browser has to ask for it."""
    return f"{request.script_root}/"


def _form(services: Services, status: int, *, problem: str | None) -> Response:
    return page(
        "login.html",
        status,
        problem=problem,
        installation=services.config.name,
        name=one_line(request.form.get("name", ""), session.LONGEST_NAME) or session.stated_name(),
        next=local(request.values.get("next", ""), home()),
        csrf=session.csrf_token(),
    )
