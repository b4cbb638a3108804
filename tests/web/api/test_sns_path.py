"""`queue.sns`, as the Go edition has it: SNS posts to a path of its own, which is the intake."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import responses
from flask.testing import FlaskClient

from app.bootstrap import Services
from app.web import create_app
from config import load_config
from config.intake import OWN_PATHS
from tests.fakes import environment
from tests.ingest.test_sns import CERTIFICATE, OTHER, TOPIC, certificate, notification, signed

FILE = """
queue:
  enable: true
  sns:
    enable: true
    https_endpoint_subscription_path: {path}
    https_endpoint_subscription: https://versus.example.com
    topic_arn: ${{SNS_TOPIC_ARN}}
"""


@pytest.fixture
def aws() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.get(CERTIFICATE, body=certificate())
        yield mock


def client(services: Services, redis_url: str, file: Path, path: str) -> FlaskClient:
    """A service with this file of the Go edition."""
    file.write_text(FILE.format(path=path))
    config = load_config(file, environment(redis_url, SNS_TOPIC_ARN=TOPIC, INTAKE_SECRET="intake-secret"))
    return create_app(replace(services, config=config)).test_client()


@pytest.mark.parametrize("path", ["/sns", "/hooks/aws.sns"])
def test_a_signed_message_of_the_topic_becomes_an_incident(
    path: str, services: Services, redis_url: str, tmp_path: Path, aws: responses.RequestsMock
) -> None:
    service = client(services, redis_url, tmp_path / "config.yaml", path)

    def post(message: dict[str, str]) -> int:
        headers = {"x-amz-sns-message-type": message["Type"], "Content-Type": "text/plain; charset=UTF-8"}
        return service.post(path, data=json.dumps(message), headers=headers).status_code

    assert post(signed(notification())) == 201
    assert post(signed(notification(TopicArn=OTHER))) == 401
    assert service.post(path, json={"title": "x"}).status_code == 401


def test_without_it_there_is_no_such_path(services: Services) -> None:
    assert create_app(services).test_client().post("/sns", json={"title": "x"}).status_code == 404


def test_the_path_can_be_none_that_web_serves_anyway(services: Services) -> None:
    served = {rule.rule.split("/")[1] for rule in create_app(services).url_map.iter_rules()}
    assert served - {""} == OWN_PATHS
