"""Pages through AWS Systems Manager Incident Manager; new customers have been refused since November 2025."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from app.destinations.base import AddressedProvider, PagerEvent
from app.destinations.event_text import description
from app.destinations.http import CONNECT_SECONDS, WHOLE_SECONDS, in_thread, seconds_left
from app.domain.alert import Severity
from app.domain.delivery import Outcome
from app.sanitize import one_line
from config import Config

TITLE = 200
DATA = 10_000
TEXT = 300
IMPACT: dict[Severity | None, int] = {"critical": 1, "high": 2, "medium": 3, "low": 4, "info": 5}
TRY_AGAIN = ("ThrottlingException", "InternalServerException", "ConflictException", "RequestTimeout")
CHECK = {
    "AccessDeniedException": "check the permissions of these AWS credentials (ssm-incidents:StartIncident)",
    "ResourceNotFoundException": "check the ARN of the response plan",
}


class AwsIncidentManager(AddressedProvider[str]):
    """Starts an incident with our ID as `clientToken`, so that it is started once, and resolves it."""

    name = "aws_incident_manager"

    missing = "AWS_INCIDENT_MANAGER_RESPONSE_PLAN_ARN"

    def __init__(self, config: Config) -> None:
        settings = config.oncall.aws_incident_manager
        self.addresses, self.max_per_minute = settings.places, settings.max_per_minute

    def _send(self, event: PagerEvent, address: str, deadline: float) -> Outcome:
        resolves = event.kind == "resolved"
        call = (lambda: self._resolve(event)) if resolves else (lambda: self._start(event, address))
        return _within(deadline, lambda: self._answered(call))

    def _check(self, address: str, deadline: float) -> Outcome | None:
        return _within(deadline, lambda: self._answered(lambda: self._read(address)))

    @cached_property
    def _client(self) -> Any:
        # An extra; the configuration was checked to have it.
        import boto3
        from botocore.config import Config as Settings

        once = {"total_max_attempts": 1}
        timeouts = {"connect_timeout": CONNECT_SECONDS, "read_timeout": WHOLE_SECONDS - CONNECT_SECONDS}
        return boto3.Session().client("ssm-incidents", config=Settings(retries=once, **timeouts))

    def _answered(self, call: Callable[[], Outcome]) -> Outcome:
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

        try:
            return call()
        except ClientError as error:
            return _refused(error.response.get("Error", {}))
        except HTTPClientError as error:
            detail = one_line(str(error), TEXT)
            return Outcome("try_again", f"No answer from AWS: {detail}.", "connection", uncertain=True)
        except (BotoCoreError, ValueError) as error:
            detail = one_line(str(error), TEXT)
            return Outcome("misconfigured", f"AWS was not asked: {detail}.", "unauthorized")

    def _read(self, plan: str) -> Outcome:
        self._client.get_response_plan(arn=plan)
        return Outcome("delivered", "AWS knows the response plan.")

    def _start(self, event: PagerEvent, plan: str) -> Outcome:
        incident = event.incident
        answer = self._client.start_incident(
            responsePlanArn=plan,
            clientToken=incident.id,
            title=one_line(incident.title, TITLE) or f"Incident {incident.id}",
            impact=IMPACT.get(incident.severity, 3),
            triggerDetails={
                "source": "versus-incident",
                "timestamp": incident.created_at,
                "rawData": description(event)[:DATA],
            },
        )
        arn = str(answer["incidentRecordArn"])
        return Outcome("delivered", f"AWS started {arn}.", reference=arn)

    def _resolve(self, event: PagerEvent) -> Outcome:
        if event.reference is None:
            return Outcome("delivered", "AWS did not say which incident it started, so none was resolved.")
        self._client.update_incident_record(arn=event.reference, status="RESOLVED")
        return Outcome("delivered", f"AWS resolved {event.reference}.")


def _refused(error: dict[str, str]) -> Outcome:
    code = one_line(error.get("Code", "?"), TEXT)
    said = f"AWS answered {code}: {one_line(error.get('Message', ''), TEXT)}"
    if code in TRY_AGAIN:
        limited = code == "ThrottlingException"
        reason = "rate_limited" if limited else "server_error"
        return Outcome("try_again", f"{said}.", reason, back_off_all=limited, uncertain=not limited)
    return Outcome("misconfigured", f"{said}: {CHECK.get(code, 'check what it says')}.", "rejected")


def _within(deadline: float, call: Callable[[], Outcome]) -> Outcome:
    """Its outcome, unless that takes too long: no timeout of botocore covers a slow answer as a whole."""
    try:
        return in_thread("aws", call).result(seconds_left(deadline))
    except TimeoutError:
        return Outcome("try_again", "No answer from AWS: the time ran out.", "timeout", uncertain=True)
