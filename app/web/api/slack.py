"""Clicks on the button of a message in Slack: `POST /api/slack/interactions`."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs

from flask import Blueprint, request
from pydantic import SecretStr
from slack_sdk.signature import SignatureVerifier

from app import actions
from app.bootstrap import Services
from app.destinations.http import Http
from app.destinations.slack import ACKNOWLEDGE, MINUTES
from app.domain.delivery import InvalidTransition
from app.sanitize import one_line
from app.store import IncidentNotFound, StoreUnavailable
from app.telemetry import log
from app.web.http.auth import Unauthorized

LARGEST = 256 * 1024
LONGEST_NAME = 80
# Slack waits three seconds for us, so we wait less for Slack.
ANSWER_SECONDS = 2.0
# Longer than a signature is good for, on either side of its time.
USED_SECONDS = 660
SLACK_HOOKS = "https://hooks.slack.com/"


class BadSlackSignature(Unauthorized):
    """The click was not signed with our signing secret, or longer than five minutes ago."""


def blueprint(services: Services, signing_secret: SecretStr) -> Blueprint:
    """The address to give to Slack as the Request URL of Interactivity."""
    slack = Blueprint("slack", __name__)
    verifier = SignatureVerifier(signing_secret.get_secret_value())
    http = Http()
    hooks = (SLACK_HOOKS, f"{services.config.alert.slack.base_url}/")

    @slack.post("/api/slack/interactions")
    def interact() -> dict[str, str]:
        body = request.stream.read(LARGEST)
        if not _is_slacks(verifier, body):
            raise BadSlackSignature(
                "The Slack signature is missing, wrong or older than five minutes: check the signing secret."
            )
        click = _click(body)
        problem = _acknowledge_once(services, click, request.headers["X-Slack-Signature"])
        if problem and (url := str(click.get("response_url"))).startswith(hooks):
            # What worked is seen in the message itself, which a worker changes.
            answer = {"response_type": "ephemeral", "replace_original": False, "text": problem}
            content = json.dumps(answer).encode()
            http.post(url, content, auth=None, deadline=time.monotonic() + ANSWER_SECONDS)
        return {"status": "ok"}

    return slack


def _is_slacks(verifier: SignatureVerifier, body: bytes) -> bool:
    """Whether Slack signed it within the last five minutes."""
    try:
        return verifier.is_valid_request(body, dict(request.headers))
    except ValueError:
        # A time that is no number, a body that is not UTF-8.
        return False


def _click(body: bytes) -> dict[str, Any]:
    fields = parse_qs(body.decode("utf-8", "replace"))
    try:
        click = json.loads(fields.get("payload", [""])[0])
    except ValueError:
        click = None
    return click if isinstance(click, dict) else {}


def _acknowledge_once(services: Services, click: dict[str, Any], signature: str) -> str | None:
    """What went wrong, in words for the person who clicked. The same request again changes nothing."""
    sessions = services.store.sessions
    if not sessions.use(signature, USED_SECONDS):
        log.warning("slack_click_repeated")
        return None
    try:
        return _acknowledge(services, click)
    except StoreUnavailable:
        with suppress(StoreUnavailable):
            sessions.give_back(signature)
        raise


def _acknowledge(services: Services, click: dict[str, Any]) -> str | None:
    done = click.get("actions")
    wanted = [one for one in done if isinstance(one, dict)] if isinstance(done, list) else []
    ours = [one for one in wanted if one.get("action_id") in (ACKNOWLEDGE, *MINUTES)]
    if not ours:
        # Slack sends the click on a link button as well.
        log.info("slack_click_ignored", kind=one_line(str(click.get("type")), LONGEST_NAME))
        return None
    try:
        minutes = MINUTES.get(str(ours[0]["action_id"]))
        actions.acknowledge(services, str(ours[0].get("value")), f"{_who(click)} in Slack", minutes)
    except (InvalidTransition, IncidentNotFound) as error:
        return str(error)
    return None


def _who(click: dict[str, Any]) -> str:
    user = click.get("user")
    names = [user.get(key) for key in ("name", "username", "id")] if isinstance(user, dict) else []
    name = next((name for name in names if isinstance(name, str) and name), "somebody")
    return one_line(name, LONGEST_NAME)
