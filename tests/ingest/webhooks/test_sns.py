"""Envelopes of Amazon SNS, and the CloudWatch alarms in them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from app.domain.alert import Effect
from app.ingest.webhooks import read
from tests.ingest.webhooks.samples import SAMPLES, alert_of

Body = dict[str, Any]

ALARM = json.loads(SAMPLES["cloudwatch_01_alarm"]["body"]["Message"])
ARN = ALARM["AlarmArn"]


def envelope(message: object, **fields: object) -> Body:
    wrapped = message if isinstance(message, str) else json.dumps(message)
    return {**SAMPLES["sns_07_plain_text"]["body"], "Message": wrapped, **fields}


def test_a_message_is_read_as_a_body_of_its_own() -> None:
    for name in ("alertmanager_01_firing", "pagerduty_03_full", "generic_01_full"):
        # The envelope alone says when it was sent.
        assert replace(read(envelope(SAMPLES[name]["body"])), said_at=None) == alert_of(name)


def test_with_raw_delivery_the_alarm_is_the_body() -> None:
    assert read(ALARM) == alert_of("cloudwatch_01_alarm")


def test_an_envelope_is_opened_once_and_not_again_inside() -> None:
    alert = read(envelope(envelope(ALARM, Subject="inner")))
    assert (alert.source, alert.title, alert.identity) == ("sns", "inner", None)


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({}, "Backup failed"),
        ({"Subject": None}, "Disk of build-7 is full"),
        ({"Subject": " ", "Message": "\n\n[1]\n"}, "[1]"),
        ({"Subject": None, "Message": '{"cut": '}, '{"cut":'),
        ({"Subject": None, "Message": "[" * 5000}, "[" * 254 + "…"),
        ({"Subject": None, "Message": '{"a":' * 5000}, ('{"a":' * 51)[:254] + "…"),
        ({"Subject": None, "Message": None}, "Incident from sns"),
        ({"Subject": 5, "Message": {"title": "x"}}, "x"),
    ],
)
def test_anything_but_an_object_is_plain_text(changes: Body, title: str) -> None:
    alert = read({**SAMPLES["sns_07_plain_text"]["body"], **changes})
    assert (alert.source, alert.heading, alert.effect) == ("sns", title, Effect.FIRING)


@pytest.mark.parametrize("kind", ["SubscriptionConfirmation", "UnsubscribeConfirmation"])
@pytest.mark.parametrize("message", ["text", json.dumps(ALARM)])
def test_a_question_about_the_subscription_is_a_note_without_what_confirms_it(
    kind: str, message: str
) -> None:
    sample = SAMPLES["cloudwatch_06_subscription_confirmation"]["body"]
    alert = read({**sample, "Type": kind, "Message": message})
    assert (alert.source, alert.effect, alert.identity) == ("sns", Effect.NOTE, None)
    assert sample["TopicArn"] in alert.heading
    assert sample["Token"] not in repr(alert)


@pytest.mark.parametrize("missing", ["Type", "MessageId", "TopicArn"])
def test_what_is_no_envelope_is_read_by_the_general_rules(missing: str) -> None:
    alert = read({**SAMPLES["sns_07_plain_text"]["body"], missing: None})
    assert (alert.source, alert.title) == ("generic", "Backup failed")


def test_secrets_in_a_message_that_is_not_opened_are_not_told() -> None:
    for message in ([{"routing_key": "hunter2"}], envelope({"Token": "hunter2"})):
        assert "hunter2" not in repr(read(envelope(message, Subject=None)))


# -- CloudWatch -------------------------------------------------------------------------------------------

EVENT: Body = {
    "detail-type": "CloudWatch Alarm State Change",
    "resources": [ARN],
    "detail": {
        "alarmName": "web-cpu-high",
        "state": {
            "value": "ALARM",
            "reason": "Threshold Crossed",
            "timestamp": "2026-03-04T10:15:31.850+0000",
        },
        "configuration": {"description": "CPU of the web tier"},
    },
}


def test_an_alarm_is_the_same_from_eventbridge_and_from_sns() -> None:
    event, alarm = read(EVENT), read(ALARM)
    assert (event.source, event.title, event.started_at) == (alarm.source, alarm.title, alarm.started_at)
    assert event.identity == alarm.identity is not None
    assert "Threshold Crossed" in event.description


@pytest.mark.parametrize(
    ("value", "effect"),
    [
        ("OK", "resolved"),
        ("ALARM", "firing"),
        ("INSUFFICIENT_DATA", "firing"),
        (None, "firing"),
        ({}, "firing"),
    ],
)
def test_only_ok_resolves(value: object, effect: str) -> None:
    assert read({**ALARM, "NewStateValue": value or "?"}).effect == effect
    state = {**EVENT["detail"]["state"], "value": value}
    assert read({**EVENT, "detail": {**EVENT["detail"], "state": state}}).effect == effect


def test_an_alarm_without_its_arn_is_known_by_account_region_and_name() -> None:
    without = {**ALARM, "AlarmArn": None}
    assert read(without).identity == read({**without, "NewStateValue": "OK"}).identity is not None
    for name in ("AWSAccountId", "Region", "AlarmName"):
        assert read({**without, name: "another"}).identity != read(without).identity
    assert read({**without, "Region": None}).identity is None


def test_each_contributor_to_an_alarm_is_a_problem_of_its_own() -> None:
    contributor = {**ALARM, "AlarmContributorId": "c1"}
    assert (
        len({read(one).identity for one in (ALARM, contributor, {**ALARM, "AlarmContributorId": "c2"})}) == 3
    )
    event = {**EVENT, "detail-type": "CloudWatch Alarm Contributor State Change"}
    event["detail"] = {
        **EVENT["detail"],
        "alarmContributor": {"id": "c1", "attributes": {"TableName": "orders"}},
    }
    assert read(event).identity == read(contributor).identity
    reported = {**contributor, "AlarmContributorAttributes": {"TableName": "orders"}}
    assert read(event).labels["TableName"] == read(reported).labels["TableName"] == "orders"


@pytest.mark.parametrize(
    ("names", "service"),
    [
        (["InstanceId", "AutoScalingGroupName", "ServiceName"], "of ServiceName"),
        (["ClusterName", "QueueName"], "of QueueName"),
        (["InstanceId", "LoadBalancer"], "of LoadBalancer"),
        (["ImageId"], None),
        ([], None),
    ],
)
def test_the_service_is_the_dimension_that_says_most(names: list[str], service: str | None) -> None:
    dimensions = [{"name": name, "value": f"of {name}"} for name in names]
    assert read({**ALARM, "Trigger": {"Dimensions": dimensions}}).service == service


def test_names_of_dimensions_are_labels() -> None:
    assert read(ALARM).labels == {"AutoScalingGroupName": "web-asg"}
