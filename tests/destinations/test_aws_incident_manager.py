"""AWS Incident Manager, over HTTP with a stand-in: one incident for each of ours, whatever happens."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.destinations.aws_incident_manager import AwsIncidentManager
from app.destinations.base import PagerEvent
from app.domain.delivery import Outcome
from config import ConfigError, load_config
from local.other_providers import IncidentManager
from tests.destinations.conftest import an_event

PLAN = "arn:aws:ssm-incidents::111122223333:response-plan/default"
OTHER = "arn:aws:ssm-incidents::111122223333:response-plan/infra"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[IncidentManager]:
    with IncidentManager(PLAN, OTHER) as stand_in:
        monkeypatch.setenv("AWS_ENDPOINT_URL", stand_in.base_url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-aws-secret")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        yield stand_in


def provider(tmp_path: Path, plan: str = PLAN) -> AwsIncidentManager:
    path = tmp_path / "config.yaml"
    path.write_text("oncall: {enable: true, provider: aws_incident_manager}")
    variables = {
        "AWS_INCIDENT_MANAGER_RESPONSE_PLAN_ARN": plan,
        "AWS_INCIDENT_MANAGER_OTHER_RESPONSE_PLAN_ARN_INFRA": OTHER,
    }
    return AwsIncidentManager(load_config(path, variables))


def sent(tmp_path: Path, event: PagerEvent, seconds: float = 10, plan: str = PLAN) -> Outcome:
    return provider(tmp_path, plan).send(event, deadline=time.monotonic() + seconds)


def test_an_incident_is_started_and_resolved_by_its_arn(aws: IncidentManager, tmp_path: Path) -> None:
    event = an_event(title="t" * 1000, description="d" * 100_000, severity="critical")
    outcome = sent(tmp_path, event)
    assert (outcome.verdict, list(aws.started.values())) == ("delivered", ["OPEN"])
    assert outcome.reference in aws.started
    assert aws.requests[0].body["impact"] == 1
    ended = sent(tmp_path, replace(event, kind="resolved", reference=outcome.reference))
    assert (ended.verdict, list(aws.started.values())) == ("delivered", ["RESOLVED"])


def test_a_second_attempt_after_silence_starts_no_second_one(aws: IncidentManager, tmp_path: Path) -> None:
    aws.answer_next(mode="reset", taken=True)
    event = an_event()
    first, second = sent(tmp_path, event), sent(tmp_path, event)
    assert (first.verdict, first.uncertain, second.verdict) == ("try_again", True, "delivered")
    assert len(aws.started) == 1


def test_a_request_may_name_another_plan(aws: IncidentManager, tmp_path: Path) -> None:
    assert sent(tmp_path, an_event("infra")).delivered
    assert aws.requests[0].body["responsePlanArn"] == OTHER


@pytest.mark.parametrize(
    ("code", "verdict", "back_off_all"),
    [
        ("ThrottlingException", "try_again", True),
        ("InternalServerException", "try_again", False),
        ("AccessDeniedException", "misconfigured", False),
        ("ValidationException", "misconfigured", False),
    ],
)
def test_every_refusal_has_its_verdict(
    aws: IncidentManager, tmp_path: Path, code: str, verdict: str, back_off_all: bool
) -> None:
    aws.answer_next(400, body={"message": "no"}, headers={"x-amzn-errortype": code})
    outcome = sent(tmp_path, an_event())
    assert (outcome.verdict, outcome.back_off_all) == (verdict, back_off_all)
    assert code in outcome.detail


def test_a_plan_that_is_not_there_says_what_to_check(aws: IncidentManager, tmp_path: Path) -> None:
    outcome = sent(tmp_path, an_event(), plan=PLAN + "-gone")
    assert "check the ARN of the response plan" in outcome.detail
    assert "planted-aws-secret" not in outcome.detail


def test_a_call_that_hangs_ends_at_its_deadline(aws: IncidentManager, tmp_path: Path) -> None:
    aws.answer_with(mode="hang")
    began = time.monotonic()
    outcome = sent(tmp_path, an_event(), seconds=1)
    assert (outcome.verdict, outcome.uncertain) == ("try_again", True)
    assert time.monotonic() - began < 20


def test_without_credentials_it_says_so(
    aws: IncidentManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    # What arrives at the stand-in says nothing: it may be the attempt of another test, whose time ran out.
    outcome = sent(tmp_path, an_event())
    assert outcome.verdict == "misconfigured"
    assert outcome.detail.startswith("AWS was not asked: ")
    assert "credentials" in outcome.detail


def test_without_boto3_it_is_a_wrong_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("config.providers.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'versus-incident\[aws\]'"):
        provider(tmp_path)
