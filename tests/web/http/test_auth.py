"""Who may send: the intake secret to the letter, signatures right, wrong and left out, messages of SNS."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import responses
from flask.testing import FlaskClient
from pydantic import SecretStr

from app.bootstrap import Services
from app.web import create_app
from config.intake import Intake, IntakeSignatures
from tests.fakes import GATEWAY_SECRET
from tests.ingest.test_sns import (
    CERTIFICATE,
    OTHER,
    SUBSCRIBE,
    TOPIC,
    certificate,
    confirmation,
    notification,
    signed,
)

SECRET = "intake secret: 1=2&3=="
SENTRY, GRAFANA, GITHUB = "client-secret-1", "hmac-secret-2", "webhook-secret-3"
BODY = b'{"title": "Disk full"}'
GROUP = json.dumps(
    {
        "version": "1",
        "orgId": 1,
        "groupKey": "g",
        "status": "resolved",
        "state": "ok",
        "title": "x",
        "alerts": [],
    }
).encode()

Service = Callable[..., FlaskClient]


@pytest.fixture
def service(services: Services) -> Service:
    """A service with these signatures; `secret`: its intake secret."""

    def make(*, secret: str | None = None, headers: str = "", **signatures: Any) -> FlaskClient:
        changes = {
            "intake": Intake.model_validate({"secret_headers": headers}),
            "intake_secret": None if secret is None else SecretStr(secret),
            "intake_signatures": IntakeSignatures.model_validate(signatures),
        }
        client = create_app(
            replace(services, config=services.config.model_copy(update=changes))
        ).test_client()
        client.environ_base["HTTP_X_GATEWAY_SECRET"] = GATEWAY_SECRET
        return client

    return make


def hexed(secret: str, signed: bytes) -> str:
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def stamped(secret: str, body: bytes, age: float = 0.0) -> dict[str, str]:
    """The headers of a Grafana that signs a time, too."""
    stamp = str(int(time.time() - age))
    signature = hexed(secret, stamp.encode() + b":" + body)
    return {"X-Grafana-Alerting-Signature": signature, "X-Grafana-Alerting-Timestamp": stamp}


def post(
    client: FlaskClient, body: bytes = BODY, headers: dict[str, str] | None = None, query: str = ""
) -> int:
    answer = client.post(f"/api/incidents?{query}", data=body, headers=headers or {})
    if answer.status_code == 401:
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="versus"'
        stated = answer.get_json()["error"]
        assert not any(secret in stated for secret in (SECRET, SENTRY, GRAFANA, GITHUB))
    return answer.status_code


# -- the intake secret ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "secret", ["plain", SECRET, "a=b", "a,b=c", "Zm9v/+==", "with two words", ":", "%20"]
)
def test_any_secret_of_ascii_is_taken_in_each_form(service: Service, secret: str) -> None:
    client = service(secret=secret)
    basic = b64encode(f"somebody:{secret}".encode()).decode()
    assert post(client, headers={"Authorization": f"Bearer {secret}"}) == 201
    assert post(client, headers={"Authorization": f"bearer {secret}"}) == 201
    assert post(client, headers={"Authorization": f"Basic {basic}"}) == 201
    # As tools that were made for Opsgenie send theirs.
    assert post(client, headers={"Authorization": f"GenieKey {secret}"}) == 201
    assert post(client, headers={"X-Versus-Token": secret}) == 201
    answer = client.post("/api/incidents", data=BODY, query_string={"token": secret})
    assert answer.status_code == 201
    assert post(client, headers={"Authorization": f"Bearer {secret}x"}) == 401
    assert post(client, headers={"Authorization": secret}) == 401
    assert post(client) == 401


# -- signatures -------------------------------------------------------------------------------------------

RIGHT: list[Callable[[bytes], dict[str, str]]] = [
    lambda body: {"Sentry-Hook-Signature": hexed(SENTRY, body)},
    lambda body: {"Sentry-Hook-Signature": hexed(SENTRY, body).upper()},
    lambda body: {"X-Grafana-Alerting-Signature": hexed(GRAFANA, body)},
    lambda body: stamped(GRAFANA, body),
    lambda body: stamped(GRAFANA, body, age=200),
    lambda body: stamped(GRAFANA, body, age=-200),
    lambda body: {"X-Hub-Signature-256": "sha256=" + hexed(GITHUB, body)},
]
WRONG: list[Callable[[bytes], dict[str, str]]] = [
    lambda body: {"Sentry-Hook-Signature": hexed(SENTRY, body + b" ")},
    lambda body: {"Sentry-Hook-Signature": hexed(GRAFANA, body)},
    lambda body: {"Sentry-Hook-Signature": hexed(SENTRY, body)[:-1]},
    lambda body: {"Sentry-Hook-Signature": ""},
    lambda body: {"Sentry-Hook-Signature": "\xff"},
    lambda body: {"X-Grafana-Alerting-Signature": hexed("", body)},
    lambda body: stamped(GRAFANA, body, age=400),
    lambda body: stamped(GRAFANA, body, age=-400),
    lambda body: {**stamped(GRAFANA, body), "X-Grafana-Alerting-Timestamp": str(int(time.time()) - 30)},
    lambda body: {**stamped(GRAFANA, body), "X-Grafana-Alerting-Timestamp": "now"},
    lambda body: {**stamped(GRAFANA, body), "X-Grafana-Alerting-Timestamp": "\xb2"},
    lambda body: {k: v for k, v in stamped(GRAFANA, body).items() if not k.endswith("Timestamp")},
    lambda body: {"X-Hub-Signature-256": hexed(GITHUB, body)},
    lambda body: {"X-Hub-Signature-256": "sha1=" + hexed(GITHUB, body)},
    lambda body: {
        "X-Hub-Signature-256": "sha256=" + hexed(GITHUB, body),
        "Sentry-Hook-Signature": hexed(SENTRY, b"another"),
    },
]


@pytest.mark.parametrize("secret", [None, SECRET])
@pytest.mark.parametrize("sign", RIGHT)
def test_a_right_signature_needs_no_token(
    service: Service, sign: Callable[[bytes], dict[str, str]], secret: str | None
) -> None:
    client = service(secret=secret, sentry=SENTRY, grafana=GRAFANA, github=GITHUB)
    assert post(client, headers=sign(BODY)) == 201


@pytest.mark.parametrize("token", [{}, {"X-Versus-Token": SECRET}])
@pytest.mark.parametrize("secret", [None, SECRET])
@pytest.mark.parametrize("sign", WRONG)
def test_a_wrong_signature_is_refused_whatever_else_comes(
    service: Service, sign: Callable[[bytes], dict[str, str]], secret: str | None, token: dict[str, str]
) -> None:
    client = service(secret=secret, sentry=SENTRY, grafana=GRAFANA, github=GITHUB)
    assert post(client, headers={**sign(BODY), **token}) == 401
    [entry] = client.get("/api/rejected").get_json()["rejected"]
    assert entry["body"] == BODY.decode()


@pytest.mark.parametrize("sign", [*RIGHT, *WRONG])
def test_a_signature_that_nobody_configured_means_nothing(
    service: Service, sign: Callable[[bytes], dict[str, str]]
) -> None:
    assert post(service(), headers=sign(BODY)) == 201
    assert post(service(secret=SECRET), headers=sign(BODY)) == 401


def test_the_signature_is_that_of_the_bytes_as_they_are_sent(service: Service) -> None:
    client = service(sentry=SENTRY)
    spaced = b'{ "title" :  "Disk full" }\n'
    assert post(client, spaced, {"Sentry-Hook-Signature": hexed(SENTRY, spaced)}) == 201


def test_a_sender_that_signs_may_not_leave_the_signature_out(service: Service) -> None:
    """An attacker would do just that, to resolve what is on fire."""
    client = service(grafana=GRAFANA)
    assert post(client, GROUP) == 401
    assert post(client, b"[" + GROUP + b"]") == 401
    assert post(client, b'{"title": "x"}' + GROUP) == 401
    assert post(client, GROUP, stamped(GRAFANA, GROUP)) == 200
    assert post(client, BODY) == 201


def test_the_token_stands_in_for_a_signature_that_is_left_out(service: Service) -> None:
    client = service(secret=SECRET, grafana=GRAFANA)
    assert post(client, GROUP) == 401
    assert post(client, GROUP, {"X-Versus-Token": SECRET}) == 200


@pytest.mark.parametrize("broken", [b"", b"{", b"[]"])
def test_who_may_not_come_in_is_told_nothing_else(service: Service, broken: bytes) -> None:
    assert post(service(secret=SECRET, sentry=SENTRY), broken) == 401


# -- SNS --------------------------------------------------------------------------------------------------


def sns(message: dict[str, Any]) -> dict[str, Any]:
    """A request of SNS."""
    headers = {"x-amz-sns-message-type": message["Type"], "Content-Type": "text/plain; charset=UTF-8"}
    return {"body": json.dumps(message).encode(), "headers": headers}


@pytest.fixture
def aws() -> Any:
    """SNS's hosts."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.get(CERTIFICATE, body=certificate())
        mock.get(SUBSCRIBE, body="confirmed")
        yield mock


@pytest.mark.parametrize("secret", [None, SECRET])
def test_a_signed_message_of_an_allowed_topic_needs_no_token(
    service: Service, aws: responses.RequestsMock, secret: str | None
) -> None:
    client = service(secret=secret, sns_topics=TOPIC)
    assert post(client, **sns(signed(notification()))) == 201
    assert post(client, **sns(signed(notification()) | {"Message": "forged"})) == 401
    assert post(client, **sns(signed(notification(TopicArn=OTHER)))) == 401


def test_messages_of_sns_in_an_array_are_not_signed_as_a_whole(
    service: Service, aws: responses.RequestsMock
) -> None:
    request = sns(signed(notification()))
    assert (
        post(service(secret=SECRET, sns_topics=TOPIC), b"[" + request["body"] + b"]", request["headers"])
        == 401
    )


def test_a_header_alone_makes_nobody_sns(service: Service) -> None:
    headers = {"x-amz-sns-message-type": "Notification"}
    assert post(service(secret=SECRET, sns_topics=TOPIC), BODY, headers) == 401


def test_sns_must_send_again_what_can_not_be_checked_now(
    service: Service, aws: responses.RequestsMock
) -> None:
    aws.replace("GET", CERTIFICATE, status=503)
    client = service(secret=SECRET, sns_topics=TOPIC)
    answer = client.post(
        "/api/incidents",
        data=json.dumps(signed(notification())),
        headers={"x-amz-sns-message-type": "Notification"},
    )
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    assert client.get("/api/rejected").get_json()["rejected"] == []


def test_a_subscription_is_confirmed_once_its_webhook_was_let_in(
    service: Service, aws: responses.RequestsMock, logged: Callable[[], str]
) -> None:
    message = signed(confirmation())
    assert post(service(secret=SECRET), **sns(message)) == 401
    assert len(aws.calls) == 0
    assert post(service(secret=SECRET), query="token=" + SECRET.replace("&", "%26"), **sns(message)) < 300
    assert [call.request.url for call in aws.calls] == [CERTIFICATE, SUBSCRIBE]
    assert "event=subscription_confirmed" in logged()
    assert message["Token"] not in logged()


def test_a_subscription_that_nobody_signed_is_taken_and_not_confirmed(
    service: Service, aws: responses.RequestsMock, logged: Callable[[], str]
) -> None:
    assert post(service(), **sns(confirmation(SigningCertURL=CERTIFICATE, SignatureVersion="1"))) < 300
    assert SUBSCRIBE not in [call.request.url for call in aws.calls]
    assert "event=subscription_not_confirmed" in logged()


@pytest.mark.parametrize("kind", ["Notification", "UnsubscribeConfirmation", "Other"])
def test_no_other_message_is_confirmed(service: Service, aws: responses.RequestsMock, kind: str) -> None:
    assert post(service(), **sns(signed(confirmation()) | {"Type": kind})) < 300
    assert len(aws.calls) == 0


@pytest.mark.parametrize("value", [SECRET, f"Bearer {SECRET}"])
@pytest.mark.parametrize("name", ["X-Gitlab-Token", "cf-webhook-auth", "X-Versus-Token"])
def test_the_secret_may_come_in_a_header_that_the_configuration_names(
    service: Service, name: str, value: str
) -> None:
    client = service(secret=SECRET, headers="x-gitlab-token, CF-Webhook-Auth")
    assert client.post("/api/incidents", data=BODY, headers={name: value}).status_code == 201
    assert client.post("/api/incidents", data=BODY, headers={name: f"{value}x"}).status_code == 401


def test_a_header_that_is_not_named_proves_nothing(service: Service) -> None:
    client = service(secret=SECRET)
    assert client.post("/api/incidents", data=BODY, headers={"X-Gitlab-Token": SECRET}).status_code == 401


def test_a_wrong_secret_in_such_a_header_is_kept_nowhere(service: Service) -> None:
    client = service(secret=SECRET, headers="X-Sender")
    client.post("/api/incidents", data=BODY, headers={"X-Sender": "an-old-word", "X-Other": "seen"})
    kept = client.get("/api/rejected").text
    assert "seen" in kept
    assert "an-old-word" not in kept
