"""Messages of Amazon SNS: which signature is right, what is fetched, and above all what is not."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import responses
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from app.ingest.sns import CERTIFICATES_KEPT, FETCHES_AT_ONCE, Sns, VerificationUnavailable
from app.ingest.webhooks.sns import is_message

TOPIC = "arn:aws:sns:eu-central-1:123456789012:oncall"
OTHER = "arn:aws:sns:eu-central-1:999999999999:somebody-else"
HOST = "https://sns.eu-central-1.amazonaws.com/"
CERTIFICATE = HOST + "SimpleNotificationService-9c6465fa7f48f5cacd23014631ec1136.pem"
SUBSCRIBE = f"{HOST}?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37fb"

KEY = rsa.generate_private_key(65537, 2048)


def certificate(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey = KEY, *, since: int = -1, until: int = 1
) -> bytes:
    """A certificate in PEM, good from and until so many days from now."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now + timedelta(days=since)).not_valid_after(
        now + timedelta(days=until)
    )
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


def signed(message: dict[str, Any], version: str = "1", key: rsa.RSAPrivateKey = KEY) -> dict[str, Any]:
    """As SNS signs: names and values of certain fields in the order of their names, a line each."""
    subscription = ("SubscribeURL", "Token") if "SubscribeURL" in message else ("Subject",)
    names = sorted({"Message", "MessageId", "Timestamp", "TopicArn", "Type", *subscription} & message.keys())
    text = "".join(f"{name}\n{message[name]}\n" for name in names)
    signature = key.sign(text.encode(), PKCS1v15(), SHA1() if version == "1" else SHA256())
    return {
        **message,
        "SignatureVersion": version,
        "Signature": base64.b64encode(signature).decode(),
        "SigningCertURL": message.get("SigningCertURL", CERTIFICATE),
    }


def notification(**more: Any) -> dict[str, Any]:
    return {
        "Type": "Notification",
        "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
        "TopicArn": TOPIC,
        "Message": "Störung\nin Zeile 2",
        "Timestamp": "2026-03-04T10:15:31.912Z",
        **more,
    }


def confirmation(**more: Any) -> dict[str, Any]:
    return notification(
        **{"Type": "SubscriptionConfirmation", "Token": "2336412f37fb", "SubscribeURL": SUBSCRIBE, **more}
    )


@pytest.fixture
def aws() -> Iterator[responses.RequestsMock]:
    """SNS's hosts; whatever else is asked for fails, and is in `calls`."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.get(CERTIFICATE, body=certificate())
        mock.get(SUBSCRIBE, body="<ConfirmSubscriptionResponse/>")
        yield mock


def asked(aws: responses.RequestsMock) -> list[str | None]:
    return [call.request.url for call in aws.calls]


# -- signatures -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("message", [notification(), notification(Subject="ALARM: x"), confirmation()])
def test_a_message_that_sns_signed_is_proven(
    aws: responses.RequestsMock, message: dict[str, Any], version: str
) -> None:
    assert Sns([TOPIC]).proves(signed(message, version))
    assert asked(aws) == [CERTIFICATE]


def test_the_certificate_is_fetched_once(aws: responses.RequestsMock) -> None:
    sns = Sns([TOPIC])
    assert [sns.proves(signed(notification(MessageId=str(n)))) for n in range(3)] == [True] * 3
    assert asked(aws) == [CERTIFICATE]


@pytest.mark.parametrize(
    "change",
    [
        {"Message": "another"},
        {"Subject": "added"},
        {"MessageId": "another"},
        {"Timestamp": "2026-03-05T10:15:31.912Z"},
        {"Type": "UnsubscribeConfirmation"},
        {"Signature": "RVhBTVBMRQ=="},
        {"Signature": "not base64"},
        {"Signature": None},
        {"SignatureVersion": "2"},
        {"SignatureVersion": "3"},
        {"SignatureVersion": ["1"]},
        {"SigningCertURL": None},
        {"Type": "Other"},
    ],
)
def test_a_message_that_was_changed_is_not(aws: responses.RequestsMock, change: dict[str, Any]) -> None:
    assert not Sns([TOPIC]).proves(signed(notification()) | change)


@pytest.mark.parametrize(("topics", "topic"), [([TOPIC], OTHER), ([], TOPIC), (None, TOPIC)])
def test_a_signature_for_a_topic_that_nobody_allowed_proves_nothing(
    aws: responses.RequestsMock, topics: list[str] | None, topic: str
) -> None:
    assert not Sns(topics).proves(signed(notification(TopicArn=topic)))
    assert asked(aws) == []


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(certificate(rsa.generate_private_key(65537, 2048)), id="of another key"),
        pytest.param(certificate(ec.generate_private_key(ec.SECP256R1())), id="of another kind of key"),
        pytest.param(certificate(since=-2, until=-1), id="expired"),
        pytest.param(certificate(since=1, until=2), id="not yet valid"),
    ],
)
def test_a_certificate_that_does_not_fit_proves_nothing(aws: responses.RequestsMock, body: bytes) -> None:
    aws.replace("GET", CERTIFICATE, body=body)
    assert not Sns([TOPIC]).proves(signed(notification()))


@pytest.mark.parametrize("signature", ["RVhBTVBMRQ==", "", "not base64", None, 7, "A" * 1000, ["x"]])
def test_nothing_is_fetched_for_what_is_no_signature(aws: responses.RequestsMock, signature: Any) -> None:
    message = signed(confirmation()) | {"Signature": signature}
    assert not Sns([TOPIC]).proves(message)
    Sns(None).confirm(message)
    assert asked(aws) == []


def test_a_signature_of_the_right_length_for_another_key_is_wrong(aws: responses.RequestsMock) -> None:
    other = rsa.generate_private_key(65537, 1024)
    assert not Sns([TOPIC]).proves(signed(notification(), key=other))


STRANGERS = [
    "http://sns.eu-central-1.amazonaws.com/x.pem",
    "https://sns.eu-central-1.amazonaws.com:8443/x.pem",
    "https://sns.eu-central-1.amazonaws.com@evil.example/x.pem",
    "https://user@sns.eu-central-1.amazonaws.com/x.pem",
    "https://sns.eu-central-1.amazonaws.com.evil.example/x.pem",
    "https://sns.eu-central-1.amazonaws.com.cn.evil.example/x.pem",
    "https://evil.example/sns.eu-central-1.amazonaws.com/x.pem",
    "https://evil.example/?https://sns.eu-central-1.amazonaws.com/x.pem",
    "https://sns.evil.example#.amazonaws.com/x.pem",
    "https://xsns.eu-central-1.amazonaws.com/x.pem",
    "https://sns.eu-central-1.amazonaws.org/x.pem",
    # Buckets that anybody may have called `sns`.
    "https://sns.s3.amazonaws.com/x.pem",
    "https://sns.s3-us-west-2.amazonaws.com/x.pem",
    "https://sns.s3.eu-central-1.amazonaws.com/x.pem",
    "https://sns.amazonaws.com/x.pem",
    "https://169.254.169.254/latest/meta-data/x.pem",
    "https://sns.eu-central-1.amazonaws.com\\@evil.example/x.pem",
    "https://sns.eu-central-1.amazonaws.com/x.pem\n",
    " https://sns.eu-central-1.amazonaws.com/x.pem",
    "file:///etc/passwd",
    "",
    None,
    7,
]


@pytest.mark.parametrize("url", [*STRANGERS, HOST, HOST + "../x.pem", HOST + "x.pem?a=b", HOST + "x.txt"])
def test_no_other_url_is_fetched_for_the_certificate(aws: responses.RequestsMock, url: Any) -> None:
    assert not Sns([TOPIC]).proves(signed(notification()) | {"SigningCertURL": url})
    assert asked(aws) == []


@pytest.mark.parametrize(
    "region", ["us-east-1", "ap-southeast-2", "us-gov-west-1", "mx-central-1", "us-isob-east-1"]
)
def test_every_region_has_a_host(region: str) -> None:
    url = f"https://sns.{region}.amazonaws.com/SimpleNotificationService-1.pem"
    with responses.RequestsMock() as aws:
        aws.get(url, body=certificate())
        assert Sns([TOPIC]).proves(signed(notification(SigningCertURL=url)))


def test_china_has_a_host_of_its_own() -> None:
    url = "https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-1.pem"
    topic = "arn:aws-cn:sns:cn-north-1:123456789012:oncall"
    with responses.RequestsMock() as aws:
        aws.get(url, body=certificate())
        assert Sns([topic]).proves(signed(notification(SigningCertURL=url, TopicArn=topic)))


@pytest.mark.parametrize("status", [301, 404, 500])
def test_without_the_certificate_sns_must_send_again(aws: responses.RequestsMock, status: int) -> None:
    aws.replace("GET", CERTIFICATE, status=status, headers={"Location": "https://evil.example/x.pem"})
    sns = Sns([TOPIC])
    with pytest.raises(VerificationUnavailable, match="send it again"):
        sns.proves(signed(notification()))
    assert asked(aws) == [CERTIFICATE]
    aws.replace("GET", CERTIFICATE, body=certificate())
    assert sns.proves(signed(notification()))


def test_what_is_no_certificate_is_not_kept(aws: responses.RequestsMock) -> None:
    aws.replace("GET", CERTIFICATE, body=b"<html>")
    sns = Sns([TOPIC])
    with pytest.raises(VerificationUnavailable):
        sns.proves(signed(notification()))
    aws.replace("GET", CERTIFICATE, body=certificate())
    assert sns.proves(signed(notification()))


def test_few_threads_wait_for_aws_at_once(aws: responses.RequestsMock) -> None:
    """Anyone who sends messages with certificates that never come must not hold all threads of the
    process.
    """
    sns = Sns([TOPIC])
    refused: list[str] = []

    def while_others_wait(depth: int) -> Callable[[Any], tuple[int, dict[str, str], bytes]]:
        def answer(_: Any) -> tuple[int, dict[str, str], bytes]:
            url = f"{HOST}{depth}.pem"
            aws.add_callback("GET", url, while_others_wait(depth + 1))
            try:
                sns.proves(signed(notification(SigningCertURL=url)))
            except VerificationUnavailable as error:
                refused.append(str(error))
            return 200, {}, certificate()

        return answer

    aws.add_callback("GET", HOST + "first.pem", while_others_wait(2))
    assert sns.proves(signed(notification(SigningCertURL=HOST + "first.pem")))
    assert len(refused) == 1
    assert "Too many" in refused[0]
    assert len(aws.calls) == FETCHES_AT_ONCE


def test_so_many_certificates_are_kept_and_no_more(aws: responses.RequestsMock) -> None:
    sns = Sns([TOPIC])
    for n in range(2 * CERTIFICATES_KEPT + 1):
        aws.get(f"{HOST}{n}.pem", body=certificate())
        assert sns.proves(signed(notification(SigningCertURL=f"{HOST}{n}.pem")))
    fetched = len(aws.calls)
    assert sns.proves(signed(notification(SigningCertURL=f"{HOST}0.pem")))
    assert len(aws.calls) == fetched + 1


# -- subscriptions ----------------------------------------------------------------------------------------


def test_a_signed_subscription_is_confirmed(aws: responses.RequestsMock) -> None:
    Sns(None).confirm(signed(confirmation()))
    assert asked(aws) == [CERTIFICATE, SUBSCRIBE]


def test_that_of_an_allowed_topic_is_confirmed(aws: responses.RequestsMock) -> None:
    Sns([OTHER, TOPIC]).confirm(confirmation())
    assert asked(aws) == [SUBSCRIBE]


def test_an_unsigned_one_is_not_where_no_topic_is_named(aws: responses.RequestsMock) -> None:
    Sns(None).confirm(signed(confirmation()) | {"Signature": "RVhBTVBMRQ=="})
    assert SUBSCRIBE not in asked(aws)


def test_that_of_a_topic_that_is_not_named_is_not_even_when_signed(aws: responses.RequestsMock) -> None:
    Sns([OTHER]).confirm(signed(confirmation()))
    assert asked(aws) == []


@pytest.mark.parametrize(
    "url",
    [
        *STRANGERS,
        f"{HOST}?Action=ConfirmSubscription&TopicArn={OTHER}&Token=x",
        f"{HOST}?Action=ConfirmSubscription&TopicArn={TOPIC}&TopicArn={OTHER}&Token=x",
        f"{HOST}?Action=Publish&TopicArn={TOPIC}&Message=x",
        f"{HOST}x?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=x",
        SUBSCRIBE.replace("sns.eu-central-1", "sns.s3"),
        SUBSCRIBE.replace("https:", "http:"),
        SUBSCRIBE + "\r\nX: y",
        SUBSCRIBE + " x",
    ],
)
@pytest.mark.parametrize("topics", [None, [TOPIC]])
def test_no_other_url_is_fetched_to_confirm(
    aws: responses.RequestsMock, url: Any, topics: list[str] | None
) -> None:
    Sns(topics).confirm(signed(confirmation(SubscribeURL=url)))
    assert asked(aws) == []


@pytest.mark.parametrize("status", [302, 400, 500])
def test_a_redirect_is_not_followed_and_nothing_is_asked_twice(
    aws: responses.RequestsMock, status: int
) -> None:
    aws.replace("GET", SUBSCRIBE, status=status, headers={"Location": "https://evil.example/"})
    Sns([TOPIC]).confirm(confirmation())
    assert asked(aws) == [SUBSCRIBE]


def test_a_sender_waits_for_aws_only_so_long(aws: responses.RequestsMock) -> None:
    """An AWS that hangs is left at the deadline: the answer is here while it still hangs."""
    hanging = threading.Event()

    def hang(_: Any) -> tuple[int, dict[str, str], str]:
        hanging.wait(60)
        return 200, {}, ""

    aws.add_callback("GET", HOST + "slow.pem", hang)
    try:
        with pytest.raises(VerificationUnavailable):
            Sns([TOPIC], seconds=0.2).proves(signed(notification(SigningCertURL=HOST + "slow.pem")))
    finally:
        hanging.set()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (notification(), True),
        ({"Type": "Notification", "MessageId": "x"}, False),
        ({"Type": "Notification", "MessageId": "x", "TopicArn": 7}, False),
        ({}, False),
    ],
)
def test_it_knows_a_message(body: dict[str, Any], expected: bool) -> None:
    assert is_message(body) is expected
