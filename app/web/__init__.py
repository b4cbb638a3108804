"""HTTP in and out; decides nothing. One table gives every error its status."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

from flask import Flask, jsonify, redirect, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.wrappers import Response as BaseResponse

from app import bootstrap, telemetry
from app.ack_links import BadSignature, LinkExpired
from app.bootstrap import Services
from app.destinations.channels import UnknownChannel
from app.domain.delivery import InvalidTransition
from app.ingest.once import KeyReused
from app.ingest.service import STORE_SECONDS, OnCallNotConfigured
from app.ingest.sns import VerificationUnavailable
from app.silences import InvalidSilence
from app.store import BadCursor, IncidentNotFound, SilenceNotFound, StoreUnavailable, TooManySilences
from app.store.rejected import RejectedNotFound
from app.telemetry import log
from app.web.api import ack, admin, incidents, metrics, openapi, probes, slack
from app.web.api.incidents import BodyTruncated, Intake
from app.web.api.refusals import Refusals
from app.web.dashboard import icon, login, views
from app.web.http import markup, session
from app.web.http.auth import IntakeUnauthorized, Unauthorized
from app.web.http.body import BadBody, BodyTooLarge
from app.web.http.concurrency import ServerBusy
from app.web.http.overload import RETRY_AFTER_SECONDS
from app.web.http.pages import is_browser, page, wants_page
from app.web.http.parameters import BadParameter
from app.web.http.paths import INTAKE, Paths
from app.web.http.proxies import Proxies
from app.web.http.session import NotLoggedIn
from config import UnknownAlertSource, load_config

# One try may take less than half of what a request may wait for Redis, so that there is a second one.
REDIS_TIMEOUT = 0.9
# Enough for all its threads, since each keeps one for less than a millisecond.
REDIS_CONNECTIONS = 3

STATUS_OF_ERROR: dict[type[Exception], int] = {
    BadBody: 400,
    BadCursor: 400,
    BadParameter: 400,
    UnknownAlertSource: 400,
    UnknownChannel: 400,
    OnCallNotConfigured: 400,
    InvalidSilence: 400,
    IntakeUnauthorized: 401,
    NotLoggedIn: 401,
    Unauthorized: 401,
    BadSignature: 401,
    IncidentNotFound: 404,
    RejectedNotFound: 404,
    SilenceNotFound: 404,
    InvalidTransition: 409,
    TooManySilences: 409,
    BodyTruncated: 409,
    LinkExpired: 410,
    BodyTooLarge: 413,
    KeyReused: 422,
    ServerBusy: 503,
    VerificationUnavailable: 503,
    StoreUnavailable: 503,
}


# Blueprints whose errors people see, also when they act; elsewhere, when a browser asks for a page.
PAGES = ("acknowledge", "dashboard", "login")
HEADINGS = {
    400: "Bad request",
    401: "Log in first",
    403: "This form is too old",
    404: "Not found",
    405: "Page not found",
    409: "Not possible",
    413: "Too large",
    429: "Too many attempts",
}
LINK_HEADINGS = {
    401: "This link does not work",
    404: "No such incident",
    409: "Already resolved",
    410: "This link has expired",
}


def create_app(services: Services | None = None) -> Flask:
    """The web process's application; without services, for the configuration in the environment.

    Raises `ConfigError`.
    """
    if services is None:
        config = load_config()
        telemetry.configure(config.secrets())
        services = bootstrap.build_services(
            config, retry_seconds=STORE_SECONDS, timeout=REDIS_TIMEOUT, connections=REDIS_CONNECTIONS
        )
    app = Flask(__name__)
    app.extensions["services"] = services
    # A person who reads an answer wants the ID first, not `acknowledged_at`.
    app.json.sort_keys = False  # type: ignore[attr-defined]
    markup.register(app)
    intake = Intake(services)
    app.register_blueprint(incidents.blueprint(intake, services.config.queue.sns.path))
    app.register_blueprint(ack.blueprint(services))
    app.register_blueprint(probes.blueprint(services))
    app.register_blueprint(metrics.blueprint(services))
    app.register_blueprint(openapi.blueprint())
    app.register_blueprint(icon.blueprint())
    signing_secret = services.config.alert.slack.signing_secret
    if signing_secret is not None:
        app.register_blueprint(slack.blueprint(services, signing_secret))
    secret = services.config.gateway_secret
    if secret is None:
        app.register_blueprint(views.closed())
    else:
        session.configure(app, services)
        app.register_blueprint(login.blueprint(services, secret))
        app.register_blueprint(views.blueprint(services, intake))
        app.register_blueprint(admin.blueprint(services, intake, secret))
    app.wsgi_app = Paths(app.wsgi_app, services.config.public_path, _has(app))  # type: ignore[method-assign]
    if trusted := services.config.trusted_proxies:
        name_header = services.config.trusted_name_header
        app.wsgi_app = Proxies(app.wsgi_app, trusted, name_header)  # type: ignore[method-assign]
    _answer_errors(app, services, intake.refusals)
    return app


def _has(app: Flask) -> Callable[[str, str], bool]:
    routes = app.url_map.bind("")
    return lambda path, method: routes.test(path, method)


def _answer_errors(app: Flask, services: Services, refusals: Refusals) -> None:
    @app.errorhandler(Exception)
    def answer(error: Exception) -> BaseResponse:
        status, sentence = _described(error)
        if isinstance(error, (NotFound, MethodNotAllowed)) and f"{request.path}/".startswith(f"{INTAKE}/"):
            log.warning("no_such_route", method=request.method, path=request.path[:300], status=status)
        if status < 500 and request.blueprint == "intake":
            incidents.keep_rejected(services, refusals, error, status, sentence)
        from_a_script = "X-Live" in request.headers
        if isinstance(error, NotLoggedIn) and request.method == "GET" and not from_a_script:
            return redirect(f"{request.script_root}/login?{urlencode({'next': _asked_for()})}", 303)
        if _for_people() and not from_a_script:
            of_link = request.blueprint == "acknowledge"
            heading = (LINK_HEADINGS if of_link else HEADINGS).get(status, "Try again in a moment")
            response = page("message.html", status, heading=heading, sentence=sentence, of_link=of_link)
        else:
            response = jsonify(error=sentence)
            response.status_code = status
        if isinstance(error, HTTPException):
            response.headers.extend(h for h in error.get_headers() if h[0] == "Allow")
        if isinstance(error, IntakeUnauthorized):
            response.headers["WWW-Authenticate"] = 'Basic realm="versus"'
        if status == 503:
            response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        if status == 429:
            response.headers["Retry-After"] = "60"
        return response


def _for_people() -> bool:
    """Whether the error is a page. Programs that post webhooks get JSON, whatever they accept."""
    if request.blueprint in PAGES:
        return wants_page()
    return request.method in ("GET", "HEAD") and is_browser()


def _asked_for() -> str:
    """Path and query, without a secret that senders may have in theirs."""
    query = urlencode([pair for pair in request.args.items(multi=True) if pair[0] != "token"])
    path = f"{request.script_root}{request.path}"
    return f"{path}?{query}" if query else path


def _described(error: Exception) -> tuple[int, str]:
    if isinstance(error, (StoreUnavailable, VerificationUnavailable)):
        log.error("unavailable", path=request.path, reason=str(error))
    for kind, status in STATUS_OF_ERROR.items():
        if isinstance(error, kind):
            return status, str(error)
    if isinstance(error, HTTPException) and error.code is not None and error.code < 500:
        return error.code, error.description or error.name
    # Senders repeat a 503, and several never repeat a 500.
    log.error("request_failed", path=request.path, exc_info=error)
    return 503, "Something went wrong here, not with your request: send it again."
