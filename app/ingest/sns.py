"""Amazon SNS: whether a message is signed, of which topic it is, and the confirmation of a subscription.

Two URLs of a body are fetched here, that of the signing certificate and that of the confirmation, and no
other anywhere: from SNS's own hosts, over https, once, without redirects.
"""

from __future__ import annotations

import base64
import re
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm

from app.destinations.http import Http, HttpAnswer, NoAnswer
from app.ingest.webhooks.sns import CONFIRMATION
from app.telemetry import log

SnsMessage = Mapping[str, Any]
Verdict = Literal["right", "wrong", "unknown"]

SECONDS = 5.0
"""What a sender may have to wait for AWS, in all."""
# Anybody can send what looks like a message of SNS: few threads of a web process may wait for AWS at once.
FETCHES_AT_ONCE = 4
CERTIFICATES_KEPT = 50

# Regions alone: a bucket called `sns` is at sns.s3.amazonaws.com and at sns.s3-us-west-2.amazonaws.com.
_HOST = r"https://sns\.[a-z]{2}(-[a-z]+){1,3}-\d{1,2}\.amazonaws\.com(\.cn)?/"
_CERTIFICATE_URL = re.compile(_HOST + r"[A-Za-z0-9_-]+\.pem")
_SUBSCRIBE_URL = re.compile(_HOST + r"\?[!-~]+")

_OF_SUBSCRIPTIONS = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    CONFIRMATION: _OF_SUBSCRIPTIONS,
    "UnsubscribeConfirmation": _OF_SUBSCRIPTIONS,
}
# Bytes, of RSA keys of 1024, 2048, 3072 and 4096 bits.
_SIGNATURE_LENGTHS = (128, 256, 384, 512)
_HASHES: dict[str, type[HashAlgorithm]] = {"1": SHA1, "2": SHA256}


class VerificationUnavailable(Exception):
    """A message can't be checked at the moment, which is not the sender's fault."""


class Sns:
    """Checks messages and confirms subscriptions; keeps the certificates that it fetched."""

    def __init__(self, topics: Sequence[str] | None, *, seconds: float = SECONDS) -> None:
        self.topics = topics
        """Those that the configuration allows; None when it names none."""
        self._seconds = seconds
        self._http = Http()
        self._turns = threading.BoundedSemaphore(FETCHES_AT_ONCE)
        self._certificates: dict[str, x509.Certificate] = {}

    def proves(self, message: SnsMessage) -> bool:
        """Whether SNS sent it, for a topic that the configuration allows. Raises `VerificationUnavailable`.

        The signature alone proves little: anyone who has an AWS account can make SNS sign anything.
        """
        if self.topics is None or message["TopicArn"] not in self.topics:
            return False
        verdict = self._verdict(message, time.monotonic() + self._seconds)
        if verdict == "unknown":
            raise VerificationUnavailable(
                "The certificate of SNS can't be fetched to check the signature: send it again."
            )
        return verdict == "right"

    def confirm(self, message: SnsMessage) -> None:
        """Confirm the subscription that the message asks for, if it may be, and log it.

        Raises `VerificationUnavailable`.

        It may be when its topic is allowed or, where the configuration names no topics, when SNS signed it.
        """
        topic, url = message["TopicArn"], message.get("SubscribeURL")
        deadline = time.monotonic() + self._seconds
        if self.topics is not None and topic not in self.topics:
            reason = "intake_signatures.sns_topics does not name the topic"
        elif not _confirms(url, topic):
            reason = "the SubscribeURL is not one of SNS for this topic"
        elif self.topics is None and (verdict := self._verdict(message, deadline)) != "right":
            reason = f"the signature is {verdict}"
        else:
            answer = self._fetch(str(url), deadline)
            if isinstance(answer, HttpAnswer) and answer.status == 200:
                log.info("subscription_confirmed", topic=topic)
                return
            reason = f"SNS answered {answer.status}" if isinstance(answer, HttpAnswer) else answer.detail
        log.warning("subscription_not_confirmed", topic=topic[:300], reason=reason)

    def _verdict(self, message: SnsMessage, deadline: float) -> Verdict:
        url, version, kind = (
            str(message.get(name)) for name in ("SigningCertURL", "SignatureVersion", "Type")
        )
        signature = _signature(message)
        # Nothing is fetched for what can't be a signature of SNS at all.
        if not _CERTIFICATE_URL.fullmatch(url) or version not in _HASHES or kind not in _SIGNED:
            return "wrong"
        if len(signature) not in _SIGNATURE_LENGTHS:
            return "wrong"
        certificate = self._certificate(url, deadline)
        if certificate is None:
            return "unknown"
        key, now = certificate.public_key(), datetime.now(UTC)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            return "wrong"
        if not isinstance(key, RSAPublicKey):
            return "wrong"
        try:
            key.verify(signature, _signed_text(message).encode(), PKCS1v15(), _HASHES[version]())
        except InvalidSignature:
            return "wrong"
        return "right"

    def _certificate(self, url: str, deadline: float) -> x509.Certificate | None:
        if url in self._certificates:
            return self._certificates[url]
        answer = self._fetch(url, deadline)
        if isinstance(answer, NoAnswer) or answer.status != 200:
            reason = answer.detail if isinstance(answer, NoAnswer) else f"SNS answered {answer.status}"
            log.warning("certificate_not_fetched", url=url[:300], reason=reason)
            return None
        try:
            certificate = x509.load_pem_x509_certificate(answer.body)
        except ValueError:
            log.warning("certificate_not_fetched", url=url[:300], reason="the answer is no certificate")
            return None
        if len(self._certificates) >= CERTIFICATES_KEPT:
            self._certificates = {}
        self._certificates[url] = certificate
        return certificate

    def _fetch(self, url: str, deadline: float) -> HttpAnswer | NoAnswer:
        if not self._turns.acquire(blocking=False):
            raise VerificationUnavailable(
                "Too many SNS messages are being verified at the moment: send it again."
            )
        try:
            return self._http.get(url, deadline=deadline)
        finally:
            self._turns.release()


def _confirms(url: object, topic: str) -> bool:
    """Whether the URL is SNS's own and confirms this topic: a message could name another one in it."""
    if not isinstance(url, str) or not _SUBSCRIBE_URL.fullmatch(url):
        return False
    query = parse_qs(urlsplit(url).query)
    return query.get("Action") == ["ConfirmSubscription"] and query.get("TopicArn") == [topic]


def _signature(message: SnsMessage) -> bytes:
    try:
        return base64.b64decode(str(message.get("Signature")), validate=True)
    except ValueError:
        return b""


def _signed_text(message: SnsMessage) -> str:
    fields = _SIGNED[message["Type"]]
    return "".join(f"{name}\n{message[name]}\n" for name in fields if message.get(name) is not None)
