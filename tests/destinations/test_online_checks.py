"""What other providers can be asked without an alert coming of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from app.destinations.aws_incident_manager import AwsIncidentManager
from app.destinations.pagerduty import PagerDuty
from app.destinations.servicenow import ServiceNow
from app.destinations.webhook import Webhook
from config import Config, load_config
from local import other_providers
from tests.destinations.conftest import soon

PLAN = "arn:aws:ssm-incidents::111122223333:response-plan/default"


def configured(tmp_path: Path, **oncall: Any) -> Config:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"oncall": oncall}))
    return load_config(path, {})


@pytest.mark.parametrize(("key", "verdict"), [("right", "delivered"), ("wrong", "misconfigured")])
def test_pagerduty_says_whether_it_knows_the_key(tmp_path: Path, key: str, verdict: str) -> None:
    with other_providers.PagerDuty({"right": set()}) as stand_in:
        settings = {"routing_key": key, "base_url": stand_in.base_url}
        outcome = PagerDuty(configured(tmp_path, pagerduty=settings)).check("default", deadline=soon())
        assert outcome is not None
        assert (outcome.verdict, stand_in.alerts) == (verdict, {})


@pytest.mark.parametrize(("password", "verdict"), [("right", "delivered"), ("wrong", "misconfigured")])
def test_servicenow_says_whether_it_knows_the_user(tmp_path: Path, password: str, verdict: str) -> None:
    with other_providers.ServiceNow("versus:right") as stand_in:
        settings = {"instance_url": stand_in.base_url, "username": "versus", "password": password}
        outcome = ServiceNow(configured(tmp_path, servicenow=settings)).check("default", deadline=soon())
        assert outcome is not None
        assert (outcome.verdict, stand_in.records) == (verdict, {})


@pytest.mark.parametrize(("plan", "verdict"), [(PLAN, "delivered"), (PLAN + "-gone", "misconfigured")])
def test_aws_says_whether_it_knows_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plan: str, verdict: str
) -> None:
    with other_providers.IncidentManager(PLAN) as stand_in:
        monkeypatch.setenv("AWS_ENDPOINT_URL", stand_in.base_url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-aws-secret")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        settings = {"response_plan_arn": plan}
        config = configured(tmp_path, aws_incident_manager=settings)
        outcome = AwsIncidentManager(config).check("default", deadline=soon(9))
        assert outcome is not None
        assert (outcome.verdict, stand_in.started) == (verdict, {})


def test_a_webhook_is_not_asked(tmp_path: Path) -> None:
    with other_providers.Receiver() as stand_in:
        webhook = Webhook(configured(tmp_path, webhook={"url": f"{stand_in.base_url}/hook"}))
        assert webhook.check("default", deadline=soon()) is None
        assert stand_in.requests == []
