"""Story: other providers page as incident.io does: once, tried again, until they hear of the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from local.other_providers import IncidentManager, PagerDuty, Receiver, ServiceNow
from tests.stories.stack import Stack, wait_until

KEY, OTHER_KEY = "routing-key-1", "routing-key-2"
SECRET = "a-webhook-secret"
Make = Callable[..., Stack]


@pytest.fixture
def pagerduty() -> Iterator[PagerDuty]:
    with PagerDuty({KEY: set(), OTHER_KEY: set()}) as stand_in:
        yield stand_in


@pytest.fixture
def servicenow() -> Iterator[ServiceNow]:
    with ServiceNow("versus:pw", "infra:pw-2") as stand_in:
        yield stand_in


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(SECRET) as stand_in:
        yield stand_in


def with_pagerduty(stand_in: PagerDuty, key: str = KEY) -> dict[str, Any]:
    return {
        "routing_key": key,
        "other_routing_keys": {"infra": OTHER_KEY},
        "base_url": stand_in.base_url,
        "max_per_minute": 0,
    }


def with_servicenow(stand_in: ServiceNow, password: str = "pw") -> dict[str, Any]:
    infra = {"id": stand_in.base_url, "username": "infra", "password": "pw-2"}
    return {
        "instance_url": stand_in.base_url,
        "username": "versus",
        "password": password,
        "other_instance_urls": {"infra": infra},
        "max_per_minute": 0,
    }


def record_of(stand_in: ServiceNow, incident: Mapping[str, Any]) -> dict[str, Any]:
    """The only record of the incident."""
    [record] = [one for one in stand_in.records.values() if one["correlation_id"] == incident["id"]]
    return record


def test_pagerduty_is_paged_once_hears_of_the_acknowledgement_and_of_the_end(
    own: Make, pagerduty: PagerDuty
) -> None:
    stack = own(oncall={"provider": "pagerduty", "pagerduty": with_pagerduty(pagerduty)})
    acknowledged = stack.report(30)
    assert stack.acknowledge(acknowledged).status_code == 200
    incident = stack.report(0, body={"severity": "high"})
    stack.wait_for_state(incident, "escalated")
    assert stack.acknowledge(incident).status_code == 200
    wait_until(lambda: pagerduty.actions(incident["id"]) == ["trigger", "acknowledge"], "it hears of it")
    stack.act(incident, "resolve")
    done = ["trigger", "acknowledge", "resolve"]
    wait_until(lambda: pagerduty.actions(incident["id"]) == done, "and of the end")
    first = next(request.body for request in pagerduty.requests)
    assert (first["payload"]["summary"], first["payload"]["severity"]) == ("Disk full", "error")
    assert first["client_url"].startswith(f"{stack.base}/api/ack/{incident['id']}")
    assert pagerduty.actions(acknowledged["id"]) == []
    assert stack.simulator.requests == []


def test_a_request_picks_another_routing_key_and_a_wrong_name_is_refused(
    own: Make, pagerduty: PagerDuty
) -> None:
    stack = own(oncall={"provider": "pagerduty", "pagerduty": with_pagerduty(pagerduty)})
    incident = stack.report(0, pagerduty_other_routing_key="INFRA")
    stack.wait_for_state(incident, "escalated")
    assert pagerduty.alerts == {(OTHER_KEY, incident["id"]): "firing"}
    assert stack.show(incident)["alert_source"] == "pagerduty/infra"
    refused = stack.post({"title": "x"}, pagerduty_other_routing_key="nobody")
    assert (refused.status_code, "default, infra" in refused.json()["error"]) == (400, True)
    both = stack.post({"title": "x"}, pagerduty_other_routing_key="infra", servicenow_other_instance="x")
    assert (both.status_code, "exclude each other" in both.json()["error"]) == (400, True)


@pytest.mark.parametrize("trouble", [{"status": 429}, {"status": 500}, {"mode": "reset", "taken": True}])
def test_pagerduty_gets_the_same_key_again_after_trouble(
    own: Make, pagerduty: PagerDuty, trouble: dict[str, Any]
) -> None:
    stack = own(oncall={"provider": "pagerduty", "pagerduty": with_pagerduty(pagerduty)})
    pagerduty.answer_next(**trouble)
    incident = stack.report(0)
    stack.wait_for_state(incident, "escalated")
    assert [request.body["dedup_key"] for request in pagerduty.requests] == [incident["id"]] * 2
    assert pagerduty.alerts == {(KEY, incident["id"]): "firing"}


def test_a_wrong_routing_key_is_loud_and_nothing_of_it_is_shown(own: Make, pagerduty: PagerDuty) -> None:
    wrong = with_pagerduty(pagerduty, "planted-wrong-key")
    stack = own(oncall={"provider": "pagerduty", "pagerduty": wrong})
    incident = stack.report(0)
    shown = stack.wait_for_state(incident, "failed")
    assert "PagerDuty answered 400" in shown["last_error"]
    assert "Invalid routing key" in shown["last_error"]
    assert "planted-wrong-key" not in f"{shown}{stack.log.read_text()}"


def test_servicenow_has_one_record_whatever_happens_and_it_is_resolved(
    own: Make, servicenow: ServiceNow
) -> None:
    stack = own(oncall={"provider": "servicenow", "servicenow": with_servicenow(servicenow)})
    # The record is made, but no answer comes: a second POST would make another one.
    servicenow.answer_next(mode="reset", taken=True)
    incident = stack.report(0)
    shown = stack.wait_for_state(incident, "escalated")
    record = record_of(servicenow, incident)
    assert (record["short_description"], record["urgency"]) == ("Disk full", "2")
    assert any(record["number"] in entry["detail"] for entry in shown["timeline"])
    assert stack.acknowledge(incident).status_code == 200
    stack.act(incident, "resolve")
    wait_until(lambda: record_of(servicenow, incident).get("state") == "6", "the record is resolved")
    assert record_of(servicenow, incident)["close_code"] == "Solved (Permanently)"


def test_servicenow_is_tried_again_and_a_wrong_password_is_loud(own: Make, servicenow: ServiceNow) -> None:
    stack = own(oncall={"provider": "servicenow", "servicenow": with_servicenow(servicenow)})
    servicenow.answer_next(503)
    incident = stack.report(0, servicenow_other_instance="infra")
    stack.wait_for_state(incident, "escalated")
    record_of(servicenow, incident)
    servicenow.answer_with(401)
    shown = stack.wait_for_state(stack.report(0), "failed")
    assert "SERVICENOW_USERNAME" in shown["last_error"]


@pytest.mark.parametrize("trouble", [{"status": 429}, {"mode": "reset", "taken": True}])
def test_servicenow_has_no_second_record_after_trouble_and_infra_has_its_own(
    own: Make, servicenow: ServiceNow, trouble: dict[str, Any]
) -> None:
    stack = own(oncall={"provider": "servicenow", "servicenow": with_servicenow(servicenow)})
    servicenow.answer_next(**trouble)
    incident = stack.report(0)
    stack.wait_for_state(incident, "escalated")
    record_of(servicenow, incident)
    # A late acknowledgement is nothing that ServiceNow would be told.
    asked = len(servicenow.requests)
    assert stack.acknowledge(incident).status_code == 200
    other = stack.report(0, servicenow_other_instance="infra")
    stack.wait_for_state(other, "escalated")
    record_of(servicenow, other)
    changed = [one.method for one in servicenow.requests[asked:] if one.method == "PATCH"]
    assert changed == []


PLAN = "arn:aws:ssm-incidents::111122223333:response-plan/default"
OTHER_PLAN = "arn:aws:ssm-incidents::111122223333:response-plan/infra"


@pytest.fixture
def aws() -> Iterator[IncidentManager]:
    with IncidentManager(PLAN, OTHER_PLAN) as stand_in:
        yield stand_in


def aws_variables(stand_in: IncidentManager) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": stand_in.base_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "planted-aws-secret",
        "AWS_DEFAULT_REGION": "eu-central-1",
    }


def with_aws(plan: str = PLAN) -> dict[str, Any]:
    return {"response_plan_arn": plan, "other_response_plan_arns": {"infra": OTHER_PLAN}}


def status_of(stand_in: IncidentManager, incident: Mapping[str, Any]) -> list[str]:
    return [status for arn, status in stand_in.started.items() if arn.endswith(incident["id"])]


def test_aws_starts_one_incident_whatever_happens_and_resolves_it(own: Make, aws: IncidentManager) -> None:
    oncall = {"provider": "aws_incident_manager", "aws_incident_manager": with_aws()}
    stack = own(oncall=oncall, environ=aws_variables(aws))
    throttled: dict[str, Any] = {"headers": {"x-amzn-errortype": "ThrottlingException"}, "body": {}}
    aws.answer_next(429, **throttled)
    aws.answer_next(500, body={}, headers={"x-amzn-errortype": "InternalServerException"})
    # It is started, but no answer comes.
    aws.answer_next(mode="reset", taken=True)
    incident = stack.report(0)
    stack.wait_for_state(incident, "escalated")
    assert (status_of(aws, incident), len(aws.started)) == (["OPEN"], 1)
    assert stack.acknowledge(incident).status_code == 200
    stack.act(incident, "resolve")
    wait_until(lambda: status_of(aws, incident) == ["RESOLVED"], "it is resolved")
    other = stack.report(0, awsim_other_response_plan="infra")
    stack.wait_for_state(other, "escalated")
    plans = [one.body["responsePlanArn"] for one in aws.requests if one.path == "/startIncident"]
    assert plans[-1] == OTHER_PLAN
    aws.answer_with(403, body={}, headers={"x-amzn-errortype": "AccessDeniedException"})
    shown = stack.wait_for_state(stack.report(0), "failed")
    assert "ssm-incidents:StartIncident" in shown["last_error"]
    assert "planted-aws-secret" not in f"{shown}{stack.log.read_text()}"


def test_every_other_provider_stands_in_for_incident_io(
    own: Make, servicenow: ServiceNow, receiver: Receiver, aws: IncidentManager
) -> None:
    hook = {"url": f"{receiver.base_url}/hook", "secret": SECRET, "max_per_minute": 0}
    oncall = {
        "late_after_minutes": 0.05,
        "fallback": ["servicenow/default", "aws_incident_manager/default", "webhook/default"],
        "servicenow": with_servicenow(servicenow),
        "aws_incident_manager": with_aws(),
        "webhook": hook,
    }
    stack = own(oncall=oncall, environ=aws_variables(aws))
    stack.simulator.answer_with(401)
    servicenow.answer_with(401)
    aws.answer_with(403, body={}, headers={"x-amzn-errortype": "AccessDeniedException"})
    first = stack.report(0)
    stack.wait_for_state(first, "escalated")
    assert [one.body["incident"]["id"] for one in receiver.requests if one.accepted] == [first["id"]]
    aws.clear()
    second = stack.report(0)
    stack.wait_for_state(second, "escalated")
    assert status_of(aws, second) == ["OPEN"]
    servicenow.clear()
    third = stack.report(0)
    stack.wait_for_state(third, "escalated")
    record_of(servicenow, third)
    stack.simulator.clear()
    back = stack.report(0)
    stack.wait_for_state(back, "escalated")
    assert stack.simulator.alerts["source-default", back["id"]] == "firing"
    stack.act(third, "resolve")
    wait_until(lambda: record_of(servicenow, third).get("state") == "6", "the record is resolved")


def test_a_webhook_is_signed_and_hears_of_everything(own: Make, receiver: Receiver) -> None:
    webhook = {"url": f"{receiver.base_url}/hook?token=planted-token", "secret": SECRET, "max_per_minute": 0}
    stack = own(oncall={"provider": "webhook", "webhook": webhook})
    receiver.answer_next(503)
    incident = stack.report(0)
    stack.wait_for_state(incident, "escalated")
    stack.acknowledge(incident)
    stack.act(incident, "resolve")

    def events() -> list[str]:
        taken = [request.body for request in list(receiver.requests) if request.accepted]
        return [body["event"] for body in taken if body["incident"]["id"] == incident["id"]]

    wait_until(lambda: events() == ["firing", "acknowledged", "resolved"], f"every event: {events()}")
    assert "planted-token" not in f"{stack.show(incident)}{stack.log.read_text()}"


def test_pagerduty_stands_in_for_incident_io_until_that_is_back(own: Make, pagerduty: PagerDuty) -> None:
    oncall = {
        "late_after_minutes": 0.05,
        "fallback": ["pagerduty/default"],
        "pagerduty": with_pagerduty(pagerduty),
    }
    stack = own(oncall=oncall)
    stack.simulator.answer_with(503)
    incident = stack.report(0)
    stack.wait_for_state(incident, "escalated")
    assert pagerduty.alerts == {(KEY, incident["id"]): "firing"}
    stack.simulator.clear()
    stack.act(incident, "resolve")
    wait_until(
        lambda: pagerduty.alerts[KEY, incident["id"]] == "resolved", "the fallback's alert is resolved"
    )
    pagerduty.answer_with(503)
    back = stack.report(0)
    stack.wait_for_state(back, "escalated")
    assert stack.simulator.alerts["source-default", back["id"]] == "firing"
