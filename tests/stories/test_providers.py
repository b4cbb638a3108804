"""Story: other providers page as incident.io does: once, tried again, until they hear of the end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from local.other_providers import IncidentManager, PagerDuty, Receiver, ServiceNow, StandIn
from tests.stories.stack import Stack, wait_until

KEY, OTHER_KEY = "routing-key-1", "routing-key-2"
PLAN = "arn:aws:ssm-incidents::111122223333:response-plan/default"
OTHER_PLAN = "arn:aws:ssm-incidents::111122223333:response-plan/infra"
SECRET = "a-webhook-secret"
PLANTED = ("planted-wrong-key", "planted-wrong-password", "planted-aws-secret", "planted-token", SECRET)

PARAMETERS = {
    "pagerduty": "pagerduty_other_routing_key",
    "servicenow": "servicenow_other_instance",
    "aws_incident_manager": "awsim_other_response_plan",
    "webhook": "webhook_other_url",
}
EVENTS = {
    "pagerduty": ["firing", "acknowledged", "resolved"],
    # Neither knows an acknowledgement.
    "servicenow": ["firing", "resolved"],
    "aws_incident_manager": ["firing", "resolved"],
    "webhook": ["firing", "acknowledged", "resolved"],
}
WITHIN = 90.0
"""Seconds; a provider that hangs takes ten of them."""
every = pytest.mark.parametrize("name", PARAMETERS)


@dataclass
class Others:
    """A stand-in for each of them, and one that takes bodies with another secret."""

    pagerduty: PagerDuty
    servicenow: ServiceNow
    aws: IncidentManager
    receiver: Receiver
    stranger: Receiver

    def __getitem__(self, name: str) -> StandIn:
        stand_ins = (self.pagerduty, self.servicenow, self.aws, self.receiver)
        return dict(zip(PARAMETERS, stand_ins, strict=True))[name]

    @property
    def environ(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.aws.base_url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "planted-aws-secret",
            "AWS_DEFAULT_REGION": "eu-central-1",
        }

    @property
    def settings(self) -> dict[str, Any]:
        at, hook = self.servicenow.base_url, f"{self.receiver.base_url}/hook"
        return {
            "pagerduty": {
                "routing_key": KEY,
                "other_routing_keys": {"infra": OTHER_KEY, "wrong": "planted-wrong-key"},
                "base_url": self.pagerduty.base_url,
            },
            "servicenow": {
                "instance_url": at,
                "username": "versus",
                "password": "pw",
                "other_instance_urls": {
                    "infra": {"id": at, "username": "infra", "password": "pw-2"},
                    "wrong": {"id": at, "username": "infra", "password": "planted-wrong-password"},
                },
            },
            "aws_incident_manager": {
                "response_plan_arn": PLAN,
                "other_response_plan_arns": {"infra": OTHER_PLAN, "wrong": f"{PLAN}-gone"},
            },
            "webhook": {
                "url": f"{hook}?token=planted-token",
                "secret": SECRET,
                "other_urls": {"infra": f"{hook}/infra", "wrong": f"{self.stranger.base_url}/hook"},
            },
        }


@pytest.fixture(scope="module")
def others() -> Iterator[Others]:
    with ExitStack() as parts:
        yield Others(
            parts.enter_context(PagerDuty({KEY: set(), OTHER_KEY: set()})),
            parts.enter_context(ServiceNow("versus:pw", "infra:pw-2")),
            parts.enter_context(IncidentManager(PLAN, OTHER_PLAN)),
            parts.enter_context(Receiver(SECRET)),
            parts.enter_context(Receiver("another-secret")),
        )


@pytest.fixture(scope="module")
def stack(others: Others, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One service for all stories here: a request says who pages."""
    stack = Stack(tmp_path_factory.mktemp("providers"), oncall=others.settings, environ=others.environ)
    try:
        yield stack.ready()
    finally:
        stack.stop()


def report(stack: Stack, name: str, place: str = "default", wait: float = 0, **body: str) -> dict[str, Any]:
    return stack.report(wait, body=body, **{PARAMETERS[name]: place})


def wait_until_paged(stack: Stack, incident: Mapping[str, Any]) -> dict[str, Any]:
    return stack.wait_for_state(incident, "escalated", WITHIN)


def wait_until_told(stand_in: StandIn, incident: Mapping[str, Any], *events: str) -> None:
    def told() -> list[str]:
        return stand_in.told(incident["id"])

    wait_until(lambda: told() == list(events), f"it is told {events}, and not {told()}", WITHIN)


@every
def test_each_is_paged_once_and_hears_of_what_it_understands(name: str, stack: Stack, others: Others) -> None:
    acknowledged = report(stack, name, wait=60)
    assert stack.acknowledge(acknowledged).status_code == 200
    incident = report(stack, name)
    shown = wait_until_paged(stack, incident)
    assert shown["alert_source"] == f"{name}/default"
    assert others[name].told(incident["id"]) == ["firing"]
    assert stack.acknowledge(incident).status_code == 200
    wait_until_told(others[name], incident, *EVENTS[name][:-1])
    stack.act(incident, "resolve")
    wait_until_told(others[name], incident, *EVENTS[name])
    assert others[name].states(incident["id"]) == ["resolved"]
    assert others[name].told(acknowledged["id"]) == []
    assert stack.simulator.requests == []


@every
def test_a_request_picks_another_place_and_a_wrong_name_is_refused(
    name: str, stack: Stack, others: Others
) -> None:
    incident = report(stack, name, "INFRA")
    shown = wait_until_paged(stack, incident)
    assert (shown["alert_source"], others[name].states(incident["id"])) == (f"{name}/infra", ["firing"])
    refused = stack.post({"title": "x"}, **{PARAMETERS[name]: "nobody"})
    assert (refused.status_code, "default, infra" in refused.json()["error"]) == (400, True)
    both = stack.post({"title": "x"}, **{PARAMETERS[name]: "infra"}, incidentio_other_alert_source="infra")
    assert (both.status_code, "exclude each other" in both.json()["error"]) == (400, True)


AWS_ERRORS = {429: "ThrottlingException", 500: "InternalServerException", 403: "AccessDeniedException"}


def refuse(stand_in: StandIn, status: int) -> None:
    headers = {"x-amzn-errortype": AWS_ERRORS[status]} if isinstance(stand_in, IncidentManager) else {}
    stand_in.answer_next(status, body={}, headers=headers)


@pytest.mark.parametrize("status", [429, 500])
def test_each_is_tried_again_after_an_answer_that_says_so(status: int, stack: Stack, others: Others) -> None:
    incidents = {}
    for name in PARAMETERS:
        refuse(others[name], status)
        incidents[name] = report(stack, name)
    for name, incident in incidents.items():
        assert wait_until_paged(stack, incident)["attempts"] >= 2
        assert others[name].states(incident["id"]) == ["firing"]


@pytest.mark.parametrize("mode", ["reset", "hang"])
def test_each_has_one_record_although_no_answer_came(mode: str, stack: Stack, others: Others) -> None:
    incidents = {}
    for name in PARAMETERS:
        # It is taken, and its sender never hears of it: the connection breaks, or the time runs out.
        others[name].answer_next(mode=mode, taken=True)
        incidents[name] = report(stack, name)
    for name, incident in incidents.items():
        assert wait_until_paged(stack, incident)["attempts"] >= 2
        assert others[name].states(incident["id"]) == ["firing"]
        # ServiceNow would make another record of another POST, so it is asked first.
        assert (len(others[name].told(incident["id"])) == 1) == (name == "servicenow")


WRONG = {
    "pagerduty": "PagerDuty answered 400 Invalid routing key",
    "servicenow": "SERVICENOW_USERNAME",
    "aws_incident_manager": "check the ARN of the response plan",
    "webhook": "oncall.webhook.secret",
}


@every
def test_what_is_configured_wrong_is_loud_and_no_secret_is_shown(
    name: str, stack: Stack, others: Others
) -> None:
    shown = stack.wait_for_state(report(stack, name, "wrong"), "failed", WITHIN)
    assert WRONG[name] in shown["last_error"]
    assert others[name].told(shown["id"]) == []
    assert [secret for secret in PLANTED if secret in f"{shown}{stack.log.read_text()}"] == []


def test_credentials_that_aws_does_not_take_are_loud(stack: Stack, others: Others) -> None:
    refuse(others.aws, 403)
    shown = stack.wait_for_state(report(stack, "aws_incident_manager"), "failed", WITHIN)
    assert "ssm-incidents:StartIncident" in shown["last_error"]


def test_each_is_sent_what_a_person_needs_first(stack: Stack, others: Others) -> None:
    incident = report(stack, "pagerduty", severity="high")
    wait_until_paged(stack, incident)
    event = next(one.body for one in others.pagerduty.requests if one.body["dedup_key"] == incident["id"])
    assert (event["payload"]["summary"], event["payload"]["severity"]) == ("Disk full", "error")
    assert event["client_url"].startswith(f"{stack.base}/api/ack/{incident['id']}")
    incident = report(stack, "servicenow", severity="high")
    shown = wait_until_paged(stack, incident)
    records = others.servicenow.records.values()
    [record] = [one for one in records if one["correlation_id"] == incident["id"]]
    assert (record["short_description"], record["urgency"]) == ("Disk full", "1")
    assert any(record["number"] in entry["detail"] for entry in shown["timeline"])
    stack.act(incident, "resolve")
    wait_until_told(others.servicenow, incident, "firing", "resolved")
    assert others.servicenow.records[record["sys_id"]]["close_code"] == "Solved (Permanently)"
    incident = report(stack, "aws_incident_manager", "infra")
    wait_until_paged(stack, incident)
    assert others.aws.requests[-1].body["responsePlanArn"] == OTHER_PLAN


def test_a_drill_tries_the_one_that_it_names(stack: Stack, others: Others) -> None:
    places = [f"{name}/infra" for name in PARAMETERS]
    drills = [stack.versus("drill", "--wait", "0", "--provider", place) for place in places]
    for name, drill in zip(PARAMETERS, drills, strict=True):
        output = drill.communicate(timeout=120)[0]
        assert drill.returncode == 0, output
        incident = re.findall("incident ([0-9a-f-]{36})", output)[0]
        assert others[name].told(incident) == ["firing", "resolved"]
    unknown = stack.versus("drill", "--provider", "opsgenie/default")
    output = unknown.communicate(timeout=120)[0]
    assert (unknown.returncode, "the names are incident_io/default" in output) == (1, True), output


def test_they_stand_in_for_incident_io_one_after_the_other_until_it_is_back(
    own: Callable[..., Stack], others: Others
) -> None:
    chain = [f"{name}/default" for name in PARAMETERS]
    oncall = {**others.settings, "fallback": chain, "late_after_minutes": 0.05}
    stack = own(oncall=oncall, environ=others.environ)
    stack.simulator.answer_with(503)
    first = stack.report(0)
    wait_until_paged(stack, first)
    assert others.pagerduty.states(first["id"]) == ["firing"]
    # What refuses for good is passed over at once.
    stack.simulator.answer_with(401)
    others.pagerduty.answer_with(400)
    others.servicenow.answer_with(401)
    others.aws.answer_with(403, body={}, headers={"x-amzn-errortype": "AccessDeniedException"})
    last = stack.report(0)
    wait_until_paged(stack, last)
    assert others.receiver.states(last["id"]) == ["firing"]
    drill = stack.versus("drill", "--wait", "0")
    output = drill.communicate(timeout=120)[0]
    said = "FAILED: webhook/default paged, since incident_io/default did not accept the page."
    assert (drill.returncode, said in output) == (1, True), output
    for name in ("aws_incident_manager", "servicenow"):
        others[name].clear()
        incident = stack.report(0)
        wait_until_paged(stack, incident)
        assert others[name].states(incident["id"]) == ["firing"]
    others.pagerduty.clear()
    for incident, stand_in in ((first, others.pagerduty), (last, others.receiver)):
        stack.act(incident, "resolve")
        wait_until_told(stand_in, incident, "firing", "resolved")
    stack.simulator.clear()
    back = stack.report(0)
    wait_until_paged(stack, back)
    assert stack.simulator.alerts["source-default", back["id"]] == "firing"
    assert others.pagerduty.told(back["id"]) == []
